/**
 * Apache Kafka behind the log port. Composes producer, consumers and look-ups over kafka-client; owns their lifetimes.
 *
 * Producer and look-ups share one connection pair to each broker; claims have a pair, and every consumer has its own, so that a long
 * fetch, a rebalance or a transaction holds up nothing else: a broker takes the requests of one connection one after the other.
 */
import {
  LogError,
  type AppendRecord,
  type ConsumeOptions,
  type EventLog,
  type LogRecord,
  type TopicPartition,
} from './event-log.ts'
import { createKafkaClaims } from './kafka-claim.ts'
import { createKafkaClient, findLeader, sendFetch, type KafkaClient } from './kafka-client.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { createKafkaConsumer, type KafkaConsumer, type KafkaConsumerTimes } from './kafka-consumer.ts'
import { toRecords } from './kafka-cursors.ts'
import { encodeFetch } from './kafka-encoding.ts'
import { protocolErrorType } from './kafka-errors.ts'
import { fetchCommitted, fetchOwners, type Processes } from './kafka-group.ts'
import { createKafkaProducer } from './kafka-producer.ts'
import { createKafkaTopics, fetchTopicSettings, type KafkaTopics, type TopicSettings } from './kafka-topics.ts'

export interface KafkaLogOptions extends Partial<KafkaConsumerTimes> {
  readonly connection: KafkaConnection
  /** Copies of each partition of topics that `ensureTopics` creates (default: what the brokers are set to). */
  readonly replicationFactor?: number
  /** How long an append or a look-up may wait for the cluster before it fails as `unavailable` (default 10,000). */
  readonly appendTimeoutMs?: number
  /** Largest record (default 1,000,000); the brokers' `message.max.bytes` must be a little more. */
  readonly recordBytesMax?: number
  /** Tells whether a member of a group is a dead process of this host (default: nobody is known to be dead). */
  readonly processes?: Processes
  /** Told of trouble on the way to the cluster, for logging. Holds no credentials. */
  readonly onWarning?: (message: string) => void
}

export interface KafkaLog extends EventLog {
  /** What the cluster has set for topics, by topic; for the doctor. @throws LogError */
  topicSettings(topics: readonly string[], names: readonly string[]): Promise<ReadonlyMap<string, TopicSettings>>
  /** Ends as kill -9 would: no commit, no leave, nothing flushed. For tests. */
  crash(): void
}

const defaultTimes: KafkaConsumerTimes = {
  sessionTimeoutMs: 6_000,
  // A live member has noticed by then, also on a busy machine; and who joins waits no longer for one that is dead on another machine.
  rebalanceTimeoutMs: 2_000,
  heartbeatMs: 500,
  commitMs: 200,
  fetchWaitMs: 100,
  fetchBytesMax: 1024 * 1024,
}
const pageRecordsMax = 1_000

