/**
 * Dead letter list: the newest dead letters and how many each role wrote, read from the log when somebody looks.
 *
 * It reads on from where it was, and begins at most `tailMax` records before the end of each partition: a topic of millions of
 * dead letters costs no more than one of a thousand. Counts by role are of what was read.
 */
import type { EventLog, LogRecord } from '../log/event-log.ts'

export interface DeadLetter {
  readonly partition: number
  readonly offset: number
  /** When it was written: ISO 8601, UTC. */
  readonly at: string
  readonly role: string
  readonly reason: string
  readonly detail: string
  /** Where the bad record stands: `topic / partition / offset`. */
  readonly source: string
  /** The value as it was, cut. */
  readonly value: string
}

export interface DeadLetterView {
  /** Every dead letter there is. */
  readonly total: number
  readonly by_role: Readonly<Record<string, number>>
  /** Newest first. */
  readonly newest: readonly DeadLetter[]
}

export interface DeadLetterList {
  /** Asks the log. @throws LogError. */
  look(): Promise<DeadLetterView>
}

const tailMax = 1_000
const newestMax = 20
const valueCharactersMax = 500

/** Creates the list of a topic of dead letters. */
export function createDeadLetterList(log: EventLog, topic: string): DeadLetterList {
  const positions = new Map<number, number>()
  const byRole = new Map<string, number>()
  let newest: DeadLetter[] = []

  const readOn = async (partition: number, start: number, end: number): Promise<void> => {
    const from = positions.get(partition) ?? Math.max(start, end - tailMax)
    for await (const records of log.read({ topic, partition }, { from, to: end })) {
      for (const record of records) {
        const letter = toDeadLetter(record)
        byRole.set(letter.role, (byRole.get(letter.role) ?? 0) + 1)
        newest.push(letter)
        positions.set(partition, record.offset + 1)
      }
    }
    positions.set(partition, end)
  }

  return {
    async look() {
      const [starts, ends] = await Promise.all([log.starts([topic]), log.ends([topic])])
      const [first, last] = [starts.get(topic) ?? [], ends.get(topic) ?? []]
      for (const [partition, end] of last.entries()) {
        if (positions.get(partition) !== end) await readOn(partition, first[partition] ?? 0, end)
      }
      newest = newest.sort((a, b) => b.at.localeCompare(a.at) || b.offset - a.offset).slice(0, newestMax)
      const total = last.reduce((sum, end, partition) => sum + end - (first[partition] ?? 0), 0)
      return { total, by_role: Object.fromEntries(byRole), newest }
    },
  }
}

function toDeadLetter({ partition, offset, timestampMs, headers = {}, value }: LogRecord): DeadLetter {
  const {
    role = 'unknown',
    reason = 'unknown',
    detail = '',
    topic = '?',
    partition: p = '?',
    offset: o = '?',
  } = headers
  return {
    partition,
    offset,
    at: new Date(timestampMs).toISOString(),
    role,
    reason,
    detail,
    source: `${topic} / ${p} / ${o}`,
    value: value?.toString('utf8').slice(0, valueCharactersMax) ?? '',
  }
}
