/**
 * Dead letters: what becomes of a record that cannot be taken. Key and value stay as they were; why and where from stand in headers.
 * A dead letter is an output like any other: it leaves through the outbox, and positions wait for it.
 *
 * B1: a dead letter's id is its place on the topic of dead letters: partition and offset, `3-17`.
 * B2: that it was redriven is a record of the same topic and partition after it, the mark. Its key is chosen for the partition.
 * B3: a record that was redriven names its dead letter in a header, and so does the dead letter it may become again.
 */
import type { AppendRecord, Coordinates, LogRecord } from '../log/event-log.ts'
import { placeKey } from '../log/placement.ts'
import type { Logger } from '../logger.ts'
import { RecordError } from '../records.ts'
import type { Outbox } from './outbox.ts'
import type { Tallies } from './tallies.ts'

/** Keys and values above these are cut: a dead letter must fit into the log, and its coordinates lead to the whole. */
const keyBytesMax = 1024
const valueBytesMax = 32 * 1024
const orderIdBytesMax = 64

/** The header of a record that was appended to take a dead letter's record once more: the id of the dead letter. */
const redrivenFrom = 'redriven_from'
/** The header of a mark: the id of the dead letter that was redriven. */
const redriven = 'redriven'

/** Where a dead letter stands on its topic. */
export interface LetterPlace {
  readonly partition: number
  readonly offset: number
}

/** A dead letter as the log has it, its headers read. */
export interface DeadLetter extends LetterPlace {
  readonly id: string
  readonly atMs: number
  readonly role: string
  readonly reason: string
  readonly detail: string
  /** Where the bad record stands; missing when a program that is not this shop wrote something else. */
  readonly source: (Coordinates & { readonly appendedAt: string }) | undefined
  /** The dead letter whose record was redriven and became this one. */
  readonly redrivenFrom: string | undefined
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** How long the value was before it was cut. */
  readonly cutFromBytes: number | undefined
  /** Whether the bad record had more than this dead letter holds. */
  readonly isCut: boolean
}

/** That a dead letter was redriven. */
export interface RedriveMark extends LetterPlace {
  readonly id: string
  readonly atMs: number
  /** The reason of the dead letter. */
  readonly reason: string
  /** Where its record was appended once more: `topic/partition/offset`. */
  readonly appended: string
}

export interface RefusalOptions {
  readonly role: string
  /** The topic of the dead letters. */
  readonly topic: string
  readonly logger: Logger
  readonly outbox: Outbox
  readonly tallies: Tallies
}

/** Creates what a role does with a record that it cannot take: tells the log, counts, puts the dead letter into the outbox. */
export function createRefusal(options: RefusalOptions): (record: LogRecord, error: unknown) => void {
  const { role, topic, logger, outbox, tallies } = options
  return (record, error) => {
    const reason = toReason(error)
    logger.warn({ err: error, role, reason, ...toLogFields(record) }, 'Bad record goes to the dead letters')
    tallies.deadLetters.set(reason, (tallies.deadLetters.get(reason) ?? 0) + 1)
    outbox.put(toDeadLetter(topic, role, record, error))
  }
}

/** What every log line about a record says: its coordinates, and its order where the key is one. */
export function toLogFields({ topic, partition, offset, key }: LogRecord): Record<string, string | number> {
  const order_id = key?.subarray(0, orderIdBytesMax + 1).toString('latin1') ?? ''
  return { ...(/^[\w.-]{1,64}$/.test(order_id) && { order_id }), topic, partition, offset }
}

function toReason(error: unknown): string {
  return error instanceof RecordError ? error.reason : 'machine-error'
}

/** Makes the dead letter of a record. `role` is who could not take it, `error` why. */
function toDeadLetter(topic: string, role: string, record: LogRecord, error: unknown): AppendRecord {
  const reason = toReason(error)
  const detail = error instanceof Error ? error.message : String(error)
  const { key, value } = record
  const isCut = value !== null && value.length > valueBytesMax
  return {
    topic,
    key: key?.subarray(0, keyBytesMax) ?? null,
    value: isCut ? value.subarray(0, valueBytesMax) : value,
    headers: {
      role,
      reason,
      detail: detail.slice(0, 1_000),
      topic: record.topic,
      partition: String(record.partition),
      offset: String(record.offset),
      appended_at: new Date(record.timestampMs).toISOString(),
      ...(isCut ? { cut_from_bytes: String(value.length) } : {}),
      ...(record.headers?.[redrivenFrom] === undefined ? {} : { [redrivenFrom]: record.headers[redrivenFrom] }),
    },
  }
}

/** The id of a dead letter, as people name it. */
export function toLetterId({ partition, offset }: LetterPlace): string {
  return `${partition}-${offset}`
}

/** Reads an id; `undefined` when it cannot be one. */
export function parseLetterId(text: string): LetterPlace | undefined {
  const [, partition, offset] = /^(\d{1,9})-(\d{1,15})$/.exec(text) ?? []
  return offset === undefined ? undefined : { partition: Number(partition), offset: Number(offset) }
}

/** Reads what stands on the topic of dead letters. Never throws: what a foreign program wrote there is shown as far as it goes. */
export function parseLetter(record: LogRecord): DeadLetter | RedriveMark {
  const { partition, offset, timestampMs: atMs, headers = {}, key, value } = record
  const marked = parseLetterId(headers[redriven] ?? '')
  const { role = 'unknown', reason = 'unknown', detail = '', cut_from_bytes } = headers
  if (marked !== undefined)
    return { ...marked, id: toLetterId(marked), atMs, reason, appended: headers['appended'] ?? '' }
  const cutFromBytes = cut_from_bytes === undefined ? undefined : Number(cut_from_bytes)
  return {
    id: toLetterId({ partition, offset }),
    partition,
    offset,
    atMs,
    role,
    reason,
    detail,
    source: toSource(headers),
    redrivenFrom: headers[redrivenFrom],
    key,
    value,
    cutFromBytes,
    // Keys are cut without a word: one that is as long as the limit may have been longer.
    isCut: cutFromBytes !== undefined || (key?.length ?? 0) >= keyBytesMax,
  }
}

export function isMark(read: DeadLetter | RedriveMark): read is RedriveMark {
  return 'appended' in read
}

/** The record that takes a bad record once more: the bytes it had, and the dead letter it comes from. */
export function toRedriven(id: string, { topic, key, value, headers }: LogRecord): AppendRecord {
  return { topic, key, value, headers: { ...headers, [redrivenFrom]: id } }
}

/** The mark of a dead letter whose record was appended once more. */
export function toMark(topic: string, letter: DeadLetter, partitions: number, appended: Coordinates): AppendRecord {
  const headers = {
    [redriven]: letter.id,
    reason: letter.reason,
    appended: `${appended.topic}/${appended.partition}/${appended.offset}`,
  }
  return { topic, key: keyFor(letter.partition, partitions), value: null, headers }
}

/** A key that is placed on the partition. Found after about as many tries as there are partitions. */
function keyFor(partition: number, partitions: number): string {
  for (let n = 0; ; n++) if (placeKey(`redriven-${n}`, partitions) === partition) return `redriven-${n}`
}

function toSource(headers: Readonly<Record<string, string>>): DeadLetter['source'] {
  const { topic, partition = '', offset = '', appended_at: appendedAt = '' } = headers
  if (topic === undefined || !/^\d{1,9}$/.test(partition) || !/^\d{1,15}$/.test(offset)) return undefined
  return { topic, partition: Number(partition), offset: Number(offset), appendedAt }
}
