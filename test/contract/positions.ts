/** Contract: positions. Kept by the group or by the caller, never past a record whose handler has not resolved. */
import { expect, it } from 'vitest'
import type { EventLog, Positions } from '../../src/log/event-log.ts'
import {
  createSignal,
  createTopic,
  distinctValues,
  joinGroup,
  uniqueName,
  valuesOf,
  type ContractContext,
} from './support.ts'
import { until } from '../support/until.ts'

async function appendValues(log: EventLog, topic: string, values: readonly string[]): Promise<void> {
  await log.append(values.map((value) => ({ topic, key: 'k', value })))
}

async function committedAt(log: EventLog, groupId: string, topic: string): Promise<number | undefined> {
  return (await log.committed(groupId, [topic])).get(topic)?.get(0)
}

const positionsOf = (topic: string, offset: number): Positions => new Map([[topic, new Map([[0, offset]])]])

export function describePositions(context: () => ContractContext): void {
  describeGroupPositions(context)
  describeOwnPositions(context)
  describePauses(context)
  describeEnds(context)
}

function describeGroupPositions(context: () => ContractContext): void {
  it('knows no position of a group that never committed', async () => {
    const log = await context().open()
    const topic = await createTopic(log, 2)
    expect((await log.committed(uniqueName('group'), [topic])).get(topic)?.size ?? 0).toBe(0)
  })

  it('goes on after a clean stop where the group stopped', async () => {
    const [logA, logB] = [await context().open(), await context().open()]
    const topic = await createTopic(logA, 1)
    const signal = createSignal()
    const options = { groupId: uniqueName('group'), topics: [topic], signal }
    await appendValues(logA, topic, ['1', '2', '3'])
    const a = await joinGroup(logA, options)
    await signal.until(() => a.records.length === 3)
    await a.consumer.stop()
    expect(await committedAt(logB, options.groupId, topic)).toBe(3)
    const b = await joinGroup(logB, options)
    await appendValues(logA, topic, ['4', '5'])
    await signal.until(() => distinctValues(b.records).length === 2)
    expect(valuesOf(b.records)).toEqual(['4', '5'])
    expect(valuesOf(a.records)).toEqual(['1', '2', '3'])
  })

  it('commits on a cadence while it runs', async () => {
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const signal = createSignal()
    const groupId = uniqueName('group')
    const member = await joinGroup(log, { groupId, topics: [topic], signal })
    await appendValues(log, topic, ['1', '2', '3'])
    await signal.until(() => member.records.length === 3)
    // The position becomes visible without any event of the port, so this asks until it is there.
    while ((await committedAt(log, groupId, topic)) !== 3) await new Promise((resolve) => setTimeout(resolve, 5))
  })

  it('never moves the position past a record whose handler has not resolved', async () => {
    const crashable = await context().openCrashable()
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const signal = createSignal()
    const options = { groupId: uniqueName('group'), topics: [topic], signal }
    await appendValues(log, topic, ['0', '1', '2', '3', '4', '5'])
    const victim = await joinGroup(crashable.log, {
      ...options,
      batchRecordsMax: 1,
      onBatch: ([record]) => (record!.offset < 3 ? undefined : new Promise<void>(() => {})),
    })
    await signal.until(() => victim.records.at(-1)?.offset === 3)
    await crashable.crash()
    const survivor = await joinGroup(log, options)
    await signal.until(() => survivor.records.at(-1)?.offset === 5)
    expect(valuesOf(survivor.records)).toEqual(expect.arrayContaining(['3', '4', '5']))
    expect(survivor.records[0]!.offset).toBeLessThanOrEqual(3)
  })

  it('starts a fresh group at the end when told `latest`', async () => {
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const signal = createSignal()
    await appendValues(log, topic, ['old 1', 'old 2'])
    const member = await joinGroup(log, { groupId: uniqueName('group'), topics: [topic], signal, startFrom: 'latest' })
    await signal.until(() => member.owned().length === 1)
    // A log may look up the end a little after it has told of the partition; the first value may be before it.
    let sent = 0
    while (member.records.length === 0) {
      await appendValues(log, topic, [`fresh ${++sent}`])
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(valuesOf(member.records).every((value) => value.startsWith('fresh'))).toBe(true)
  })
}

function describeOwnPositions(context: () => ContractContext): void {
  it('starts where onAssigned says, and falls back to the committed position, then to startFrom', async () => {
    const log = await context().open()
    const [given, committed, fresh] = [await createTopic(log, 1), await createTopic(log, 1), await createTopic(log, 1)]
    const topics = [given, committed, fresh]
    const groupId = uniqueName('group')
    const signal = createSignal()
    for (const topic of topics) await appendValues(log, topic, ['0', '1', '2'])
    const first = await joinGroup(log, { groupId, topics, signal, positions: 'own' })
    await signal.until(() => first.records.length === 9)
    await first.consumer.commit(positionsOf(committed, 1))
    await first.consumer.stop()
    expect(await committedAt(log, groupId, given)).toBeUndefined()
    const second = await joinGroup(log, {
      groupId,
      topics,
      signal,
      positions: 'own',
      onAssigned: () => ({ positions: positionsOf(given, 2) }),
    })
    await signal.until(() => second.records.length >= 6)
    const offsetsOf = (topic: string) => second.records.filter((it) => it.topic === topic).map(({ offset }) => offset)
    expect(topics.map(offsetsOf)).toEqual([[2], [1, 2], [0, 1, 2]])
  })

  it('commits nothing by itself', async () => {
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const groupId = uniqueName('group')
    const signal = createSignal()
    const member = await joinGroup(log, { groupId, topics: [topic], signal, positions: 'own' })
    await appendValues(log, topic, ['0', '1'])
    await signal.until(() => member.records.length === 2)
    await member.consumer.stop()
    expect(await committedAt(log, groupId, topic)).toBeUndefined()
  })

  it('refuses a commit of a partition that the member lost', async () => {
    const [logA, logB] = [await context().open(), await context().open()]
    const topic = await createTopic(logA, 2)
    const signal = createSignal()
    const options = { groupId: uniqueName('group'), topics: [topic], signal, positions: 'own' as const }
    const a = await joinGroup(logA, options)
    await signal.until(() => a.owned().length === 2)
    const both = (offset: number) => new Map([[topic, new Map([0, 1].map((partition) => [partition, offset]))]])
    await a.consumer.commit(both(1))
    const b = await joinGroup(logB, options)
    await signal.until(() => a.owned().length === 1 && b.owned().length === 1)
    await expect(a.consumer.commit(both(2))).rejects.toMatchObject({ name: 'LogError', code: 'fenced' })
    expect((await logA.committed(options.groupId, [topic])).get(topic)).toEqual(both(1).get(topic))
  })
}

function describePauses(context: () => ContractContext): void {
  it('holds back pausedTopics until resume', async () => {
    const log = await context().open()
    const [orders, stages] = [await createTopic(log, 1, 'orders'), await createTopic(log, 1, 'stages')]
    const signal = createSignal()
    await appendValues(log, stages, ['stage 1', 'stage 2'])
    await appendValues(log, orders, ['order 1', 'order 2'])
    const member = await joinGroup(log, {
      groupId: uniqueName('group'),
      topics: [stages, orders],
      signal,
      positions: 'own',
      onAssigned: () => ({ pausedTopics: [stages] }),
    })
    await signal.until(() => member.records.length >= 2)
    await appendValues(log, orders, ['order 3'])
    await signal.until(() => member.records.length >= 3)
    expect(valuesOf(member.records)).toEqual(['order 1', 'order 2', 'order 3'])
    member.consumer.resume([stages])
    await signal.until(() => member.records.length >= 5)
    expect(valuesOf(member.records).slice(3)).toEqual(['stage 1', 'stage 2'])
  })

  it('delivers nothing of a topic paused in its handler, until resume, and loses nothing', async () => {
    const log = await context().open()
    const [paused, other] = [await createTopic(log, 1, 'paused'), await createTopic(log, 1, 'other')]
    const signal = createSignal()
    let isPaused = false
    let pause = () => {}
    const member = await joinGroup(log, {
      groupId: uniqueName('group'),
      topics: [paused, other],
      signal,
      batchRecordsMax: 1,
      onBatch: ([record]) => {
        if (record!.topic === paused && !isPaused) pause()
      },
    })
    pause = () => {
      isPaused = true
      member.consumer.pause([paused])
    }
    await appendValues(log, paused, ['p0', 'p1', 'p2'])
    await signal.until(() => isPaused)
    await appendValues(log, other, ['o0', 'o1', 'o2'])
    await signal.until(() => member.records.filter(({ topic }) => topic === other).length === 3)
    expect(valuesOf(member.records.filter(({ topic }) => topic === paused))).toEqual(['p0'])
    member.consumer.resume([paused])
    await signal.until(() => member.records.length >= 6)
    expect(distinctValues(member.records)).toEqual(['o0', 'o1', 'o2', 'p0', 'p1', 'p2'])
  })
}

function describeEnds(context: () => ContractContext): void {
  it.each(['group', 'own'] as const)(
    'tells its reader of everything up to the end, whatever stands there, and the group too (L6; positions: %s)',
    async (positions) => {
      const log = await context().open()
      const topic = await createTopic(log, 1)
      const signal = createSignal()
      const groupId = uniqueName('group')
      let position = 0
      const reach = (to: number): void => {
        // All before is handled.
        expect(to).toBeGreaterThan(position)
        position = to
      }
      const member = await joinGroup(log, {
        groupId,
        topics: [topic],
        signal,
        positions,
        onBatch: (records) => reach(records.at(-1)!.offset + 1),
        onPassed: (passed) => reach(passed.get(topic)!.get(0)!),
      })
      const values: string[] = []
      for (const value of ['1', '2', '3']) {
        // Where there are claims, the log may have more to say at the end than the record.
        const claim = await log.claim?.({ topic, partition: 0 })
        if (claim === undefined) await appendValues(log, topic, [value])
        else await claim.append([{ key: 'k', value }])
        values.push(value)
        await signal.until(() => member.records.length === values.length)
        const end = await until('the end to be told', async () => {
          const ends = (await log.ends([topic])).get(topic)!
          return position === ends[0] ? position : undefined
        })
        if (positions === 'own') await member.consumer.commit(positionsOf(topic, end))
        await until('the group to be there', async () => (await committedAt(log, groupId, topic)) === end)
      }
      expect(valuesOf(member.records)).toEqual(values)
      expect([member.errors, member.violations]).toEqual([[], []])
    },
  )
}
