/** Contract: handlers that throw, clean stops, a log that goes away and comes back. */
import { expect, it } from 'vitest'
import type { EventLog } from '../../src/log/event-log.ts'
import {
  createGate,
  createSignal,
  createTopic,
  distinctValues,
  joinGroup,
  uniqueName,
  valuesOf,
  type ContractContext,
} from './support.ts'

async function appendValues(log: EventLog, topic: string, values: readonly string[]): Promise<void> {
  await log.append(values.map((value) => ({ topic, key: 'k', value })))
}

export function describeDelivery(context: () => ContractContext): void {
  describePoison(context)
  describeStops(context)
  describeOutages(context)
}

function describePoison(context: () => ContractContext): void {
  it.each([
    { kind: 'an Error', create: () => new Error('no cheese left') },
    { kind: 'a TypeError', create: () => new TypeError("Cannot read properties of undefined (reading 'cheese')") },
    { kind: 'something that is no error', create: () => 'cheese' },
  ])('delivers a batch again when its handler throws $kind, tells onError, and goes on', async ({ create }) => {
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const signal = createSignal()
    const thrown: unknown[] = []
    const handled: string[] = []
    const member = await joinGroup(log, {
      groupId: uniqueName('group'),
      topics: [topic],
      signal,
      onBatch: (records) => {
        if (thrown.length < 3) {
          thrown.push(create())
          throw thrown.at(-1)
        }
        handled.push(...valuesOf(records))
      },
    })
    await appendValues(log, topic, ['1', '2', '3'])
    await signal.until(() => handled.includes('3'))
    await appendValues(log, topic, ['4'])
    await signal.until(() => handled.includes('4'))
    expect(handled).toEqual(['1', '2', '3', '4'])
    expect(member.errors).toEqual(thrown)
    expect(thrown).toHaveLength(3)
  })

  it('delivers a batch again when its handler rejects, and keeps the position before it', async () => {
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const signal = createSignal()
    const groupId = uniqueName('group')
    const member = await joinGroup(log, {
      groupId,
      topics: [topic],
      signal,
      onBatch: () => Promise.reject(new Error('no')),
    })
    await appendValues(log, topic, ['1'])
    await signal.until(() => member.errors.length >= 2)
    await member.consumer.stop()
    expect((await log.committed(groupId, [topic])).get(topic)?.get(0) ?? 0).toBe(0)
    expect(distinctValues(member.records)).toEqual(['1'])
  })
}

function describeStops(context: () => ContractContext): void {
  it('waits for the running handler when stopped, commits it, and delivers nothing after', async () => {
    const [log, other] = [await context().open(), await context().open()]
    const topic = await createTopic(log, 1)
    const signal = createSignal()
    const groupId = uniqueName('group')
    const gate = createGate()
    const events: string[] = []
    const member = await joinGroup(log, {
      groupId,
      topics: [topic],
      signal,
      batchRecordsMax: 2,
      onBatch: async (records) => {
        await gate.opened
        events.push(...valuesOf(records))
      },
    })
    await appendValues(log, topic, ['1', '2', '3', '4'])
    await signal.until(() => member.records.length > 0)
    const delivered = member.records.length
    const stopped = Promise.all([member.consumer.stop(), member.consumer.stop()]).then(() => events.push('stopped'))
    await appendValues(log, topic, ['5'])
    gate.open()
    await stopped
    expect(events).toEqual([...valuesOf(member.records).slice(0, delivered), 'stopped'])
    expect((await other.committed(groupId, [topic])).get(topic)?.get(0)).toBe(delivered)
    expect(member.consumer.assigned()).toEqual([])
    const next = await joinGroup(other, { groupId, topics: [topic], signal })
    await signal.until(() => valuesOf(next.records).includes('5'))
    expect(valuesOf(next.records)).toEqual(['1', '2', '3', '4', '5'].slice(delivered))
    expect(member.records).toHaveLength(delivered)
  })

  it('stops its consumers when the log is closed', async () => {
    const [log, other] = [await context().open(), await context().open()]
    const topic = await createTopic(log, 2)
    const signal = createSignal()
    const options = { groupId: uniqueName('group'), topics: [topic], signal }
    const leaver = await joinGroup(log, options)
    await signal.until(() => leaver.owned().length === 2)
    await log.close()
    const heir = await joinGroup(other, options)
    await signal.until(() => heir.owned().length === 2)
    await leaver.consumer.stop()
    await expect(
      log.consume({ ...options, startFrom: 'earliest', positions: 'group', onBatch: () => {} }),
    ).rejects.toMatchObject({
      code: 'closed',
    })
  })
}

function describeOutages(context: () => ContractContext): void {
  it('goes on after the log was away: what was answered is stored, and is delivered', async ({ skip }) => {
    const { beginOutage } = context().harness
    if (!beginOutage) return skip('the harness cannot take the log away')
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const signal = createSignal()
    const member = await joinGroup(log, { groupId: uniqueName('group'), topics: [topic], signal })
    await appendValues(log, topic, ['before'])
    await signal.until(() => member.records.length > 0)
    const endOutage = await beginOutage()
    const during = appendValues(log, topic, ['during']).then(
      () => ['during'],
      (error: unknown) => {
        expect(error).toMatchObject({ name: 'LogError', code: 'unavailable' })
        return []
      },
    )
    await new Promise((resolve) => setImmediate(resolve))
    await endOutage()
    const stored = ['before', ...(await during), 'after']
    let isAppended = false
    while (!isAppended) isAppended = await appendValues(log, topic, ['after']).then(() => true, expectUnavailable)
    await signal.until(() => stored.every((value) => valuesOf(member.records).includes(value)))
    expect(member.violations).toEqual([])
  }, 60_000)
}

function expectUnavailable(error: unknown): false {
  expect(error).toMatchObject({ code: 'unavailable' })
  return false
}
