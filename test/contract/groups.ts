/** Contract: groups of several members. Each partition to one member, co-partitioned, handed over when members come and go. */
import { expect, it } from 'vitest'
import type { EventLog, LogRecord } from '../../src/log/event-log.ts'
import {
  ascending,
  createGate,
  createSignal,
  createTopic,
  distinctValues,
  isInOrder,
  joinGroup,
  uniqueName,
  type ContractContext,
  type Member,
} from './support.ts'

const partitionCount = 4
const allPartitions = [0, 1, 2, 3]

/** Appends one record to every partition of every topic; the value says which and in which round. */
async function appendRound(log: EventLog, topics: readonly string[], round: number): Promise<string[]> {
  const records = topics.flatMap((topic, t) =>
    Array.from({ length: 16 }, (_, i) => ({ topic, key: `${i}`, value: `round ${round} topic ${t} key ${i}` })),
  )
  const placed = await log.append(records)
  expect(new Set(placed.map(({ partition }) => partition)).size).toBe(partitionCount)
  return records.map(({ value }) => value)
}

function expectRulesKept(members: readonly Member[]): void {
  for (const { violations, errors } of members) {
    expect(violations).toEqual([])
    expect(errors).toEqual([])
  }
}

const isShared = (a: Member, b: Member) =>
  a.owned().length > 0 &&
  b.owned().length > 0 &&
  [...a.owned(), ...b.owned()].toSorted(ascending).join() === allPartitions.join()

