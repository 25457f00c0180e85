/**
 * Kafka producer. Places records, gathers overlapping appends into few requests, retries within a bound. Owns the records between the
 * call and the broker's answer.
 *
 * P1: one write is in flight at a time, and writes keep the order of the calls; so a retry cannot overtake.
 * P2: a broker answers when every in-sync replica has the records (acks=-1).
 * P3: a retry after an unknown outcome may write records twice. The log promises at least once, and an idempotent producer
 *     would lose that trade: it keeps a sequence for each partition that is void after the first write given up.
 */
import { createBatcher } from './batcher.ts'
import type { AppendRecord, Coordinates } from './event-log.ts'
import { sendProduce, toProtocolError, type KafkaClient, type KafkaCluster } from './kafka-client.ts'
import { encodeProduce, type ProduceMessage } from './kafka-encoding.ts'
import { measureRecord, splitByBytes } from './kafka-sizes.ts'

export interface KafkaProducerOptions {
  readonly client: KafkaClient
  /** How long an append may wait for the cluster before it fails as `unavailable`. */
  readonly appendTimeoutMs: number
  /** Largest record (key, value and headers together). */
  readonly recordBytesMax: number
}

export interface KafkaProducer {
  append(records: readonly AppendRecord[]): Promise<Coordinates[]>
  /** Resolves when nothing is in flight. */
  idle(): Promise<void>
}

interface PlacedRecord {
  readonly topic: string
  readonly partition: number
  readonly message: ProduceMessage
  readonly bytes: number
  readonly dueAtMs: number
}

/** Kafka's error code for UNKNOWN_TOPIC_OR_PARTITION. */
const unknownTopic = 3

/** @param placeRecord gives the partition of a record whose topic is known, undefined when the topic is not known yet. */
export function createKafkaProducer(
  { client, appendTimeoutMs, recordBytesMax }: KafkaProducerOptions,
  topics: { partitionOf(record: AppendRecord): number | undefined; learn(topics: readonly string[]): Promise<void> },
): KafkaProducer {
  const batcher = createBatcher<PlacedRecord, Coordinates>({ write })
  // While a topic is looked up, later appends wait behind: order is kept over all topics.
  let lookup: Promise<void> | undefined

  function place(records: readonly AppendRecord[]): PlacedRecord[] | undefined {
    const dueAtMs = Date.now() + appendTimeoutMs
    const placed: PlacedRecord[] = []
    for (const record of records) {
      const { topic, key, value, headers } = record
      const partition = topics.partitionOf(record)
      if (partition === undefined) return undefined
      const bytes = measureRecord(record, recordBytesMax)
      placed.push({ topic, partition, message: headers ? { key, value, headers } : { key, value }, bytes, dueAtMs })
    }
    return placed
  }

  async function placeAfterLookup(records: readonly AppendRecord[]): Promise<Coordinates[]> {
    const before = lookup ?? Promise.resolve()
    const mine = before.catch(() => {}).then(() => topics.learn([...new Set(records.map(({ topic }) => topic))]))
    lookup = mine
    try {
      await mine
      return await batcher.add(place(records)!)
    } finally {
      if (lookup === mine) lookup = undefined
    }
  }

  async function write(records: readonly PlacedRecord[]): Promise<Coordinates[]> {
    const coordinates: Coordinates[] = []
    for (const part of splitByBytes(records, recordBytesMax)) {
      const { topic, dueAtMs } = part[0]!
      const placed = new Map<PlacedRecord, Coordinates>()
      // Partitions that took their records are not sent again: a partition that is slow to come up costs no duplicates elsewhere.
      const sendRest = (cluster: KafkaCluster) => {
        const rest = placed.size === 0 ? part : part.filter((record) => !placed.has(record))
        return produce(cluster, rest, appendTimeoutMs, placed)
      }
      await client.attempt(`append to ${topic}`, sendRest, dueAtMs)
      for (const record of part) coordinates.push(placed.get(record)!)
    }
    return coordinates
  }

  return {
    async append(records) {
      const placed = lookup ? undefined : place(records)
      return placed ? batcher.add(placed) : placeAfterLookup(records)
    },
    idle: () => batcher.idle(),
  }
}

/** The error for a code in the answer to a Produce request for a topic that is known. */
export function toProduceError(code: number): Error {
  // A broker that does not know the topic has not heard of it yet, or no more: worth another try.
  return code === unknownTopic ? new Error('a broker does not know the topic') : toProtocolError(code)
}

interface PartitionData {
  readonly partition: number
  readonly messages: ProduceMessage[]
  readonly records: PlacedRecord[]
}

/** Sends records to their leaders; notes in `placed` where they stand. @throws the first error, when all have answered. */
async function produce(
  cluster: KafkaCluster,
  records: readonly PlacedRecord[],
  timeoutMs: number,
  placed: Map<PlacedRecord, Coordinates>,
): Promise<void> {
  const byTopic = new Map<string, Map<number, PartitionData>>()
  for (const record of records) {
    const { topic, partition, message } = record
    let partitions = byTopic.get(topic)
    if (!partitions) byTopic.set(topic, (partitions = new Map<number, PartitionData>()))
    let data = partitions.get(partition)
    if (!data) partitions.set(partition, (data = { partition, messages: [], records: [] }))
    data.messages.push(message)
    data.records.push(record)
  }
  await cluster.refreshMetadataIfNecessary()
  const answers = await Promise.allSettled(
    [...groupByLeader(cluster, byTopic)].map(async ([nodeId, topicData]) => {
      const broker = await cluster.findBroker({ nodeId })
      const { topics } = await sendProduce(broker, encodeProduce(topicData, timeoutMs, Date.now()))
      let failed = 0
      for (const { topicName: topic, partitions } of topics) {
        for (const { partition, errorCode, baseOffset } of partitions) {
          failed ||= errorCode
          if (errorCode !== 0) continue
          const first = Number(baseOffset)
          const written = byTopic.get(topic)!.get(partition)!.records
          for (const [i, record] of written.entries()) placed.set(record, { topic, partition, offset: first + i })
        }
      }
      if (failed !== 0) throw toProduceError(failed)
    }),
  )
  // Only when all have answered: what fails here is sent again, and nothing may be in flight then (P1).
  for (const answer of answers) if (answer.status === 'rejected') throw answer.reason
}

function groupByLeader(cluster: KafkaCluster, byTopic: ReadonlyMap<string, ReadonlyMap<number, PartitionData>>) {
  const requests = new Map<number, { topic: string; partitions: PartitionData[] }[]>()
  for (const [topic, partitions] of byTopic) {
    for (const { partitionId, leader } of cluster.findTopicPartitionMetadata(topic)) {
      const data = partitions.get(partitionId)
      if (!data) continue
      let topics = requests.get(leader)
      if (!topics) requests.set(leader, (topics = []))
      if (topics.at(-1)?.topic !== topic) topics.push({ topic, partitions: [] })
      topics.at(-1)!.partitions.push(data)
    }
  }
  return requests
}
