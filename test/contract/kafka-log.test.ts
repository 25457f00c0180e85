import kafkajs from 'kafkajs'
import { describe } from 'vitest'
import type { TopicPartition } from '../../src/log/event-log.ts'
import { createKafkaLog } from '../../src/log/kafka-log.ts'
import { kafkaAvailable, needsKafka, startTestBroker } from '../kafka/broker.ts'
import { describeLogContract } from './event-log.contract.ts'

describe.skipIf(!(await kafkaAvailable()))(`on Apache Kafka (${needsKafka})`, () => {
  describeLogContract(
    'kafka',
    async () => {
      const broker = await startTestBroker()
      const connection = { brokers: [broker.bootstrapServers], clientId: 'contract', ssl: false } as const
      return {
        open: async () => createKafkaLog({ connection }),
        async openCrashable() {
          const log = createKafkaLog({ connection })
          return { log, crash: async () => log.crash() }
        },
        async beginOutage() {
          await broker.kill()
          return () => broker.restart()
        },
        deleteBelow: (at, offset) => deleteBelow(broker.bootstrapServers, at, offset),
        close: () => broker.close(),
      }
    },
    { testTimeoutMs: 30_000 },
  )
})

async function deleteBelow(broker: string, { topic, partition }: TopicPartition, offset: number): Promise<void> {
  const admin = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.NOTHING }).admin()
  await admin.connect()
  // Deleting needs the topic's metadata, and does not look it up.
  await admin.fetchTopicOffsets(topic)
  await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] })
  await admin.disconnect()
}