export function describeGroups(context: () => ContractContext): void {
  it('delivers every topic and partition to a lone member, in offset order', async () => {
    const log = await context().open()
    const topics = [await createTopic(log, partitionCount, 'a'), await createTopic(log, partitionCount, 'b')]
    const signal = createSignal()
    const before = await appendRound(log, topics, 1)
    const member = await joinGroup(log, { groupId: uniqueName('group'), topics, signal })
    await signal.until(() => member.records.length >= before.length)
    const after = await appendRound(log, topics, 2)
    await signal.until(() => member.records.length >= before.length + after.length)
    expect(member.owned()).toEqual(allPartitions)
    expect(member.consumer.assigned()).toEqual(allPartitions)
    expect(distinctValues(member.records)).toEqual([...before, ...after].toSorted())
    expect(isInOrder(member.records)).toBe(true)
    expectRulesKept([member])
  })

  it('keeps batches within batchRecordsMax', async () => {
    const log = await context().open()
    const topics = [await createTopic(log, partitionCount)]
    const signal = createSignal()
    const values = await appendRound(log, topics, 1)
    const sizes: number[] = []
    const member = await joinGroup(log, {
      groupId: uniqueName('group'),
      topics,
      signal,
      batchRecordsMax: 5,
      onBatch: (records) => void sizes.push(records.length),
    })
    await signal.until(() => distinctValues(member.records).length === values.length)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(5)
  })

  it('gives two groups every record each', async () => {
    const log = await context().open()
    const topics = [await createTopic(log, partitionCount)]
    const signal = createSignal()
    const values = await appendRound(log, topics, 1)
    const members = [
      await joinGroup(log, { groupId: uniqueName('one'), topics, signal }),
      await joinGroup(log, { groupId: uniqueName('two'), topics, signal }),
    ]
    await signal.until(() => members.every(({ records }) => records.length >= values.length))
    for (const { records } of members) expect(distinctValues(records)).toEqual(values.toSorted())
  })

  it('shares partitions among members of two processes, the same numbers of every topic', async () => {
    const [logA, logB] = [await context().open(), await context().open()]
    const topics = [await createTopic(logA, partitionCount, 'a'), await createTopic(logA, partitionCount, 'b')]
    const signal = createSignal()
    const options = { groupId: uniqueName('group'), topics, signal }
    const [a, b] = [await joinGroup(logA, options), await joinGroup(logB, options)]
    await signal.until(() => isShared(a, b))
    const values = await appendRound(logA, topics, 1)
    const seen = () => [...a.records, ...b.records]
    await signal.until(() => distinctValues(seen()).length === values.length)
    for (const member of [a, b]) {
      const byTopic = topics.map((topic) => partitionsOf(member.records.filter((record) => record.topic === topic)))
      expect(byTopic).toEqual([member.owned(), member.owned()])
      expect(member.consumer.assigned()).toEqual(member.owned())
    }
    expectRulesKept([a, b])
  })

  it('hands partitions to a member that joins, and all of them back when it leaves; nothing is lost', async () => {
    const [logA, logB] = [await context().open(), await context().open()]
    const topics = [await createTopic(logA, partitionCount, 'a'), await createTopic(logA, partitionCount, 'b')]
    const signal = createSignal()
    // In the order of delivery, whoever got it: a member that gets a partition back goes on behind what the other handled.
    const seen: LogRecord[] = []
    const onBatch = (records: readonly LogRecord[]) => void seen.push(...records)
    const options = { groupId: uniqueName('group'), topics, signal, onBatch }
    const a = await joinGroup(logA, options)
    await signal.until(() => a.owned().length === partitionCount)
    const values = await appendRound(logA, topics, 1)
    const b = await joinGroup(logB, options)
    await signal.until(() => isShared(a, b))
    values.push(...(await appendRound(logB, topics, 2)))
    await signal.until(() => distinctValues(seen).length === values.length)
    expect(b.records.length).toBeGreaterThan(0)
    await b.consumer.stop()
    await signal.until(() => a.owned().length === partitionCount)
    values.push(...(await appendRound(logB, topics, 3)))
    await signal.until(() => distinctValues(seen).length === values.length)
    expect(isInOrder(seen)).toBe(true)
    expectRulesKept([a, b])
  })

  it('takes a partition away only after its handler has settled', async () => {
    const [logA, logB] = [await context().open(), await context().open()]
    const topics = [await createTopic(logA, partitionCount)]
    const signal = createSignal()
    const options = { groupId: uniqueName('group'), topics, signal }
    const values = await appendRound(logA, topics, 1)
    const gate = createGate()
    const a = await joinGroup(logA, { ...options, onBatch: () => gate.opened })
    await signal.until(() => a.records.length > 0)
    const b = await joinGroup(logB, options)
    gate.open()
    await signal.until(() => isShared(a, b) && distinctValues([...a.records, ...b.records]).length === values.length)
    expectRulesKept([a, b])
  })

  it.each([
    { when: 'at once', isStopped: false },
    { when: 'when it does not stop', isStopped: true },
  ])('gives all of a member whose handler hangs to the others when it is abandoned $when', async ({ isStopped }) => {
    const [logA, logB] = [await context().open(), await context().open()]
    const topics = [await createTopic(logA, partitionCount)]
    const signal = createSignal()
    const groupId = uniqueName('group')
    const options = { groupId, topics, signal }
    const gate = createGate()
    const hung = await joinGroup(logA, { ...options, onBatch: () => gate.opened })
    await signal.until(() => hung.owned().length === partitionCount)
    const values = await appendRound(logA, topics, 1)
    await signal.until(() => hung.records.length > 0)
    const delivered = hung.records.length
    const stopped = isStopped ? hung.consumer.stop() : undefined
    hung.consumer.abandon()
    hung.consumer.abandon()
    await stopped
    expect(hung.consumer.assigned()).toEqual([])
    const heir = await joinGroup(logB, options)
    await signal.until(() => distinctValues(heir.records).length === values.length)
    expect(heir.owned()).toEqual(allPartitions)
    await heir.consumer.stop()
    const committed = await logB.committed(groupId, topics)
    gate.open()
    const position = new Map([[topics[0]!, new Map([[0, 0]])]])
    await expect(hung.consumer.commit(position)).rejects.toMatchObject({ code: 'fenced' })
    await logA.close()
    expect(await logB.committed(groupId, topics)).toEqual(committed)
    expect(hung.records).toHaveLength(delivered)
    expectRulesKept([heir])
    expect(hung.errors).toEqual([])
  })

  it('gives the partitions of a member that died to the others, with all that it had not finished', async () => {
    const survivorLog = await context().open()
    const crashable = await context().openCrashable()
    const topics = [
      await createTopic(survivorLog, partitionCount, 'a'),
      await createTopic(survivorLog, partitionCount, 'b'),
    ]
    const signal = createSignal()
    const options = { groupId: uniqueName('group'), topics, signal }
    const victim = await joinGroup(crashable.log, { ...options, onBatch: () => new Promise<void>(() => {}) })
    await signal.until(() => victim.owned().length === partitionCount)
    const values = await appendRound(survivorLog, topics, 1)
    await signal.until(() => victim.records.length > 0)
    const survivor = await joinGroup(survivorLog, options)
    await crashable.crash()
    await signal.until(() => distinctValues(survivor.records).length === values.length)
    expect(survivor.owned()).toEqual(allPartitions)
    expect(isInOrder(survivor.records)).toBe(true)
    expectRulesKept([survivor])
  })
}

function partitionsOf(records: readonly LogRecord[]): number[] {
  return [...new Set(records.map(({ partition }) => partition))].toSorted(ascending)
}
