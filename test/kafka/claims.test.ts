/** Claims against what only a real broker has: transactions of other programs, requests that come twice, brokers that go away. */
import kafkajs from 'kafkajs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { EventLog, TopicPartition } from '../../src/log/event-log.ts'
import {
  createKafkaClient,
  findLeader,
  findTransactionCoordinator,
  sendAddPartitionsToTxn,
  sendEndTxn,
  sendInitProducerId,
  sendProduce,
} from '../../src/log/kafka-client.ts'
import { encodeProduce } from '../../src/log/kafka-encoding.ts'
import { createKafkaLog, type KafkaLog } from '../../src/log/kafka-log.ts'
import { createTopic, readAll, valuesOf } from '../contract/support.ts'
import { kafkaAvailable, needsKafka, startTestBroker, type TestBroker } from './broker.ts'

describe.skipIf(!(await kafkaAvailable()))(`A claim on Kafka (${needsKafka})`, { timeout: 90_000 }, () => {
  let broker: TestBroker
  const closers: (() => Promise<void>)[] = []

  beforeAll(async () => {
    broker = await startTestBroker()
  }, 60_000)
  afterEach(async () => {
    for (const close of closers.splice(0)) await close()
  })
  afterAll(() => broker.close())

  const connection = () => ({ brokers: [broker.bootstrapServers], clientId: 'claims', ssl: false }) as const

  /** Patient: a broker that is started again on a busy machine takes a while. */
  function open(): KafkaLog {
    const log = createKafkaLog({ connection: connection(), appendTimeoutMs: 60_000 })
    closers.push(() => log.close())
    return log
  }

  async function createPartition(log: EventLog): Promise<TopicPartition> {
    return { topic: await createTopic(log, 2, 'claimed'), partition: 1 }
  }

  const endOf = async (log: EventLog, { topic, partition }: TopicPartition) =>
    (await log.ends([topic])).get(topic)![partition]!

  it('aborts the transaction that its former owner left open, and refuses that owner', async () => {
    const log = open()
    const at = await createPartition(log)
    const owner = new kafkajs.Kafka({
      ...connection(),
      brokers: [broker.bootstrapServers],
      logLevel: kafkajs.logLevel.NOTHING,
    }).producer({
      transactionalId: `${at.topic}.${at.partition}`,
      idempotent: true,
      maxInFlightRequests: 1,
      retry: { initialRetryTime: 20, retries: 20 },
    })
    await owner.connect()
    closers.push(() => owner.disconnect())
    const committed = await owner.transaction()
    await committed.send({ topic: at.topic, messages: [{ partition: at.partition, value: 'committed' }] })
    await committed.commit()
    const left = await owner.transaction()
    await left.send({ topic: at.topic, messages: [{ partition: at.partition, value: 'left open' }] })
    const claim = await log.claim!(at)
    const position = await endOf(log, at)
    expect(valuesOf(await readAll(log, at))).toEqual(['committed'])
    await expect(left.commit()).rejects.toThrow(/epoch/)
    const next = await claim.append([{ key: 'k', value: 'of the new owner' }])
    expect(next).toBeGreaterThan(position)
    await log.claim!(at)
    expect(valuesOf(await readAll(log, at))).toEqual(['committed', 'of the new owner'])
  })

  it('writes nothing twice when an answer is lost: the broker knows a request that comes again', async () => {
    const log = open()
    const at = await createPartition(log)
    // Brings up the coordinator, too.
    await log.claim!(at)
    const transactionalId = `${at.topic}.${at.partition}`
    const client = createKafkaClient({ connection: connection(), operationTimeoutMs: 10_000, onWarning: () => {} })
    closers.push(() => client.close())
    const { cluster } = client
    await cluster.addMultipleTargetTopics([at.topic])
    const coordinator = await findTransactionCoordinator(cluster, transactionalId)
    const transaction = {
      transactionalId,
      ...(await sendInitProducerId(coordinator, { transactionalId, transactionTimeout: 10_000 })),
    }
    const topics = [{ topic: at.topic, partitions: [at.partition] }]
    const leader = await findLeader(cluster, at)
    for (const sequence of [0, 1]) {
      const partitions = [{ partition: at.partition, messages: [{ key: 'k', value: `${sequence}` }] }]
      const state = { ...transaction, sequence }
      const body = encodeProduce([{ topic: at.topic, partitions }], 10_000, Date.now(), state)
      // As kafka-claim does: the coordinator may still be busy with the end of the transaction before.
      await again(() => sendAddPartitionsToTxn(coordinator, { ...transaction, topics }))
      await again(() => sendAddPartitionsToTxn(coordinator, { ...transaction, topics }))
      const [first, second] = [await sendProduce(leader, body), await sendProduce(leader, body)]
      const placed = { errorCode: 0, baseOffset: first.topics[0]!.partitions[0]!.baseOffset }
      for (const { topics: answers } of [first, second]) expect(answers[0]!.partitions[0]).toMatchObject(placed)
      await again(() => sendEndTxn(coordinator, { ...transaction, transactionResult: true }))
      await again(() => sendEndTxn(coordinator, { ...transaction, transactionResult: true }))
    }
    await log.claim!(at)
    expect(valuesOf(await readAll(log, at))).toEqual(['0', '1'])
  })

  it('goes on with its appends when the broker was away, each written once', async () => {
    const log = open()
    const at = await createPartition(log)
    const claim = await log.claim!(at)
    const wanted: string[] = []
    for (let i = 0; i < 6; i++) {
      const appending = claim.append(Array.from({ length: 30 }, (_, j) => ({ key: 'k', value: `${i}-${j}` })))
      if (i === 2) {
        await broker.kill()
        await broker.restart()
      }
      await appending
      wanted.push(...Array.from({ length: 30 }, (_, j) => `${i}-${j}`))
    }
    await open().claim!(at)
    expect(valuesOf(await readAll(log, at))).toEqual(wanted)
  })

  it('is over when the broker stays away too long; the next claim says what became of the append', async () => {
    const log = open()
    const at = await createPartition(log)
    const impatient = createKafkaLog({ connection: connection(), appendTimeoutMs: 1_000 })
    closers.push(() => impatient.close())
    const claim = await impatient.claim!(at)
    await claim.append([{ key: 'k', value: 'before' }])
    await broker.kill()
    await expect(claim.append([{ key: 'k', value: 'unknown' }])).rejects.toMatchObject({ code: 'unavailable' })
    await broker.restart()
    await expect(claim.append([{ key: 'k', value: 'later' }])).rejects.toMatchObject({ code: 'unavailable' })
    const next = await open().claim!(at)
    const [before, ...unknown] = valuesOf(await readAll(log, at))
    expect(before).toBe('before')
    expect(['', 'unknown']).toContain(unknown.join())
    await next.append([{ key: 'k', value: 'after' }])
    await open().claim!(at)
    expect(valuesOf(await readAll(log, at))).toEqual(['before', ...unknown, 'after'])
  })
})

/** Repeats what the coordinator is too busy for. */
async function again(run: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await run()
      return
    } catch (error) {
      if ((error as { type?: string }).type !== 'CONCURRENT_TRANSACTIONS') throw error
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}
