/**
 * Local log: the part of the log port that memory-log and sqlite-log share. Checks calls, keeps the consumers of this handle,
 * closes in order. What differs, where records and groups are kept, is a LocalBackend.
 */
import type {
  AppendRecord,
  ClaimRecord,
  Coordinates,
  Durability,
  EventLog,
  TopicPartition,
  TopicSpec,
} from './event-log.ts'
import { createClaim } from './claim.ts'
import { assertRecordFits, logClosed, unknownPartition } from './local-append.ts'
import { createLocalConsumer, type LocalConsumer, type LocalStore } from './local-consumer.ts'
import type { Schedule } from './local-schedule.ts'

export interface LocalBackend extends LocalStore {
  readonly kind: string
  ensureTopics(topics: readonly TopicSpec[]): Promise<void>
  /** @throws LogError `unknown-topic` */
  partitionCount(topic: string): number
  /** Appends records that are already checked. */
  append(records: readonly AppendRecord[], durability: Durability): Promise<Coordinates[]>
  sync(): Promise<void>
  /** Takes a partition over. @returns what appends records to it, already checked, and gives the position after them. */
  readonly claimPartition?: (at: TopicPartition) => Promise<(records: readonly ClaimRecord[]) => Promise<number>>
  /** The addresses of a group's members by partition number. */
  owners(groupId: string): ReadonlyMap<number, string>
  /** Writes what is queued, then lets everything go. Called once, after the consumers have stopped. */
  dispose(): Promise<void>
}

export interface LocalLogOptions {
  readonly backend: LocalBackend
  /** The consumers of this handle; the backend notifies them. */
  readonly consumers: Set<LocalConsumer>
  readonly schedule: Schedule
  readonly commitMs: number
  readonly recordBytesMax: number
}

const pageRecordsMax = 1_000

/** Makes a log of a backend. */
export function createLocalLog({ backend, consumers, schedule, commitMs, recordBytesMax }: LocalLogOptions): EventLog {
  let state: 'open' | 'closing' | 'closed' = 'open'
  let closing: Promise<void> | undefined

  async function close(): Promise<void> {
    // Handlers under way may still append what they made: only consumers are refused before they have stopped.
    state = 'closing'
    await Promise.all([...consumers].map((consumer) => consumer.stop()))
    state = 'closed'
    await backend.dispose()
  }

  function assertOpen(): void {
    if (state === 'closed') throw logClosed()
  }

  function assertPartition({ topic, partition }: TopicPartition): void {
    const partitions = backend.partitionCount(topic)
    if (partition < 0 || partition >= partitions) throw unknownPartition(topic, partition, partitions)
  }

  const { claimPartition } = backend
  const claim =
    claimPartition &&
    (async (at: TopicPartition) => {
      assertOpen()
      assertPartition(at)
      const write = await claimPartition(at)
      return createClaim(at, async (records) => {
        assertOpen()
        for (const record of records) assertRecordFits({ topic: at.topic, ...record }, recordBytesMax)
        return write(records)
      })
    })

  function offsets(topics: readonly string[], offsetOf: LocalStore['start']): Map<string, number[]> {
    assertOpen()
    const toOffsets = (topic: string) =>
      Array.from({ length: backend.partitionCount(topic) }, (_, partition) => offsetOf(topic, partition))
    return new Map(topics.map((topic) => [topic, toOffsets(topic)]))
  }

  return {
    kind: backend.kind,
    async ensureTopics(topics) {
      assertOpen()
      await backend.ensureTopics(topics)
    },
    async append(records, { durability = 'synced' } = {}) {
      assertOpen()
      for (const record of records) {
        backend.partitionCount(record.topic)
        assertRecordFits(record, recordBytesMax)
      }
      return backend.append(records, durability)
    },
    async sync() {
      assertOpen()
      await backend.sync()
    },
    async consume(options) {
      if (state !== 'open') throw logClosed()
      const consumer = createLocalConsumer({ store: backend, schedule, commitMs }, options)
      const stop = () => consumer.stop().finally(() => consumers.delete(consumer))
      consumers.add(consumer)
      await consumer.start().catch((error: unknown) => {
        consumers.delete(consumer)
        throw error
      })
      const abandon = () => {
        consumer.abandon()
        void stop()
      }
      return { ...consumer, abandon, stop }
    },
    async *read({ topic, partition }, { from, to }) {
      for (let next = from; next < to;) {
        assertOpen()
        assertPartition({ topic, partition })
        backend.refresh()
        const read = backend.page(topic, partition, next, Math.min(pageRecordsMax, to - next))
        const page = read.filter(({ offset }) => offset < to)
        if (page.length === 0) return
        yield page
        next = page.at(-1)!.offset + 1
        await new Promise<void>((resolve) => void schedule(resolve, 0))
      }
    },
    starts: async (topics) => offsets(topics, backend.start),
    ends: async (topics) => offsets(topics, backend.end),
    async committed(groupId, topics) {
      assertOpen()
      return backend.committed(groupId, topics)
    },
    ...(claim && { claim }),
    async owners(groupId) {
      assertOpen()
      return backend.owners(groupId)
    },
    close: () => (closing ??= close()),
  }
}
