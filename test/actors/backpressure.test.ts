import { describe, expect, test } from 'vitest'
import { createBacklog } from '../../src/actors/backlog.ts'
import { createApplied } from '../../src/actors/applied.ts'
import { OrdersError } from '../../src/actors/orders.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { createMemoryLog, createMemoryStorage } from '../../src/log/memory-log.ts'
import { openMemoryShop, until } from '../support/memory-shop.ts'

/** Lets a role read and place orders, and makes its outputs wait. */
function createStall(topic: string) {
  const { promise, resolve } = Promise.withResolvers<void>()
  const wrapLog = (log: EventLog): EventLog => ({
    ...log,
    async append(records, options) {
      if (records.some((record) => record.topic === topic)) await promise
      return log.append(records, options)
    },
  })
  return { wrapLog, release: resolve }
}

describe('An order host that is behind', () => {
  test('takes no order above its limit, takes them again when it has caught up, and loses none (P1)', async () => {
    const stall = createStall('pizza')
    const shop = await openMemoryShop({ host: { behindRecordsMax: 50, wrapLog: stall.wrapLog } })
    await shop.startToppings()
    const { orders, host } = await shop.startHost()
    await until(() => host.gate.isCurrent([0, 1]))

    const taken: string[] = []
    let refusal: unknown
    while (refusal === undefined && taken.length < 100) {
      await orders.place({ count: 10 }).then(
        ({ order_id }) => taken.push(order_id),
        (error: unknown) => (refusal = error),
      )
    }
    // An order counts eleven until it is read, and then its ten pizzas.
    expect([5, 6]).toContain(taken.length)
    expect(refusal).toBeInstanceOf(OrdersError)
    expect(refusal).toMatchObject({
      code: 'behind',
      retryAfterS: 1,
      message: expect.stringMatching(/[56]\d records.*50/),
    })
    expect(host.backlog.refused).toBe(1)
    expect(shop.records('orders')).toHaveLength(taken.length)
    const known = await orders.get(taken[0]!)
    expect(known).toMatchObject({ status: 'preparing', count: 10 })

    stall.release()
    for (const orderId of taken) expect(await orders.get(orderId, { waitMs: 8_000 })).toMatchObject({ status: 'ready' })
    expect(await orders.place({ count: 10 })).toMatchObject({ replayed: false })
  })

  test('answers who repeats an Idempotency-Key of an order that it took', async () => {
    const stall = createStall('pizza')
    const shop = await openMemoryShop({ host: { behindRecordsMax: 5, wrapLog: stall.wrapLog } })
    const { orders, host } = await shop.startHost()
    await until(() => host.gate.isCurrent([0, 1]))
    const request = { count: 10, idempotencyKey: 'again' }
    const { order_id } = await orders.place(request)
    await expect(orders.place({ count: 1 })).rejects.toMatchObject({ code: 'behind' })
    expect(await orders.place(request)).toEqual({ order_id, replayed: true })
    stall.release()
  })
})

describe('A backlog', () => {
  async function open(options: { recordsMax?: number; waiting?: number; wrap?: (log: EventLog) => EventLog } = {}) {
    const log = createMemoryLog({ storage: createMemoryStorage() })
    await log.ensureTopics([
      { name: 'orders', partitions: 2 },
      { name: 'stage', partitions: 2 },
    ])
    const applied = createApplied()
    const topics = { orders: 'orders', toppings: ['stage'], owned: () => [0], groupId: 'g' }
    const { recordsMax = 10, waiting = 0, wrap = (same: EventLog) => same } = options
    const backlog = createBacklog({ log: wrap(log), ...topics, applied, waiting: () => waiting, recordsMax })
    return { log, applied, backlog }
  }
  const at = (offset: number, partition = 0) => ({ topic: 'orders', partition, offset })

  test('counts an order with its pizzas until the host has read it', async () => {
    const { applied, backlog } = await open()
    backlog.placed('1', at(0), 3)
    backlog.placed('2', at(1), 1)
    expect(backlog.records()).toBe(6)
    expect(backlog.targetOf('2')).toEqual(new Map([['orders', new Map([[0, 2]])]]))
    applied.pass('orders', 0, 0)
    expect(backlog.records()).toBe(2)
    applied.pass('orders', 0, 1)
    expect(backlog.records()).toBe(0)
    expect(backlog.targetOf('2')).toBeUndefined()
  })

  test('counts what others appended to partitions that this host reads, and what was read and waits', async () => {
    const { log, backlog } = await open({ waiting: 4 })
    const place = async (key: string) => (await log.append([{ topic: 'stage', key, value: '{}' }]))[0]!.partition
    const partitions: number[] = []
    for (let key = 0; key < 20; key++) partitions.push(await place(String(key)))
    const here = partitions.filter((partition) => partition === 0).length
    expect(here).toBeGreaterThan(0)
    await until(() => backlog.records() === here + 4)
  })

  test('forgets orders of partitions that went to others: they would never be read here', async () => {
    const { backlog } = await open()
    backlog.placed('1', at(0, 1), 3)
    expect(backlog.records()).toBe(0)
  })

  test('holds an order of another host against what that one has left to do (G4)', async () => {
    // The group has read nothing of partition 1.
    const committed = async () => new Map([['stage', new Map([[1, 0]])]])
    const { log, backlog } = await open({ recordsMax: 4, wrap: (same) => ({ ...same, committed }) })
    for (let key = 0; key < 20; key++) await log.append([{ topic: 'stage', key: String(key), value: '{}' }])
    const isRefused = (): boolean => {
      try {
        backlog.enter(0, 1)
        return false
      } catch {
        return true
      }
    }
    await until(isRefused)
  })

  test('refuses above its limit and not at it', async () => {
    const { backlog } = await open({ recordsMax: 4 })
    backlog.placed('1', at(0), 3)
    backlog.enter(1, 0)
    expect(() => backlog.enter(1, 0)).toThrow('6 records wait')
    expect(backlog.refused).toBe(1)
    backlog.leave(1)
    backlog.enter(1, 0)
  })
})

describe('A topping service whose outputs cannot be appended', () => {
  test('holds one batch and reads no further, and goes on where it stopped', async () => {
    const stall = createStall('pizza-with-sauce')
    const shop = await openMemoryShop({ partitions: 1 })
    const pizzas = 3_500
    for (let pizza_id = 1; pizza_id <= pizzas; pizza_id++) {
      await shop.append({ topic: 'pizza', key: '1', value: JSON.stringify({ order_id: '1', pizza_id }) })
    }
    const sauce = await shop.startTopping('sauce', stall.wrapLog)
    await until(() => sauce.role.stats().outboxRecords > 0)
    // Whatever it would do by itself, it has done after so many turns.
    for (let turn = 0; turn < 1_000; turn++) await new Promise((resolve) => void setImmediate(resolve))
    expect(sauce.role.stats()).toMatchObject({ outboxRecords: 1_000, tallies: { recordsTaken: 1_000 } })
    stall.release()
    await until(() => shop.records('pizza-with-sauce').length === pizzas)
    expect(sauce.role.stats()).toMatchObject({ tallies: { recordsTaken: pizzas } })
  })
})
