/** Topics of a Kafka cluster: creates them, remembers their partition counts, looks up where they start and end. */
import { setTimeout as sleep } from 'node:timers/promises'
import { LogError, type AppendRecord, type ConsumeOptions, type TopicSpec } from './event-log.ts'
import type { KafkaClient, KafkaCluster } from './kafka-client.ts'
import { toProtocolErrorTypes } from './kafka-errors.ts'
import { placeKey } from './placement.ts'

export interface KafkaTopics {
  ensure(specs: readonly TopicSpec[]): Promise<void>
  /** Makes the topics known. @throws LogError `unknown-topic` */
  learn(topics: readonly string[]): Promise<void>
  /** Partition numbers of topics that are known. */
  partitions(topics: readonly string[]): Map<string, number[]>
  /** The partition of a record, undefined when its topic is not known yet. */
  partitionOf(record: AppendRecord): number | undefined
  /** First stored offsets (`earliest`) or ends (`latest`), by partition number. */
  offsets(topics: readonly string[], at: ConsumeOptions['startFrom']): Promise<Map<string, number[]>>
}

/** What a cluster has set for a topic, as it prints it: `retention.ms` and others by name. */
export type TopicSettings = ReadonlyMap<string, string>

const topicResource = 2

/** Looks up these settings of topics that are there, by topic. @throws LogError `authentication` for a user who may not see them. */
export async function fetchTopicSettings(
  client: KafkaClient,
  topics: readonly string[],
  names: readonly string[],
): Promise<Map<string, TopicSettings>> {
  const wanted = topics.map((name) => ({ type: topicResource, name, configNames: names }))
  const { resources } = await client.attempt('look up the settings of topics', async (cluster) =>
    (await cluster.findControllerBroker()).describeConfigs({ resources: wanted }),
  )
  return new Map(
    resources.map(({ resourceName, configEntries }) => [
      resourceName,
      new Map(configEntries.map(({ configName, configValue }) => [configName, configValue ?? ''])),
    ]),
  )
}

export function createKafkaTopics(client: KafkaClient, replicationFactor: number): KafkaTopics {
  const counts = new Map<string, number>()
  let keyless = 0

  async function learn(topics: readonly string[]): Promise<void> {
    const fresh = topics.filter((topic) => !counts.has(topic))
    // One by one: the cluster's answer does not say which topic of several it does not know.
    for (const topic of fresh) {
      await client.attempt(`use topic ${topic}`, async (cluster) => {
        await cluster.addMultipleTargetTopics([topic])
        const { length } = cluster.findTopicPartitionMetadata(topic)
        // kafkajs asks for a topic once; when that failed, it takes the topic for one without partitions.
        if (length === 0) throw new Error(`no broker said how many partitions ${topic} has`)
        counts.set(topic, length)
      })
    }
  }

  async function ensure(specs: readonly TopicSpec[]): Promise<void> {
    await client.attempt('create topics', (cluster) => createMissing(cluster, specs, replicationFactor))
    for (const { name, partitions } of specs) {
      await waitUntilKnown(name, learn)
      const count = counts.get(name)!
      if (count === partitions) continue
      const message = `Cannot use topic ${name}: it has ${count} partitions, and ${partitions} are configured`
      throw new LogError('partition-count', message)
    }
  }

  const partitions = (topics: readonly string[]) =>
    new Map(topics.map((topic) => [topic, Array.from({ length: counts.get(topic)! }, (_, partition) => partition)]))

  return {
    ensure,
    learn,
    partitions,
    partitionOf({ topic, key }) {
      const count = counts.get(topic)
      if (count === undefined) return undefined
      return key === null ? keyless++ % count : placeKey(key, count)
    },
    async offsets(topics, at) {
      await learn(topics)
      const wanted = [...partitions(topics)].map(([topic, numbers]) => ({
        topic,
        fromBeginning: at === 'earliest',
        partitions: numbers.map((partition) => ({ partition })),
      }))
      const found = await client.attempt(`look up offsets of ${topics.join(', ')}`, (cluster) =>
        cluster.fetchTopicsOffset(wanted),
      )
      const byTopic = new Map(topics.map((topic): [string, number[]] => [topic, []]))
      for (const { topic, partitions: offsets } of found) {
        for (const { partition, offset } of offsets) byTopic.get(topic)![partition] = Number(offset)
      }
      return byTopic
    },
  }
}

/** The log is what orders are rebuilt from: records are kept, not dropped after a week. */
const keptEntries = [{ name: 'retention.ms', value: '-1' }]
/**
 * Brokers compact a partition when half of it is out of date, and never the segment that is written. At the default of 1 GiB a segment
 * most topics would never be compacted, and whoever takes a partition over would read every snapshot there ever was.
 */
const compactedEntries = [
  { name: 'cleanup.policy', value: 'compact' },
  { name: 'segment.bytes', value: String(64 * 1024 * 1024) },
  { name: 'min.cleanable.dirty.ratio', value: '0.2' },
]

async function createMissing(
  cluster: KafkaCluster,
  specs: readonly TopicSpec[],
  replicationFactor: number,
): Promise<void> {
  await cluster.refreshMetadata()
  const listed = await cluster.metadata()
  if (!listed) throw new Error('no broker answered')
  const existing = new Set(listed.topicMetadata.map(({ topic }) => topic))
  // Those that exist are not asked for: a program that may not create topics can use them.
  const missing = specs.filter(({ name }) => !existing.has(name))
  if (missing.length === 0) return
  const topics = missing.map(({ name, partitions, compacted }) => ({
    topic: name,
    numPartitions: partitions,
    replicationFactor,
    configEntries: compacted ? compactedEntries : keptEntries,
  }))
  const controller = await cluster.findControllerBroker()
  await controller.createTopics({ topics, timeout: 10_000 }).catch((error: unknown) => {
    // Another process was faster.
    if (!toProtocolErrorTypes(error).every((type) => type === 'TOPIC_ALREADY_EXISTS')) throw error
  })
}

/** A topic that was just created may be unknown to a broker for a moment. */
async function waitUntilKnown(topic: string, learn: KafkaTopics['learn']): Promise<void> {
  for (let delayMs = 10; ; delayMs *= 2) {
    try {
      return await learn([topic])
    } catch (error) {
      if (!(error instanceof LogError && error.code === 'unknown-topic') || delayMs > 5_000) throw error
      await sleep(delayMs)
    }
  }
}
