/**
 * Dead letter list: the newest dead letters, and how many there are by role and reason, read from the log when somebody looks.
 *
 * K1: it reads on from where it was, and begins at most `listedMax` records before the ends: a topic of millions of dead letters
 *     costs no more than one of thousands, in time and in memory. Counts are of what was read.
 * K2: a mark stands after its dead letter in the same partition (dead-letters.ts, B2), so whoever reads a dead letter learns by
 *     the end of its partition whether it was redriven.
 */
import { LogError, type Coordinates, type EventLog } from '../log/event-log.ts'
import { parsePizza } from '../records.ts'
import { isMark, parseLetter, toLogFields, type DeadLetter, type RedriveMark } from './dead-letters.ts'

/** A dead letter as lists show it. */
export interface DeadLetterRow {
  /** Partition and offset on the topic of dead letters: `3-17`. */
  readonly id: string
  /** When it was written: ISO 8601, UTC. */
  readonly at: string
  readonly role: string
  readonly reason: string
  readonly detail: string
  /** As far as key or value tell. */
  readonly order_id: string | null
  /** Where the bad record stands, and since when; `null` when the dead letter does not say. */
  readonly source: (Coordinates & { readonly appended_at: string }) | null
  /** The value's beginning, as text. */
  readonly value: string
  /** When it was redriven, if it was. */
  readonly redriven_at: string | null
  /** The dead letter whose record was redriven and became this one. */
  readonly redriven_from: string | null
}

export interface DeadLetterCount {
  readonly reason: string
  readonly dead_letters: number
  /** How many of these were redriven. */
  readonly redriven: number
}

export interface DeadLetterView {
  /** Every dead letter there is. */
  readonly total: number
  readonly by_role: Readonly<Record<string, number>>
  /** Most frequent first. */
  readonly by_reason: readonly DeadLetterCount[]
  /** Newest first; the newest `listedMax` that are wanted. */
  readonly rows: readonly DeadLetterRow[]
}

export interface DeadLetterList {
  /** Asks the log. @throws LogError. */
  look(): Promise<DeadLetterView>
}

export interface DeadLetterListOptions {
  /** How many are listed, and how far back it begins to read (default 10,000). */
  readonly listedMax?: number
  /** `all`: reads from the beginning, so that the counts are of everything. */
  readonly begins?: 'all' | 'near-the-end'
  /** Which are listed (default: all). The counts are of all. */
  readonly isWanted?: (letter: DeadLetter) => boolean
}

const valueCharactersMax = 200

