/** What memory-log and sqlite-log do with a call of `append` before anything is written: check it and place its records. */
import { LogError, type AppendRecord } from './event-log.ts'
import { placeKey } from './placement.ts'

/** 64 KiB for a record, as the design promises, and some slack for its key. */
export const recordBytesMaxDefault = 65 * 1024

function bytesOf(part: string | Buffer | null): number {
  return part === null ? 0 : Buffer.byteLength(part)
}

/** @throws LogError `record-too-large` when key, value and headers together exceed the limit. */
export function assertRecordFits(record: AppendRecord, recordBytesMax: number): void {
  const { key, value, headers } = record
  // A UTF-16 unit is three bytes of UTF-8 at most: small records, nearly all, need no count.
  if (!headers && ((key?.length ?? 0) + (value?.length ?? 0)) * 3 <= recordBytesMax) return
  let bytes = bytesOf(key) + bytesOf(value)
  for (const [name, text] of Object.entries(headers ?? {})) bytes += bytesOf(name) + bytesOf(text)
  if (bytes <= recordBytesMax) return
  const message = `Cannot append to ${record.topic}: the record has ${bytes} bytes, at most ${recordBytesMax} are allowed`
  throw new LogError('record-too-large', message)
}

/** Creates the function that gives each record its partition; runs of one key, an order's pizzas, are hashed once. */
export function createPlacer(): (key: string | Buffer | null, partitions: number) => number {
  let turn = 0
  let lastKey: string | Buffer | null = null
  let lastPartitions = 0
  let lastPartition = 0
  return (key, partitions) => {
    if (key === null) return turn++ % partitions
    // Buffers may be changed and used again by their owner, so only strings are remembered.
    if (typeof key !== 'string') return placeKey(key, partitions)
    if (key !== lastKey || partitions !== lastPartitions) {
      lastKey = key
      lastPartitions = partitions
      lastPartition = placeKey(key, partitions)
    }
    return lastPartition
  }
}

export function unknownTopic(topic: string): LogError {
  return new LogError('unknown-topic', `Cannot find topic ${topic}: create it with ensureTopics first`)
}

export function unknownPartition(topic: string, partition: number, partitions: number): LogError {
  return new LogError('unknown-topic', `Cannot find partition ${partition} of topic ${topic}: it has ${partitions}`)
}

export function otherPartitionCount(topic: string, has: number, wanted: number): LogError {
  const message = `Cannot use topic ${topic}: it has ${has} partitions, wanted ${wanted}. Configure ${has} or use another log`
  return new LogError('partition-count', message)
}

export function logClosed(): LogError {
  return new LogError('closed', 'Cannot use the log: it is closed')
}

/**
 * How many partitions the topics of one group have.
 * @throws LogError `partition-count` when they differ, for a member gets the same numbers of all of them.
 */
export function sharedPartitionCount(topics: readonly string[], countOf: (topic: string) => number): number {
  const [first, ...rest] = topics
  if (first === undefined) throw new TypeError('Cannot join a group without topics')
  const count = countOf(first)
  for (const topic of rest) if (countOf(topic) !== count) throw otherPartitionCount(topic, countOf(topic), count)
  return count
}
