/** How long a partition has no owner when one of three members leaves in good order: from `stop` to the first record at its heir. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createKafkaLog, type KafkaLog } from '../../src/log/kafka-log.ts'
import { ascending, createSignal, createTopic, joinGroup, uniqueName, type Member } from '../contract/support.ts'
import { kafkaAvailable, needsKafka, startTestBroker, type TestBroker } from './broker.ts'

const partitions = 6
const rounds = 7

describe.skipIf(!(await kafkaAvailable()))(`A member that leaves (${needsKafka})`, { timeout: 60_000 }, () => {
  let broker: TestBroker
  const logs: KafkaLog[] = []

  beforeAll(async () => {
    broker = await startTestBroker()
    const connection = { brokers: [broker.bootstrapServers], clientId: 'hand-over', ssl: false } as const
    for (let i = 0; i < 3; i++) logs.push(createKafkaLog({ connection }))
  }, 60_000)

  afterAll(async () => {
    await Promise.all(logs.map((log) => log.close()))
    await broker.close()
  })

  it('hands its partitions over within a second', async () => {
    const topic = await createTopic(logs[0]!, partitions)
    const signal = createSignal()
    const arrivals = new Map<string, number>()
    const join = (log: KafkaLog) =>
      joinGroup(log, {
        groupId,
        topics: [topic],
        signal,
        onBatch(records) {
          for (const { value } of records) arrivals.set(String(value), performance.now())
        },
      })
    const groupId = uniqueName('group')
    const members: Member[] = []
    for (const log of logs) members.push(await join(log))
    const isSpread = () => members.every((member) => member.owned().length === partitions / members.length)
    const delays: number[] = []
    for (let round = 0; round < rounds; round++) {
      await signal.until(isSpread)
      const leaver = members.shift()!
      const left = leaver.owned()
      const startedAt = performance.now()
      const stopped = leaver.consumer.stop()
      // Appended once it has stopped, so that an heir delivers them; one key after the other until every partition has one.
      await stopped
      const keys = Array.from({ length: 64 }, (_, i) => ({ topic, key: `${i}`, value: `${round} ${i}` }))
      const placed = await logs[0]!.append(keys)
      const due = keys.filter((_, i) => left.includes(placed[i]!.partition)).map(({ value }) => value)
      await signal.until(() => due.every((value) => arrivals.has(value)))
      delays.push(Math.max(...due.map((value) => arrivals.get(value)!)) - startedAt)
      members.push(await join(logs[round % 3]!))
    }
    const sorted = delays.map(Math.round).toSorted(ascending)
    console.log(`Milliseconds from stop to the last of its partitions at an heir: ${sorted.join(', ')}`)
    expect(sorted[Math.floor(rounds / 2)]).toBeLessThan(1_000)
    for (const { violations } of members) expect(violations).toEqual([])
  })
})
