/**
 * Kafka cursors. Where a consumer stands in each partition that it holds, and what it has fetched ahead of the handler. Fetches from
 * every leader; owns positions and buffers.
 *
 * C1: a position moves only when a handler has resolved: by `advance` past records, by `pass` past what is none (transaction markers,
 *     aborted or deleted records, offsets that compaction left empty).
 * C2: a partition with records in its buffer, or of a paused topic, is not fetched; so memory is bounded by one fetch.
 */
import type { LogRecord } from './event-log.ts'
import { sendFetch, type FetchedMessage, type FetchedPartition, type KafkaCluster } from './kafka-client.ts'
import { encodeFetch } from './kafka-encoding.ts'

/** Where a consumer stands in one partition. */
export interface Cursor {
  readonly topic: string
  readonly partition: number
  /** Next offset to deliver. */
  position: number
  /** Where to fetch next: past the buffer, and past what is no record (transaction markers, compacted away). */
  fetchFrom: number
  buffer: LogRecord[]
  /** Records of the buffer before this index are handled. */
  head: number
}

/** A partition with nothing to deliver before `position`, which is further than its handler knows. */
export interface Passed {
  readonly cursor: Cursor
  readonly position: number
}

/** What `collect` took, for `advance`. */
export interface Collected {
  readonly records: readonly LogRecord[]
  readonly taken: readonly { readonly cursor: Cursor; readonly count: number }[]
}

export interface KafkaCursorsOptions {
  readonly cluster: KafkaCluster
  readonly fetchWaitMs: number
  readonly fetchBytesMax: number
  readonly batchRecordsMax: number
  /** A fetch brought records, or ended. */
  readonly onFetched: () => void
}

const nothingPassed: readonly Passed[] = []

export function createKafkaCursors(options: KafkaCursorsOptions) {
  const { cluster, batchRecordsMax, onFetched } = options
  let cursors: Cursor[] = []
  const paused = new Set<string>()
  const fetching = new Set<number>()
  let failure: { readonly error: unknown } | undefined
  let hasSucceeded = false
  let first = 0

  const hasBuffered = ({ head, buffer }: Cursor) => head < buffer.length

  async function fetchFrom(nodeId: number, wanted: readonly Cursor[]): Promise<void> {
    fetching.add(nodeId)
    try {
      const broker = await cluster.findBroker({ nodeId })
      const { responses } = await sendFetch(broker, encodeWanted(wanted, options))
      for (const { topicName, partitions } of responses) {
        for (const fetched of partitions) {
          const cursor = wanted.find(({ topic, partition }) => topic === topicName && partition === fetched.partition)
          if (cursor) fill(cursor, fetched)
        }
      }
      hasSucceeded = true
    } catch (error) {
      failure = { error }
    } finally {
      fetching.delete(nodeId)
      onFetched()
    }
  }

  return {
    /** Adds partitions of a topic at their positions. */
    add(topic: string, positions: ReadonlyMap<number, number>): void {
      for (const [partition, position] of positions) {
        cursors.push({ topic, partition, position, fetchFrom: position, buffer: [], head: 0 })
      }
    },
    drop(partitions: readonly number[]): void {
      cursors = cursors.filter(({ partition }) => !partitions.includes(partition))
    },
    pause(topics: readonly string[]): void {
      for (const topic of topics) paused.add(topic)
    },
    resume(topics: readonly string[]): void {
      for (const topic of topics) paused.delete(topic)
    },
    /** Goes on at another offset, dropping what is buffered. What lies between is passed. */
    seek(topic: string, partition: number, offset: number): void {
      const cursor = cursors.find((it) => it.topic === topic && it.partition === partition)
      if (!cursor) return
      const position = Math.min(cursor.position, offset)
      Object.assign(cursor, { position, fetchFrom: offset, buffer: [], head: 0 })
    },
    position: (topic: string, partition: number) =>
      cursors.find((it) => it.topic === topic && it.partition === partition)?.position,

    /** Takes what is buffered of topics that are not paused, in offset order within each partition. */
    collect(): Collected {
      const records: LogRecord[] = []
      const taken = []
      // Begins with another partition each time, so that a full one does not starve the rest.
      first = cursors.length > 0 ? (first + 1) % cursors.length : 0
      for (let i = 0; i < cursors.length && records.length < batchRecordsMax; i++) {
        const cursor = cursors[(first + i) % cursors.length]!
        if (!hasBuffered(cursor) || paused.has(cursor.topic)) continue
        const count = Math.min(cursor.buffer.length - cursor.head, batchRecordsMax - records.length)
        for (let j = 0; j < count; j++) records.push(cursor.buffer[cursor.head + j]!)
        taken.push({ cursor, count })
      }
      return { records, taken }
    },
    /** Moves past a batch whose handler has resolved. @returns the positions that moved. */
    advance({ taken }: Collected): Cursor[] {
      for (const { cursor, count } of taken) {
        cursor.head += count
        cursor.position = cursor.buffer[cursor.head - 1]!.offset + 1
        if (!hasBuffered(cursor)) [cursor.buffer, cursor.head] = [[], 0]
      }
      return taken.map(({ cursor }) => cursor)
    },
    /** Where reading is further than the handler knows, of topics that are not paused; empty nearly always. */
    collectPassed(): readonly Passed[] {
      let passed = nothingPassed
      for (const cursor of cursors) {
        if (hasBuffered(cursor) || cursor.fetchFrom === cursor.position || paused.has(cursor.topic)) continue
        passed = [...passed, { cursor, position: cursor.fetchFrom }]
      }
      return passed
    },
    /** Moves to what was passed, when its handler has resolved. @returns the positions that moved. */
    pass(passed: readonly Passed[]): Cursor[] {
      for (const { cursor, position } of passed) cursor.position = position
      return passed.map(({ cursor }) => cursor)
    },
    /** Starts a fetch from every leader that has none under way and partitions to fetch. */
    fetch(): void {
      const byLeader = new Map<number, Cursor[]>()
      const leaders = createLeaderLookup(cluster)
      // A broker fills its answer in the order asked; `first` moves on, so that no partition comes last for ever.
      for (const cursor of [...cursors.slice(first), ...cursors.slice(0, first)]) {
        if (hasBuffered(cursor) || paused.has(cursor.topic)) continue
        const nodeId = leaders(cursor)
        const wanted = byLeader.get(nodeId)
        if (wanted) wanted.push(cursor)
        else byLeader.set(nodeId, [cursor])
      }
      for (const [nodeId, wanted] of byLeader) if (!fetching.has(nodeId)) void fetchFrom(nodeId, wanted)
    },
    /** The error of a fetch that failed since the last call. */
    takeFailure() {
      const taken = failure
      failure = undefined
      return taken
    },
    /** Whether a fetch succeeded since the last call. */
    takeSuccess() {
      const taken = hasSucceeded
      hasSucceeded = false
      return taken
    },
  }
}

