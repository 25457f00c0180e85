/**
 * Dead letters: what becomes of a record that cannot be taken. Key and value stay as they were; why and where from stand in headers.
 * A dead letter is an output like any other: it leaves through the outbox, and positions wait for it.
 */
import type { AppendRecord, LogRecord } from '../log/event-log.ts'
import { RecordError } from '../records.ts'

/** Keys and values above these are cut: a dead letter must fit into the log, and its coordinates lead to the whole. */
const keyBytesMax = 1024
const valueBytesMax = 32 * 1024

/** Makes the dead letter of a record. `role` is who could not take it, `error` why. */
export function toDeadLetter(topic: string, role: string, record: LogRecord, error: unknown): AppendRecord {
  const reason = error instanceof RecordError ? error.reason : 'machine-error'
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
