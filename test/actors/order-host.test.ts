import { describe, expect, it } from 'vitest'
import type { OrderView } from '../../src/actors/orders.ts'
import type { EventLog, LogRecord } from '../../src/log/event-log.ts'
import { choose, recipe } from '../../src/menu.ts'
import { createFaultyLog } from '../support/faulty-log.ts'
import {
  openMemoryShop,
  orderRecord,
  toppedRecord,
  until,
  type MemoryShop,
  type RunningHost,
} from '../support/memory-shop.ts'

const waitMs = 60_000
const toppings = recipe.map(({ topping }) => topping)

/** What the order must be when it is ready, from the menu alone. */
function pizzasOf(order_id: string, count: number) {
  return Array.from({ length: count }, (_, index) => ({
    order_id,
    pizza_id: index + 1,
    ...Object.fromEntries(recipe.map((s) => [s.topping, choose(s.menu, `${order_id}/${index + 1}/${s.topping}`)])),
  }))
}

/** Places orders and waits until all are ready. */
async function orderAndWait({ orders }: RunningHost, counts: readonly number[]): Promise<OrderView[]> {
  const placed = await Promise.all(counts.map((count) => orders.place({ count })))
  return Promise.all(placed.map(async ({ order_id }) => (await orders.get(order_id, { waitMs }))!))
}

async function viewsOf({ orders }: RunningHost, ids: readonly string[]): Promise<OrderView[]> {
  return Promise.all(ids.map(async (id) => (await orders.get(id))!))
}

function positionsOf({ store }: RunningHost, topic: string): number {
  return [...(store.positions().get(topic)?.values() ?? [])].reduce((sum, position) => sum + position, 0)
}

/** Lets the test see each batch that the role is given, in order. */
function watchBatches(seen: LogRecord[]): (log: EventLog) => EventLog {
  return (log) => ({
    ...log,
    consume: (options) =>
      log.consume({
        ...options,
        onBatch(records) {
          seen.push(...records)
          return options.onBatch(records)
        },
      }),
  })
}