export type KafkaCursors = ReturnType<typeof createKafkaCursors>

function encodeWanted(wanted: readonly Cursor[], { fetchWaitMs, fetchBytesMax }: KafkaCursorsOptions): Buffer {
  const byTopic = new Map<string, { topic: string; partitions: { partition: number; fetchOffset: number }[] }>()
  for (const { topic, partition, fetchFrom } of wanted) {
    let data = byTopic.get(topic)
    if (!data) byTopic.set(topic, (data = { topic, partitions: [] }))
    data.partitions.push({ partition, fetchOffset: fetchFrom })
  }
  const limits = { waitMs: fetchWaitMs, bytesMax: fetchBytesMax * 10, partitionBytesMax: fetchBytesMax }
  return encodeFetch([...byTopic.values()], limits)
}

function fill(cursor: Cursor, fetched: FetchedPartition): void {
  // A fetch may answer after a seek or a resume that began another: only what continues the buffer is taken.
  if (cursor.head < cursor.buffer.length) return
  const { records, next } = toRecords(cursor.topic, fetched, cursor.fetchFrom)
  cursor.fetchFrom = next
  if (records.length > 0) [cursor.buffer, cursor.head] = [records, 0]
}

/**
 * Turns a fetched partition into records from offset `from`, without transaction markers and aborted records.
 * @returns them, and the offset to fetch from next.
 */
export function toRecords(
  topic: string,
  fetched: FetchedPartition,
  from: number,
): { records: LogRecord[]; next: number } {
  const { partition, messages, abortedTransactions } = fetched
  const records: LogRecord[] = []
  const isAborted = abortedTransactions.length > 0 ? createAbortedFilter(abortedTransactions) : undefined
  let next = from
  for (const message of messages) {
    if (isAborted?.(message)) continue
    const offset = Number(message.offset)
    // A compressed batch comes whole, also when the fetch began in its middle.
    if (offset < next || message.isControlRecord) continue
    next = offset + 1
    records.push(toRecord(message, topic, partition, offset))
  }
  const last = messages.at(-1)
  return { records, next: last ? Math.max(next, Number(last.offset) + 1) : next }
}

/**
 * Tells which messages, given in order of offset, are of aborted transactions. kafkajs's own filter takes a record whose key is four zero
 * bytes for the end of a transaction, and loses count of transactions that overlap.
 */
function createAbortedFilter(aborted: FetchedPartition['abortedTransactions']): (message: FetchedMessage) => boolean {
  // Brokers list them by where they end.
  const ahead = aborted.toSorted((a, b) => Number(b.firstOffset) - Number(a.firstOffset))
  const producers = new Set<string>()
  return ({ offset, isControlRecord, batchContext: { producerId, inTransaction } }) => {
    while (ahead.length > 0 && Number(ahead.at(-1)!.firstOffset) <= Number(offset))
      producers.add(ahead.pop()!.producerId)
    if (isControlRecord) producers.delete(producerId)
    return inTransaction && producers.has(producerId)
  }
}

function toRecord(message: FetchedMessage, topic: string, partition: number, offset: number): LogRecord {
  const { key, value, headers } = message
  const timestampMs = Number(message.timestamp)
  for (const _ in headers) {
    const texts = Object.entries(headers).map(([name, bytes]) => [
      name,
      String(Array.isArray(bytes) ? bytes.at(-1) : bytes),
    ])
    return {
      topic,
      partition,
      offset,
      key,
      value,
      timestampMs,
      headers: Object.fromEntries(texts) as Record<string, string>,
    }
  }
  return { topic, partition, offset, key, value, timestampMs }
}

/** Finds leaders; partitions of one topic share a look-up of its metadata. */
function createLeaderLookup(cluster: KafkaCluster): (cursor: Cursor) => number {
  const leaders = new Map<string, Map<number, number>>()
  return ({ topic, partition }) => {
    let ofTopic = leaders.get(topic)
    if (!ofTopic) {
      ofTopic = new Map(
        cluster.findTopicPartitionMetadata(topic).map(({ partitionId, leader }) => [partitionId, leader]),
      )
      leaders.set(topic, ofTopic)
    }
    return ofTopic.get(partition) ?? -1
  }
}
