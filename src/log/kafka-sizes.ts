/** Sizes of records on their way to Kafka: brokers refuse batches over `message.max.bytes`. */
import { LogError, type AppendRecord } from './event-log.ts'

/** What a record costs in a request beside its key and value. */
const recordOverheadBytes = 40

const lengthOf = (part: string | Buffer | null) => (part === null ? 0 : Buffer.byteLength(part))

/**
 * Bytes of key, value and headers together.
 * @throws LogError `record-too-large`
 */
export function measureRecord({ topic, key, value, headers }: AppendRecord, bytesMax: number): number {
  let bytes = lengthOf(key) + lengthOf(value)
  for (const name in headers) bytes += Buffer.byteLength(name) + lengthOf(headers[name]!)
  if (bytes <= bytesMax) return bytes
  throw new LogError(
    'record-too-large',
    `Cannot append to ${topic}: a record has ${bytes} bytes, and ${bytesMax} is the most`,
  )
}

/** A part of at most `bytesMax` fits in one batch of any partition. */
export function splitByBytes<R extends { readonly bytes: number }>(
  records: readonly R[],
  bytesMax: number,
): (readonly R[])[] {
  const parts: R[][] = []
  let bytes = Infinity
  for (const record of records) {
    bytes += record.bytes + recordOverheadBytes
    if (bytes > bytesMax) {
      parts.push([])
      bytes = record.bytes + recordOverheadBytes
    }
    parts.at(-1)!.push(record)
  }
  return parts
}
