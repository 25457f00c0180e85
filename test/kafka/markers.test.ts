/**
 * Topics that other programs append to with transactions: the last thing of a partition is then a marker, or records that were aborted.
 * Whoever waits for the end of such a topic must get there, though there is no record to be handed out (L6).
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import kafkajs, { type Producer } from 'kafkajs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startCheeseReporter } from '../../src/actors/cheese-reporter.ts'
import { readLags, topicsOfRoles } from '../../src/actors/lag.ts'
import { startOrderHost } from '../../src/actors/order-host.ts'
import { createOrderService } from '../../src/actors/order-service.ts'
import { createOrderStore } from '../../src/actors/order-store.ts'
import { createReportStore } from '../../src/actors/report-store.ts'
import type { Role } from '../../src/actors/role.ts'
import { startToppingService } from '../../src/actors/topping-service.ts'
import { createKafkaLog, type KafkaLog } from '../../src/log/kafka-log.ts'
import { createLogger } from '../../src/logger.ts'
import { recipe } from '../../src/menu.ts'
import { createTopics, type Topics } from '../../src/topics.ts'
import { createSignal, createTopic, joinGroup, readAll, uniqueName, valuesOf } from '../contract/support.ts'
import { orderRecord, toppedRecord } from '../support/memory-shop.ts'
import { until } from '../support/until.ts'
import { kafkaAvailable, needsKafka, startTestBroker, type TestBroker } from './broker.ts'

const partition = 0

describe.skipIf(!(await kafkaAvailable()))(`Behind transactions on Kafka (${needsKafka})`, { timeout: 60_000 }, () => {
  let broker: TestBroker
  const closers: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    broker = await startTestBroker()
  }, 60_000)
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close()
  })
  afterAll(() => broker.close())

  function open(): KafkaLog {
    const log = createKafkaLog({ connection: { brokers: [broker.bootstrapServers], clientId: 'markers', ssl: false } })
    closers.push(() => log.close())
    return log
  }

  /** A program in another language that appends with transactions. */
  async function openForeign(): Promise<Producer> {
    const { logLevel, Partitioners, Kafka } = kafkajs
    const foreign = new Kafka({ brokers: [broker.bootstrapServers], logLevel: logLevel.NOTHING }).producer({
      transactionalId: uniqueName('foreign'),
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: Partitioners.DefaultPartitioner,
      retry: { initialRetryTime: 20, retries: 20 },
    })
    await foreign.connect()
    closers.push(() => foreign.disconnect())
    return foreign
  }

  const endOf = async (log: KafkaLog, topic: string) => (await log.ends([topic])).get(topic)![partition]!
  const committedBy = async (log: KafkaLog, groupId: string, topic: string) =>
    (await log.committed(groupId, [topic])).get(topic)?.get(partition)

  /** Appends a record and the end of its transaction, or one that is aborted. @returns where the topic ends then. */
  async function transact(log: KafkaLog, foreign: Producer, topic: string, value: string, how: 'commit' | 'abort') {
    const before = await endOf(log, topic)
    const transaction = await foreign.transaction()
    await transaction.send({ topic, messages: [{ partition, key: 'k', value }] })
    await transaction[how]()
    return until(`the end of ${topic} to pass the transaction`, async () => {
      const end = await endOf(log, topic)
      return end >= before + 2 ? end : undefined
    })
  }

  it.each(['commit', 'abort'] as const)('a group comes to the end, after a %s and nothing else', async (how) => {
    const log = open()
    const foreign = await openForeign()
    const topic = await createTopic(log, 1)
    const groupId = uniqueName('group')
    const signal = createSignal()
    await transact(log, foreign, topic, 'first', how)
    const passed: number[] = []
    const member = await joinGroup(log, {
      groupId,
      topics: [topic],
      signal,
      onPassed: (positions) => void passed.push(positions.get(topic)!.get(partition)!),
    })
    const isAt = (end: number) =>
      until(`the group to be at ${end}`, async () => (await committedBy(log, groupId, topic)) === end)
    await isAt(2)
    await isAt(await transact(log, foreign, topic, 'second', how))
    expect(passed).toEqual([2, 4])
    expect(valuesOf(member.records)).toEqual(how === 'commit' ? ['first', 'second'] : [])
    // It says so once: each commit is a record of this topic.
    const commits = async () =>
      (await log.ends(['__consumer_offsets'])).get('__consumer_offsets')!.reduce((a, b) => a + b)
    const before = await commits()
    await log.append([{ topic, key: 'k', value: 'third' }])
    await isAt(5)
    expect((await commits()) - before).toBe(1)
    expect(passed).toEqual([2, 4])
    expect(member.violations).toEqual([])
  })

  it('a handler of passed positions is called again when it throws, and not while its topic is paused', async () => {
    const log = open()
    const foreign = await openForeign()
    const [paused, other] = [await createTopic(log, 1, 'paused'), await createTopic(log, 1, 'other')]
    const signal = createSignal()
    await transact(log, foreign, paused, 'aborted', 'abort')
    const told: string[] = []
    const member = await joinGroup(log, {
      groupId: uniqueName('group'),
      topics: [paused, other],
      signal,
      positions: 'own',
      onAssigned: () => ({ pausedTopics: [paused] }),
      onPassed(positions) {
        told.push(
          ...[...positions].map(([topic, at]) => `${topic === paused ? 'paused' : 'other'} ${at.get(partition)}`),
        )
        signal.raise()
        if (told.length === 1) throw new Error('no cheese left')
      },
    })
    await transact(log, foreign, other, 'aborted', 'abort')
    await signal.until(() => told.length === 2)
    member.consumer.resume([paused])
    await signal.until(() => told.length === 3)
    expect(told).toEqual(['other 2', 'other 2', 'paused 2'])
    expect(member.errors).toEqual([new Error('no cheese left')])
    expect([member.records, member.violations]).toEqual([[], []])
  })

  it('what retention deleted before it was read is passed, too', async () => {
    const log = open()
    const topic = await createTopic(log, 1)
    const signal = createSignal()
    await log.append([1, 2, 3].map((value) => ({ topic, key: 'k', value: `${value}` })))
    const admin = new kafkajs.Kafka({ brokers: [broker.bootstrapServers], logLevel: kafkajs.logLevel.NOTHING }).admin()
    await admin.connect()
    closers.push(() => admin.disconnect())
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: '3' }] })
    const passed: number[] = []
    const member = await joinGroup(log, {
      groupId: uniqueName('group'),
      topics: [topic],
      signal,
      positions: 'own',
      onAssigned: () => ({ positions: new Map([[topic, new Map([[partition, 1]])]]) }),
      onPassed(positions) {
        passed.push(positions.get(topic)!.get(partition)!)
        signal.raise()
      },
    })
    await signal.until(() => passed.length === 1)
    expect([passed, member.records]).toEqual([[3], []])
  })

  it('records of aborted transactions are left out, also of those that overlap, and whatever the keys', async () => {
    const log = open()
    const producers = [await openForeign(), await openForeign()] as const
    const topic = await createTopic(log, 1)
    // As Java writes the number 0; the marker that ends an aborted transaction has the same key.
    const zero = Buffer.alloc(4)
    const [first, second] = [await producers[0].transaction(), await producers[1].transaction()]
    const send = (transaction: typeof first, value: string) =>
      transaction.send({ topic, messages: [{ partition, key: zero, value }] })
    await send(first, 'aborted 1')
    await send(second, 'aborted 2')
    await send(first, 'aborted 3')
    await second.abort()
    await log.append([{ topic, key: zero, value: 'kept 1' }])
    await send(first, 'aborted 4')
    await first.abort()
    // Brokers answer before they have written that it is aborted: four records, one that is kept, two ends of transactions.
    await until('both to be aborted', async () => (await endOf(log, topic)) === 7)
    await transact(log, producers[0], topic, 'kept 2', 'commit')
    const kept = ['kept 1', 'kept 2']
    expect(valuesOf(await readAll(log, { topic, partition }))).toEqual(kept)
    // From the middle of both.
    expect(valuesOf(await readAll(log, { topic, partition }, 1))).toEqual(kept)
    expect(valuesOf(await readAll(log, { topic, partition }, 2))).toEqual(kept)
  })

  /** Every role in this process, on topics of one partition. */
  async function openShop(log: KafkaLog, topics: Topics, groupId: string) {
    const dir = await mkdtemp(join(tmpdir(), 'pizza-markers-'))
    closers.push(() => rm(dir, { recursive: true }))
    const logger = await createLogger({ level: 'silent', destination: { write: () => {} }, format: 'json' })
    const store = createOrderStore(join(dir, 'orders.sqlite'))
    const reports = createReportStore(join(dir, 'report.sqlite'))
    closers.push(async () => {
      store.close()
      reports.close()
    })
    const { deadLetters } = topics
    const common = { log, logger, topics, recipe, deadLetters, checkpointMs: 10, startFrom: 'earliest' as const }
    const keep = <R extends Role>(role: R): R => {
      closers.push(() => role.stop(AbortSignal.abort()))
      return role
    }
    const limits = { liveActorsMax: 100, checkpointOrdersMax: 100, standbyMs: 0 }
    const host = keep(await startOrderHost({ ...common, ...limits, store, groupId: `${groupId}.orders` }))
    for (const step of recipe) {
      const stage = topics.stages.get(step.topping)!
      keep(await startToppingService({ ...common, step, ...stage, groupId: `${groupId}.${step.topping}` }))
    }
    const topic = topics.stages.get('cheese')!.to
    const reporter = { ...common, topic, store: reports, groupId: `${groupId}.cheese-reporter` }
    const report = keep(await startCheeseReporter(reporter))
    return { host, report, orders: createOrderService({ log, host, store, topics }) }
  }

  it.each(['commit', 'abort'] as const)(
    'every role catches up with topics that end with a %s (G1, G2, Q1)',
    async (how) => {
      const log = open()
      const foreign = await openForeign()
      const topics = createTopics(recipe, { prefix: `${uniqueName('shop')}-`, partitions: 1, hasSnapshots: true })
      await log.ensureTopics(topics.specs)
      const groupId = uniqueName('group')
      const read = [...new Set([...topicsOfRoles(topics).values()].flat())]
      const { value: order } = orderRecord(topics, '7', 1)
      const { value: topped } = toppedRecord(topics, 'sauce', { order_id: '8', pizza_id: 1, choice: 'bbq' })
      for (const topic of read) {
        const value = String(topic === topics.orders ? order : topped)
        await transact(log, foreign, topic, value, topic === topics.pizza ? 'abort' : how)
      }
      const { host, report, orders } = await openShop(log, topics, groupId)
      const lag = async () => (await readLags(log, topics, groupId)).filter((one) => one.lag > 0)

      await until('the orders role to be ready', () => host.readiness().ready)
      await until('the report', () => report.readiness().ready && report.parts().length === 1)
      expect(await orders.get('9')).toBeUndefined()
      expect((await orders.list({ limit: 10 })).orders.map(({ id }) => id)).toEqual(how === 'commit' ? ['7'] : [])
      await until('no role to be behind', async () => (await lag()).length === 0)
      expect(host.backlog.records()).toBe(0)

      // What waits for its order is settled though `orders` ends with a marker, and so is what comes later.
      const letters = async () => (await readAll(log, { topic: topics.deadLetters, partition })).length
      const before = await letters()
      const sauces = topics.stages.get('sauce')!.to
      await transact(log, foreign, topics.orders, 'aborted', 'abort')
      await transact(log, foreign, sauces, String(topped), 'commit')
      await until('the topping without an order to be a dead letter', async () => (await letters()) > before)
      await until('no role to be behind', async () => (await lag()).length === 0)
      expect(await orders.get('9')).toBeUndefined()
      expect(host.backlog.records()).toBe(0)
      expect(host.stats().tallies.recycled).toBe(0)
    },
  )
})
