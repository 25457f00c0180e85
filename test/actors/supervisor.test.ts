import { describe, expect, test } from 'vitest'
import { consumeSupervised } from '../../src/actors/supervisor.ts'
import { createTallies } from '../../src/actors/tallies.ts'
import type { ConsumeOptions, Consumer, EventLog, LogRecord } from '../../src/log/event-log.ts'
import { markLog } from '../support/marked-log.ts'
import { openMemoryShop, until } from '../support/memory-shop.ts'

const stallMs = 10

/** A supervised consumer of topic `pizza` on a memory log, with a clock that only moves when the test says so. */
async function open(options: Partial<ConsumeOptions> = {}, isExcused = () => false, wrap = (log: EventLog) => log) {
  const shop = await openMemoryShop({ partitions: 1 })
  const wrapped = wrap(shop.log)
  const tallies = createTallies()
  const timers = new Set<{ at: number; run: () => void }>()
  let now = 0
  const clock = {
    now: () => now,
    elapsed: () => now,
    later(run: () => void, ms: number) {
      const timer = { at: now + ms, run }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
  }
  const pass = (ms: number): void => {
    now += ms
    for (const timer of timers) {
      if (timer.at > now) continue
      timers.delete(timer)
      timer.run()
    }
  }
  const taken: LogRecord[] = []
  const revoked: (readonly number[])[] = []
  const consuming: ConsumeOptions = {
    groupId: 'g',
    topics: ['pizza'],
    startFrom: 'earliest',
    positions: 'group',
    onRevoked: (partitions) => void revoked.push(partitions),
    onBatch: (records) => void taken.push(...records),
    ...options,
  }
  const inner: Consumer[] = []
  const log = {
    ...wrapped,
    async consume(given: ConsumeOptions) {
      const consumer = await wrapped.consume(given)
      inner.push(consumer)
      return consumer
    },
  }
  const supervised = { log, logger: shop.logger, role: 'sauce', tallies, isExcused, clock, stallMs }
  const consumer = await consumeSupervised(consuming, supervised)
  const put = (value: string) => shop.append({ topic: 'pizza', key: 'k', value })
  await put('first')
  return { ...shop, tallies, pass, taken, revoked, consumer, inner, put }
}

describe('The supervisor', () => {
  test('replaces a consumer whose handler hangs; the records come again and go on', async () => {
    const batches: string[][] = []
    const never = new Promise<void>(() => {})
    const { tallies, pass, revoked, consumer, put, logged } = await open({
      onBatch(records) {
        batches.push(records.map(({ value }) => String(value)))
        if (batches.length === 1) return never
        return undefined
      },
    })
    await until(() => batches.length === 1)
    await put('second')
    pass(1_000)
    await until(() => batches.length === 2)
    expect(batches).toEqual([['first'], ['first', 'second']])
    expect([tallies.recycled, revoked]).toEqual([1, [[0]]])
    expect(logged.some(({ msg }) => msg.includes('replacing it'))).toBe(true)
    await consumer.stop()
  })

  test('watches over the handler of what is passed as well', async () => {
    let passings = 0
    const onPassed = (): Promise<void> | undefined => (++passings === 1 ? new Promise<void>(() => {}) : undefined)
    const { tallies, pass, consumer } = await open({ onPassed }, undefined, markLog)
    await until(() => passings === 1)
    pass(1_000)
    await until(() => passings === 2)
    expect(tallies.recycled).toBe(1)
    await consumer.stop()
  })

  test('leaves one alone that has nothing to do, is paused, or says why it cannot work', async () => {
    const idle = await open()
    await until(() => idle.taken.length === 1)
    await idle.log.committed('g', ['pizza'])
    await until(() => idle.storage.groups.get('g') !== undefined)
    for (let n = 0; n < 5; n++) {
      await until(() => true)
      idle.pass(1_000)
    }
    const paused = await open({ onAssigned: () => ({ pausedTopics: ['pizza'] }) })
    const excused = await open({ onBatch: () => new Promise(() => {}) }, () => true)
    for (const { pass } of [paused, excused]) {
      for (let n = 0; n < 5; n++) {
        await new Promise(setImmediate)
        pass(1_000)
      }
    }
    await new Promise(setImmediate)
    expect([paused.tallies.recycled, excused.tallies.recycled]).toEqual([0, 0])
  })

  test('waits longer each time that a new one did not help', async () => {
    let started = 0
    const { tallies, pass } = await open({
      onBatch() {
        started++
        return new Promise<void>(() => {})
      },
    })
    await until(() => started === 1)
    const replacedAfter: number[] = []
    for (let passed = 0; replacedAfter.length < 3; passed += 1_000) {
      const before = tallies.recycled
      pass(1_000)
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
      if (tallies.recycled > before) replacedAfter.push(passed)
    }
    expect(tallies.recycled).toBe(3)
  })

  test('stops a consumer whose handler hangs, once it is abandoned', async () => {
    let isTaken = false
    const { consumer } = await open({
      onBatch() {
        isTaken = true
        return new Promise<void>(() => {})
      },
    })
    await until(() => isTaken)
    const stopped = consumer.stop()
    consumer.abandon()
    await stopped
  })
})