/** Creates the list of a topic of dead letters. A topic that is not there yet holds none. */
export function createDeadLetterList(
  log: EventLog,
  topic: string,
  options: DeadLetterListOptions = {},
): DeadLetterList {
  const { listedMax = 10_000, begins = 'near-the-end', isWanted = () => true } = options
  const positions = new Map<number, number>()
  const byRole = new Map<string, number>()
  const byReason = new Map<string, { letters: number; redriven: number }>()
  let rows = new Map<string, DeadLetterRow>()
  /** The values of `rows` as they are listed, until one of them changes. */
  let listed: readonly DeadLetterRow[] | undefined
  let total = 0

  const countOf = (reason: string): { letters: number; redriven: number } => {
    const found = byReason.get(reason)
    if (found !== undefined) return found
    const fresh = { letters: 0, redriven: 0 }
    byReason.set(reason, fresh)
    return fresh
  }
  const takeMark = ({ id, atMs, reason }: RedriveMark): void => {
    const row = rows.get(id)
    // Two people may have redriven it at once: it counts once, by the first mark.
    if (row !== undefined && row.redriven_at !== null) return
    countOf(reason).redriven++
    if (row === undefined) return
    rows.set(id, { ...row, redriven_at: new Date(atMs).toISOString() })
    listed = undefined
  }
  const takeLetter = (letter: DeadLetter): void => {
    total++
    countOf(letter.reason).letters++
    byRole.set(letter.role, (byRole.get(letter.role) ?? 0) + 1)
    if (!isWanted(letter)) return
    rows.set(letter.id, toRow(letter))
    listed = undefined
    if (rows.size > 2 * listedMax) rows = newestOf(rows, listedMax)
  }
  const readOn = async (partition: number, start: number, end: number): Promise<void> => {
    for await (const records of log.read({ topic, partition }, { from: start, to: end })) {
      for (const record of records) {
        const read = parseLetter(record)
        if (isMark(read)) takeMark(read)
        else takeLetter(read)
      }
    }
    positions.set(partition, end)
  }
  const look = async (): Promise<DeadLetterView> => {
    const found = await findEnds(log, topic)
    const tail = begins === 'all' ? Infinity : Math.ceil(listedMax / Math.max(1, found.length))
    for (const [partition, { start, end }] of found.entries()) {
      const known = positions.get(partition)
      const from = known ?? Math.max(start, end - tail)
      // What it does not read is taken for dead letters: marks are few.
      if (known === undefined) total += from - start
      if (from < end) await readOn(partition, from, end)
    }
    if (listed === undefined) rows = newestOf(rows, listedMax)
    listed ??= [...rows.values()]
    const by_reason = [...byReason].map(([reason, { letters, redriven }]) => ({
      reason,
      dead_letters: letters,
      redriven,
    }))
    return {
      total,
      by_role: Object.fromEntries(byRole),
      by_reason: by_reason.toSorted((a, b) => b.dead_letters - a.dead_letters),
      rows: listed,
    }
  }

  // One look at a time: two would read the same records twice.
  let last: Promise<unknown> = Promise.resolve()
  return {
    look() {
      const next = last.then(look)
      last = next.catch(() => {})
      return next
    },
  }
}

/** First offset and end of each partition; none when the topic is not there. @throws LogError. */
export async function findEnds(log: EventLog, topic: string): Promise<{ start: number; end: number }[]> {
  try {
    const [starts, ends] = await Promise.all([log.starts([topic]), log.ends([topic])])
    return (ends.get(topic) ?? []).map((end, partition) => ({ start: starts.get(topic)?.[partition] ?? 0, end }))
  } catch (error) {
    if (error instanceof LogError && error.code === 'unknown-topic') return []
    throw error
  }
}

/** Maps a dead letter to its line. `redrivenAtMs`: when it was redriven. */
export function toRow(letter: DeadLetter, redrivenAtMs?: number): DeadLetterRow {
  const { id, atMs, role, reason, detail, source, value, redrivenFrom } = letter
  return {
    id,
    at: new Date(atMs).toISOString(),
    role,
    reason,
    detail,
    order_id: orderIdOf(letter) ?? null,
    source: source === undefined ? null : toSource(source),
    value:
      value
        ?.subarray(0, 4 * valueCharactersMax)
        .toString('utf8')
        .slice(0, valueCharactersMax) ?? '',
    redriven_at: redrivenAtMs === undefined ? null : new Date(redrivenAtMs).toISOString(),
    redriven_from: redrivenFrom ?? null,
  }
}

function toSource({ topic, partition, offset, appendedAt }: DeadLetter['source'] & {}) {
  return { topic, partition, offset, appended_at: appendedAt }
}

/** The order a bad record is about: what its value says, else its key where that can be one. */
function orderIdOf({ key, value }: Pick<DeadLetter, 'key' | 'value'>): string | undefined {
  try {
    return parsePizza(value).order_id
  } catch {
    const { order_id } = toLogFields({ topic: '', partition: 0, offset: 0, timestampMs: 0, key, value })
    return order_id === undefined ? undefined : String(order_id)
  }
}

function newestOf(rows: ReadonlyMap<string, DeadLetterRow>, max: number): Map<string, DeadLetterRow> {
  const sorted = [...rows].toSorted(([, a], [, b]) => b.at.localeCompare(a.at) || compareIds(b.id, a.id))
  return new Map(sorted.slice(0, max))
}

function compareIds(a: string, b: string): number {
  const [aPartition = 0, aOffset = 0] = a.split('-').map(Number)
  const [bPartition = 0, bOffset = 0] = b.split('-').map(Number)
  return aPartition - bPartition || aOffset - bOffset
}
