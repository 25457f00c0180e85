/** Contract: who owns which partition, told to all; and a member that gives partitions back. */
import { expect, it } from 'vitest'
import type { EventLog, LogRecord } from '../../src/log/event-log.ts'
import { until } from '../support/until.ts'
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
  type Signal,
} from './support.ts'

const partitionCount = 4
const allPartitions = [0, 1, 2, 3]

const ownAll = (...members: readonly Member[]) =>
  members
    .flatMap((member) => member.owned())
    .toSorted(ascending)
    .join() === allPartitions.join()

async function appendRound(log: EventLog, topic: string, round: number): Promise<string[]> {
  const records = Array.from({ length: 16 }, (_, i) => ({ topic, key: `${i}`, value: `round ${round} key ${i}` }))
  await log.append(records)
  return records.map(({ value }) => value)
}

export function describeOwners(context: () => ContractContext): void {
  it('tells the address of the owner of each partition, and no partition of members that gave none', async ({
    skip,
  }) => {
    const [logA, logB] = [await context().open(), await context().open()]
    if (!logA.claim) return skip('this log hands no state over, and tells no owners')
    const signal = createSignal()
    const options = { groupId: uniqueName('group'), topics: [await createTopic(logA, partitionCount)], signal }
    expect(await logA.owners(options.groupId)).toEqual(new Map())
    const a = await joinGroup(logA, { ...options, address: 'http://a:1' })
    const b = await joinGroup(logB, { ...options, address: 'http://b:2' })
    await signal.until(() => a.owned().length === 2 && ownAll(a, b))
    const addresses = (member: Member, address: string) => member.owned().map((it): [number, string] => [it, address])
    const wanted = new Map([...addresses(a, 'http://a:1'), ...addresses(b, 'http://b:2')])
    const sorted = (owners: ReadonlyMap<number, string>) => [...owners].toSorted(([x], [y]) => x - y)
    await until('every owner to be told', async () => (await logB.owners(options.groupId)).size === partitionCount)
    expect(sorted(await logA.owners(options.groupId))).toEqual(sorted(wanted))
    await b.consumer.stop()
    await signal.until(() => a.owned().length === partitionCount)
    const c = await joinGroup(logB, options)
    await signal.until(() => c.owned().length === 2 && ownAll(a, c))
    await until('the owners that gave an address', async () => (await logB.owners(options.groupId)).size === 2)
    expect(sorted(await logB.owners(options.groupId))).toEqual(addresses(a, 'http://a:1'))
  })

  describeRenouncing(context)
}

/** A member that also writes down in which order partitions came and went. */
async function joinNoting(log: EventLog, options: { groupId: string; topics: string[]; signal: Signal }) {
  const events: string[] = []
  const handled: LogRecord[] = []
  let gate = Promise.resolve()
  const member = await joinGroup(log, {
    ...options,
    onAssigned: (partitions) => {
      events.push(...partitions.map((partition) => `+${partition}`))
      return {}
    },
    onRevoked: (partitions) => void events.push(...partitions.map((partition) => `-${partition}`)),
    async onBatch(records) {
      await gate
      handled.push(...records)
    },
  })
  return { ...member, events, handled, holdUp: (opened: Promise<void>) => void (gate = opened) }
}

function describeRenouncing(context: () => ContractContext): void {
  it('revokes the partitions that its owner renounces, and assigns them anew; the others stay', async () => {
    const log = await context().open()
    const signal = createSignal()
    const topic = await createTopic(log, partitionCount)
    const member = await joinNoting(log, { groupId: uniqueName('group'), topics: [topic], signal })
    const values = await appendRound(log, topic, 1)
    await signal.until(() => distinctValues(member.handled).length === values.length)
    expect(member.events).toEqual(['+0', '+1', '+2', '+3'])
    member.consumer.renounce([1, 3, 99])
    await signal.until(() => member.events.length >= 8)
    expect(member.events.slice(4).toSorted()).toEqual(['+1', '+3', '-1', '-3'])
    for (const partition of [1, 3])
      expect(member.events.lastIndexOf(`+${partition}`)).toBeGreaterThan(member.events.indexOf(`-${partition}`))
    await signal.until(() => member.consumer.assigned().length === partitionCount)
    values.push(...(await appendRound(log, topic, 2)))
    await signal.until(() => distinctValues(member.handled).length === values.length)
    expect(isInOrder(member.handled)).toBe(true)
    expect(member.handled).toHaveLength(values.length)
    expect(member).toMatchObject({ violations: [], errors: [] })
  })

  it('passes over partitions that a member does not own when it renounces them', async () => {
    const [logA, logB] = [await context().open(), await context().open()]
    const signal = createSignal()
    const topic = await createTopic(logA, partitionCount)
    const options = { groupId: uniqueName('group'), topics: [topic], signal }
    const [a, b] = [await joinNoting(logA, options), await joinNoting(logB, options)]
    await signal.until(() => a.owned().length === 2 && ownAll(a, b))
    const [eventsOfA, eventsOfB] = [[...a.events], [...b.events]]
    a.consumer.renounce(b.owned())
    const values = await appendRound(logA, topic, 1)
    await signal.until(() => distinctValues([...a.handled, ...b.handled]).length === values.length)
    expect([a.events, b.events]).toEqual([eventsOfA, eventsOfB])
  })

  it('revokes what is renounced in a handler only after it has settled', async () => {
    const log = await context().open()
    const signal = createSignal()
    const topic = await createTopic(log, partitionCount)
    const gate = createGate()
    const member = await joinNoting(log, { groupId: uniqueName('group'), topics: [topic], signal })
    member.holdUp(gate.opened)
    const values = await appendRound(log, topic, 1)
    await signal.until(() => member.records.length > 0)
    member.consumer.renounce(allPartitions)
    gate.open()
    await signal.until(() => member.events.length >= 12 && distinctValues(member.handled).length === values.length)
    expect(member.handled).toHaveLength(values.length)
    expect(member).toMatchObject({ violations: [], errors: [] })
  })

  it('keeps what was renounced renounced when another member joins before the handler has settled', async () => {
    const [logA, logB] = [await context().open(), await context().open()]
    const signal = createSignal()
    const topic = await createTopic(logA, partitionCount)
    const options = { groupId: uniqueName('group'), topics: [topic], signal }
    const gate = createGate()
    const a = await joinNoting(logA, options)
    await signal.until(() => ownAll(a))
    a.holdUp(gate.opened)
    const values = await appendRound(logA, topic, 1)
    await signal.until(() => a.records.length > 0)
    a.consumer.renounce(allPartitions)
    const b = await joinNoting(logB, options)
    gate.open()
    await signal.until(() => a.owned().length === 2 && ownAll(a, b))
    for (const partition of allPartitions) expect(a.events).toContain(`-${partition}`)
    values.push(...(await appendRound(logB, topic, 2)))
    const handled = () => [...a.handled, ...b.handled]
    await signal.until(() => distinctValues(handled()).length === values.length)
    expect(handled()).toHaveLength(values.length)
    for (const member of [a, b]) expect(member).toMatchObject({ violations: [], errors: [] })
  })
}
