import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createKafkaLog, type KafkaLog } from '../../src/log/kafka-log.ts'
import { createTopic, uniqueName } from '../contract/support.ts'
import { kafkaAvailable, needsKafka, startTestBroker, type TestBroker } from './broker.ts'

describe.skipIf(!(await kafkaAvailable()))(`A member that was killed (${needsKafka})`, () => {
  let broker: TestBroker
  const logs: KafkaLog[] = []

  /** Long time-outs: whatever comes within the test's own was not waited for. */
  function open(host: string, pid: number, alive: readonly number[]): KafkaLog {
    const log = createKafkaLog({
      connection: { brokers: [broker.bootstrapServers], clientId: 'dead-member', ssl: false },
      processes: { own: { host, pid }, isAlive: (other) => alive.includes(other) },
      sessionTimeoutMs: 60_000,
      rebalanceTimeoutMs: 60_000,
    })
    logs.push(log)
    return log
  }

  async function join(log: KafkaLog, groupId: string, topic: string) {
    const assigned = Promise.withResolvers<readonly number[]>()
    const consumer = await log.consume({
      groupId,
      topics: [topic],
      startFrom: 'earliest',
      positions: 'group',
      onAssigned(partitions) {
        assigned.resolve(partitions)
        return {}
      },
      onBatch: () => {},
    })
    return { consumer, assigned: assigned.promise }
  }

  beforeAll(async () => {
    broker = await startTestBroker()
  })

  afterAll(async () => {
    for (const log of logs) log.crash()
    await broker.close()
  })

  it('is dismissed by the next process of its host, which gets its partitions without waiting for a time-out', async () => {
    const first = open('here', 1, [])
    const topic = await createTopic(first, 3)
    const groupId = uniqueName('group')
    await (
      await join(first, groupId, topic)
    ).assigned
    first.crash()
    const second = await join(open('here', 2, [2]), groupId, topic)
    expect(await second.assigned).toEqual([0, 1, 2])
  })

  it('is told from one that lives: that one keeps its share', async () => {
    const first = open('here', 1, [1])
    const topic = await createTopic(first, 3)
    const groupId = uniqueName('group')
    const alive = await join(first, groupId, topic)
    await alive.assigned
    const next = await join(open('here', 2, [1, 2]), groupId, topic)
    const taken = await next.assigned
    expect([...alive.consumer.assigned(), ...taken].toSorted((a, b) => a - b)).toEqual([0, 1, 2])
    expect(taken.length).toBeLessThan(3)
  })
})
