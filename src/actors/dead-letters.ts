/**
 * Dead letters: what becomes of a record that cannot be taken. Key and value stay as they were; why and where from stand in headers.
 * A dead letter is an output like any other: it leaves through the outbox, and positions wait for it.
 */
import type { AppendRecord, LogRecord } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import { RecordError } from '../records.ts'
import type { Outbox } from './outbox.ts'
import type { Tallies } from './tallies.ts'

/** Keys and values above these are cut: a dead letter must fit into the log, and its coordinates lead to the whole. */
const keyBytesMax = 1024
const valueBytesMax = 32 * 1024
const orderIdBytesMax = 64

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
    },
  }
}
