/**
 * Dead letter desk: finds a dead letter, the record it came from, and whether it was redriven. Reads only.
 *
 * The whole record is where it always was, unless the log has dropped it: a dead letter's own copy is cut, and is what is left then.
 */
import type { EventLog, LogRecord } from '../log/event-log.ts'
import { findEnds } from './dead-letter-list.ts'
import { isMark, parseLetter, type DeadLetter, type LetterPlace, type RedriveMark } from './dead-letters.ts'
import { findRecord } from './read-record.ts'

/** `on-the-log`: the record itself. `copy`: it is gone, and the dead letter has all of it. `cut`: it is gone, and so is the rest. */
export interface Original {
  readonly state: 'on-the-log' | 'copy' | 'cut'
  readonly record: LogRecord
}

export interface DeadLetterDesk {
  /** The dead letter at a place; `undefined` when there is none. */
  find(place: LetterPlace): Promise<DeadLetter | undefined>
  /** Looks for marks of these dead letters, as of now. */
  readMarks(letters: readonly LetterPlace[]): Promise<void>
  /** The first mark of a dead letter, as far as was looked. */
  markOf(id: string): RedriveMark | undefined
  /** Every dead letter that is wanted and not redriven, partition by partition. */
  select(isWanted: (letter: DeadLetter) => boolean): Promise<DeadLetter[]>
  /** The record a dead letter came from; `undefined` when the dead letter does not say where that was. */
  findOriginal(letter: DeadLetter): Promise<Original | undefined>
}

/** Creates the desk for a topic of dead letters. Its calls throw LogError; a topic that is not there holds nothing. */
export function createDeadLetterDesk(log: EventLog, topic: string): DeadLetterDesk {
  const marks = new Map<string, RedriveMark>()
  /** What was looked through for marks, by partition. */
  const seen = new Map<number, { from: number; to: number }>()

  async function* read(partition: number, from: number, to: number): AsyncGenerator<DeadLetter | RedriveMark> {
    for await (const records of log.read({ topic, partition }, { from, to })) {
      for (const record of records) {
        const found = parseLetter(record)
        if (isMark(found) && !marks.has(found.id)) marks.set(found.id, found)
        yield found
      }
    }
  }
  const readOn = async (partition: number, from: number, to: number): Promise<void> => {
    for await (const _found of read(partition, from, to)) continue
  }

  return {
    async find({ partition, offset }) {
      const { start = 0, end = 0 } = (await findEnds(log, topic))[partition] ?? {}
      if (offset < start || offset >= end) return undefined
      for await (const found of read(partition, offset, offset + 1)) {
        if (!isMark(found) && found.offset === offset) return found
      }
      return undefined
    },
    async readMarks(letters) {
      const ends = await findEnds(log, topic)
      for (const [partition, ofPartition] of Map.groupBy(letters, (letter) => letter.partition)) {
        const end = ends[partition]?.end ?? 0
        const first = Math.min(...ofPartition.map(({ offset }) => offset))
        const { from, to } = seen.get(partition) ?? { from: first, to: first }
        if (first < from) await readOn(partition, first, from)
        if (to < end) await readOn(partition, to, end)
        seen.set(partition, { from: Math.min(from, first), to: Math.max(to, end) })
      }
    },
    markOf: (id) => marks.get(id),
    async select(isWanted) {
      const letters: DeadLetter[] = []
      for (const [partition, { start, end }] of (await findEnds(log, topic)).entries()) {
        for await (const found of read(partition, start, end)) {
          if (!isMark(found) && isWanted(found)) letters.push(found)
        }
        seen.set(partition, { from: start, to: end })
      }
      return letters.filter(({ id }) => !marks.has(id))
    },
    async findOriginal(letter) {
      const { source, key, value, isCut } = letter
      if (source === undefined) return undefined
      const found = await findRecord(log, source)
      if (found !== undefined && isSame(letter, found)) return { state: 'on-the-log', record: found }
      const timestampMs = Date.parse(source.appendedAt) || 0
      const { topic: from, partition, offset } = source
      const record = { topic: from, partition, offset, key, value, timestampMs }
      return { state: isCut ? 'cut' : 'copy', record }
    },
  }
}

/** Topics that were deleted and made again have other records at the same coordinates. */
function isSame({ key, value }: DeadLetter, record: LogRecord): boolean {
  return beginsWith(record.key, key) && beginsWith(record.value, value)
}

function beginsWith(whole: Buffer | null, part: Buffer | null): boolean {
  if (whole === null || part === null) return whole === part
  return whole.subarray(0, part.length).equals(part)
}