/** Opens the log. Connects when first used, so that a broker may come up later than this process. */
export function createKafkaLog(options: KafkaLogOptions): KafkaLog {
  const { connection, appendTimeoutMs = 10_000, recordBytesMax = 1_000_000, onWarning = () => {} } = options
  const times = { ...defaultTimes, ...options }
  const { processes = { own: { host: '', pid: 0 }, isAlive: () => true } } = options
  const openClient = () => createKafkaClient({ connection, operationTimeoutMs: appendTimeoutMs, onWarning })
  const client = openClient()
  const topics = createKafkaTopics(client, options.replicationFactor ?? -1)
  const producer = createKafkaProducer({ client, appendTimeoutMs, recordBytesMax }, topics)
  const claimClient = openClient()
  const claims = createKafkaClaims(
    { client: claimClient, appendTimeoutMs, recordBytesMax },
    createKafkaTopics(claimClient, -1),
  )
  const consumers = new Set<KafkaConsumer>()
  let closing: Promise<void> | undefined

  function assertOpen(action: string): void {
    if (closing) throw new LogError('closed', `Cannot ${action}: the log is closed`)
  }

  return {
    kind: 'kafka',
    ensureTopics: topics.ensure,
    async append(records: readonly AppendRecord[]) {
      assertOpen('append')
      return producer.append(records)
    },
    async sync() {
      // acks=all is all that Kafka offers, and every append that has resolved has it.
      assertOpen('sync')
    },
    async consume(consumeOptions: ConsumeOptions) {
      assertOpen(`consume for group ${consumeOptions.groupId}`)
      const consumer = createKafkaConsumer({ openClient, processes, times }, consumeOptions)
      consumers.add(consumer)
      consumer.start()
      const stop = async () => {
        await consumer.stop()
        consumers.delete(consumer)
      }
      const abandon = () => {
        consumer.abandon()
        void stop()
      }
      return { ...consumer, abandon, stop }
    },
    read: (at, range) => read(client, topics, at, range, times),
    starts: (names) => topics.offsets(names, 'earliest'),
    ends: (names) => topics.offsets(names, 'latest'),
    async committed(groupId, names) {
      await topics.learn(names)
      return client.attempt(`look up positions of group ${groupId}`, async (cluster) =>
        fetchCommitted(await cluster.findGroupCoordinator({ groupId }), groupId, topics.partitions(names)),
      )
    },
    topicSettings: (names, settings) => fetchTopicSettings(client, names, settings),
    async claim(at: TopicPartition) {
      assertOpen(`claim ${at.topic}/${at.partition}`)
      return claims.claim(at)
    },
    owners: (groupId) =>
      client.attempt(`look up owners of group ${groupId}`, async (cluster) =>
        fetchOwners(await cluster.findGroupCoordinator({ groupId }), groupId),
      ),
    close() {
      closing ??= (async () => {
        await Promise.all([...consumers].map((consumer) => consumer.stop()))
        await Promise.all([producer.idle(), claims.idle()])
        await Promise.all([client.close(), claimClient.close()])
      })()
      return closing
    },
    crash() {
      closing ??= Promise.resolve()
      for (const consumer of consumers) consumer.crash()
      client.destroy()
      claimClient.destroy()
    },
  }
}

/** Reads outside any group: a group of its own would cost a join, its rebalance delay and the right to make groups. */
async function* read(
  client: KafkaClient,
  topics: KafkaTopics,
  at: TopicPartition,
  { from, to }: { from: number; to: number },
  { fetchWaitMs, fetchBytesMax }: KafkaConsumerTimes,
): AsyncIterable<readonly LogRecord[]> {
  const { topic, partition } = at
  const action = `read ${topic}/${partition}`
  const start = (await topics.offsets([topic], 'earliest')).get(topic)?.[partition] ?? 0
  const end = Math.min(to, (await topics.offsets([topic], 'latest')).get(topic)?.[partition] ?? 0)
  const limits = { waitMs: fetchWaitMs, bytesMax: fetchBytesMax, partitionBytesMax: fetchBytesMax }
  let next = Math.max(from, start)
  while (next < end) {
    const wanted = encodeFetch([{ topic, partitions: [{ partition, fetchOffset: next }] }], limits)
    const fetched = await client.attempt(action, async (cluster) => {
      const { responses } = await sendFetch(await findLeader(cluster, at), wanted).catch((error: unknown) => {
        // Retention went on while this read: what is gone is skipped by beginning again at the new start.
        if (protocolErrorType(error) === 'OFFSET_OUT_OF_RANGE') return { responses: [] }
        throw error
      })
      return responses[0]?.partitions[0]
    })
    const found = fetched && toRecords(topic, fetched, next)
    if (found && found.next > next) {
      next = found.next
      const records = found.records.filter(({ offset }) => offset < end)
      for (let i = 0; i < records.length; i += pageRecordsMax) yield records.slice(i, i + pageRecordsMax)
    } else {
      const stored = (await topics.offsets([topic], 'earliest')).get(topic)![partition]!
      if (stored <= next)
        throw new LogError('unavailable', `Cannot ${action}: nothing came at offset ${next}, before the end ${end}`)
      next = stored
    }
  }
}