describe('The order host', () => {
  it('takes an order from its record to ready with exactly its pizzas, each with four toppings (P1)', async () => {
    const shop = await openMemoryShop()
    const [running] = await Promise.all([shop.startHost(), shop.startToppings()])
    const views = await orderAndWait(running, [1, 3, 20, 1])
    for (const { id, count, status, pizzas, in_progress } of views) {
      expect({ status, pizzas, in_progress }).toEqual({ status: 'ready', pizzas: pizzasOf(id, count), in_progress: [] })
    }
    await running.host.checkpointer.now()
    expect(await shop.verify()).toMatchObject({ orders: 4, differences: [] })
  })

  it('asks for each pizza once, with every topping empty', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const running = await shop.startHost()
    const { order_id } = await running.orders.place({ count: 2 })
    await until(() => shop.records('pizza').length === 2)
    expect(shop.records('pizza').map(({ key, value }) => [String(key), String(value)])).toEqual(
      [1, 2].map((n) => [
        order_id,
        `{"order_id":"${order_id}","pizza_id":${n},"sauce":"","cheese":"","meats":"","veggies":""}`,
      ]),
    )
  })

  it('moves no position before the outputs are durable (O1, K1)', async () => {
    const shop = await openMemoryShop()
    const faulty = createFaultyLog()
    const running = await shop.startHost({ wrapLog: faulty.wrap })
    const release = faulty.block()
    await shop.append(orderRecord(shop.topics, '7', 2))
    await until(() => faulty.tried.length === 1)
    const written = running.host.checkpointer.now()
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate)
    expect(positionsOf(running, 'orders')).toBe(0)
    expect(running.store.load('7')).toBeUndefined()
    release()
    await written
    expect(positionsOf(running, 'orders')).toBe(1)
    expect(running.store.load('7')).toMatchObject({ status: 'preparing', version: 1 })
    expect(shop.records('pizza')).toHaveLength(2)
  })

  it('keeps nothing from a crash before the first checkpoint, and repeats everything to the same view (O1, P1, P2)', async () => {
    const shop = await openMemoryShop()
    const first = await shop.startHost({ checkpointMs: 1_000_000 })
    await shop.startToppings()
    const before = await orderAndWait(first, [2, 5])
    first.crash()
    const second = await shop.startHost()
    expect(second.store.lastSeq()).toBe(0)
    expect(
      await viewsOf(
        second,
        before.map(({ id }) => id),
      ),
    ).toEqual(before)
    expect(shop.records('pizza')).toHaveLength(14)
    await second.host.checkpointer.now()
    expect((await shop.verify()).differences).toEqual([])
  })

  it('that crashes after its outputs and before its positions repeats pizzas and changes nothing (O1, P3)', async () => {
    const shop = await openMemoryShop()
    const first = await shop.startHost({ checkpointMs: 1_000_000 })
    const { order_id } = await first.orders.place({ count: 3 })
    await until(() => shop.records('pizza').length === 3)
    first.crash()
    await shop.startToppings()
    const second = await shop.startHost()
    const view = await second.orders.get(order_id, { waitMs })
    expect(view).toMatchObject({ status: 'ready', version: 13, pizzas: pizzasOf(order_id, 3) })
    await until(() => shop.records('pizza-with-veggies').length === 6)
    await until(() =>
      second.host.applied.hasReached(new Map([['pizza-with-veggies', endsOf(shop, 'pizza-with-veggies')]])),
    )
    expect(await second.orders.get(order_id)).toEqual(view)
  })

  it('writes a consistent cut at every checkpoint: each one equals the fold of the log at its positions (O2, S1, P4)', async () => {
    const shop = await openMemoryShop({ host: { checkpointOrdersMax: 3, liveActorsMax: 4 } })
    const [running] = await Promise.all([shop.startHost(), shop.startToppings()])
    const cuts = new Set<number>()
    const ids: string[] = []
    for (let n = 0; n < 60; n++) {
      ids.push((await running.orders.place({ count: (n % 7) + 1 })).order_id)
      const { differences, records } = await shop.verify()
      expect(differences).toEqual([])
      cuts.add(records)
    }
    expect(cuts.size).toBeGreaterThan(10)
    await Promise.all(ids.map((id) => running.orders.get(id, { waitMs })))
    await running.host.checkpointer.now()
    expect(await shop.verify()).toMatchObject({ orders: 60, ambiguous: 0, differences: [] })
  })

  it('reads `orders` to where it ended before any topping, after a start (O3)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const { topics } = shop
    const ids = Array.from({ length: 1_200 }, (_, n) => `order-${n}`)
    await shop.append(...ids.map((id) => orderRecord(topics, id, 1)))
    await shop.append(...ids.map((order_id) => toppedRecord(topics, 'sauce', { order_id, pizza_id: 1, choice: 'bbq' })))
    const seen: LogRecord[] = []
    const running = await shop.startHost({ wrapLog: watchBatches(seen) })
    await until(() => running.host.gate.has(0))
    expect(running.host.readiness().reasons).toEqual([
      'The orders role is still reading orders placed before it started',
    ])
    await until(() => running.host.applied.position('pizza-with-sauce', 0) === 1_200)
    const firstTopping = seen.findIndex(({ topic }) => topic !== 'orders')
    expect(seen.slice(0, firstTopping)).toHaveLength(1_200)
    expect(shop.records('dead-letters')).toEqual([])
    expect(running.host.readiness()).toEqual({ ready: true, reasons: [] })
  })

  it('refuses bad records with why and where from, and stops for none (O5, P6)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const { topics } = shop
    const running = await shop.startHost()
    await shop.append(
      { topic: 'orders', key: 'x', value: '{"order_id":"x","count":0}' },
      { topic: 'pizza-with-meats', key: null, value: null },
      orderRecord(topics, '7', 1),
      toppedRecord(topics, 'sauce', { order_id: '7', pizza_id: 2, choice: 'bbq' }),
      ...toppings.map((topping) => toppedRecord(topics, topping, { order_id: '7', pizza_id: 1, choice: 'some' })),
    )
    expect(await running.orders.get('7', { waitMs })).toMatchObject({ status: 'ready' })
    await running.host.checkpointer.now()
    const letters = shop.records('dead-letters').map(({ headers }) => headers!)
    expect(letters.map(({ role, reason, topic, offset }) => [role, reason, topic, offset])).toEqual([
      ['orders', 'invalid-record', 'orders', '0'],
      ['orders', 'unknown-pizza', 'pizza-with-sauce', '0'],
      ['orders', 'invalid-record', 'pizza-with-meats', '0'],
    ])
    expect((await shop.verify()).differences).toEqual([])
  })

  it('tells while it cannot append, loses nothing, and is ready again', async () => {
    const shop = await openMemoryShop()
    const running = await shop.startHost()
    await shop.append(orderRecord(shop.topics, '7', 1))
    shop.storage.isAway = true
    await until(() => running.host.readiness().reasons.includes('The orders role cannot append to the log'))
    shop.storage.isAway = false
    await until(() => shop.records('pizza').length === 1 && running.host.readiness().ready)
  })

  it('that is stopped has everything written down and its positions in the group', async () => {
    const shop = await openMemoryShop({ host: { checkpointMs: 1_000_000 } })
    const [running] = await Promise.all([shop.startHost(), shop.startToppings()])
    const [view] = await orderAndWait(running, [4])
    await running.stop()
    const committed = await shop.log.committed('pizza-actors.orders', ['orders', 'pizza-with-veggies'])
    expect(committed.get('orders')).toEqual(endsOf(shop, 'orders'))
    expect(committed.get('pizza-with-veggies')).toEqual(endsOf(shop, 'pizza-with-veggies'))
    expect((await shop.verify()).differences).toEqual([])
    const seen: LogRecord[] = []
    const again = await shop.startHost({ wrapLog: watchBatches(seen) })
    expect(await viewsOf(again, [view!.id])).toEqual([view])
    expect(seen).toEqual([])
  })
})

/** Where a topic ends in each partition that has records. */
function endsOf({ storage }: MemoryShop, topic: string): Map<number, number> {
  const ends = storage.topics.get(topic)!.map(({ records }, partition): [number, number] => [partition, records.length])
  return new Map(ends.filter(([, end]) => end > 0))
}
