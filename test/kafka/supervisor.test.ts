import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { consumeSupervised } from '../../src/actors/supervisor.ts'
import { createTallies } from '../../src/actors/tallies.ts'
import { createKafkaLog } from '../../src/log/kafka-log.ts'
import { createLogger } from '../../src/logger.ts'
import { kafkaAvailable, needsKafka, startTestBroker, type TestBroker } from './broker.ts'

const canRun = await kafkaAvailable()

describe.skipIf(!canRun)(`A supervised consumer on Kafka (${needsKafka})`, () => {
  let broker: TestBroker | undefined
  beforeAll(async () => {
    broker = await startTestBroker()
  }, 120_000)
  afterAll(() => broker?.close())

  test(
    'is replaced within 15 s when its handler hangs, and is given the records again',
    { timeout: 60_000 },
    async () => {
      const connection = { brokers: [broker!.bootstrapServers], clientId: 'test', ssl: false }
      const log = createKafkaLog({ connection })
      const logger = await createLogger({ level: 'silent', destination: { write: () => {} }, format: 'json' })
      const tallies = createTallies()
      await log.ensureTopics([{ name: 'hanging', partitions: 1 }])
      const first = Promise.withResolvers<number>()
      const again = Promise.withResolvers<number>()
      const consumer = await consumeSupervised(
        {
          groupId: 'hanging',
          topics: ['hanging'],
          startFrom: 'earliest',
          positions: 'group',
          onBatch(records) {
            const isFirst = tallies.recordsTaken === 0
            tallies.recordsTaken += records.length
            const { resolve } = isFirst ? first : again
            resolve(performance.now())
            return isFirst ? new Promise<void>(() => {}) : undefined
          },
        },
        { log, logger, role: 'sauce', tallies, isExcused: () => false },
      )
      await log.append([{ topic: 'hanging', key: 'k', value: 'v' }])
      const tookMs = -(await first.promise) + (await again.promise)
      console.log(`A consumer whose handler hangs was replaced after ${(tookMs / 1_000).toFixed(1)} s`)
      expect(tookMs).toBeLessThan(15_000)
      expect(tallies).toMatchObject({ recycled: 1, recordsTaken: 2 })
      await consumer.stop()
      await log.close()
    },
  )
})
