import { rmSync } from 'node:fs'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { OrderEvent, Orders } from '../../src/actors/orders.ts'
import { openMemoryShop, until, type MemoryShop } from '../support/memory-shop.ts'

const waitMs = 60_000

/** Reads `count` events, or all when the stream ends by itself. */
async function read(orders: Orders, query: { orderId?: string; after?: string }, count = Infinity) {
  const leaving = new AbortController()
  onTestFinished(() => leaving.abort())
  const events: OrderEvent[] = []
  for await (const event of orders.watch(query, leaving.signal)) {
    events.push(event)
    if (events.length >= count) break
  }
  leaving.abort()
  return events
}

/** A shop that is done with its orders and has written everything down. */
async function openDoneShop(counts: readonly number[]) {
  const shop = await openMemoryShop({ host: { checkpointOrdersMax: 1 } })
  const [running] = await Promise.all([shop.startHost(), shop.startToppings()])
  // From before the first event: what is live at the beginning is all there will be.
  const live = read(
    running.orders,
    {},
    counts.reduce((sum, count) => sum + 2 + 4 * count, 0),
  )
  const ids: string[] = []
  for (const count of counts) {
    const { order_id } = await running.orders.place({ count })
    await running.orders.get(order_id, { waitMs })
    ids.push(order_id)
  }
  await running.host.checkpointer.now()
  return { shop, ...running, ids, all: await live }
}

const ids = (events: readonly OrderEvent[]) => events.map(({ id }) => id)

describe('The feed of all orders', () => {
  it('tells every event once, in the order of each order, and `order.ready` after the last (F1)', async () => {
    const { ids: orderIds, all, orders } = await openDoneShop([1, 2])
    expect(new Set(ids(all)).size).toBe(all.length)
    for (const [index, orderId] of orderIds.entries()) {
      const mine = all.filter(({ order_id }) => order_id === orderId)
      const history = (await orders.history(orderId))!
      expect(mine.map(({ type }) => type)).toEqual([...history.map(({ event }) => event), 'order.ready'])
      expect(mine.slice(0, -1).map(({ data }) => [data['version'], data['topic'], data['offset']])).toEqual(
        history.map(({ version, topic, offset }) => [version, topic, offset]),
      )
      expect(mine.at(-1)!.data).toEqual({ order_id: orderId, version: 1 + 4 * (index + 1) })
    }
  })

  it('resumes after any event without repeating or skipping one (F1)', async () => {
    const { orders, all } = await openDoneShop([1, 3])
    for (let index = 0; index < all.length - 1; index++) {
      const rest = all.slice(index + 1)
      expect(ids(await read(orders, { after: all[index]!.id }, rest.length))).toEqual(ids(rest))
    }
  })

  it('resumes after a restart, and goes on with what happens then (F1)', async () => {
    const { shop, all, crash } = await openDoneShop([1])
    crash()
    const { orders } = await shop.startHost()
    const rest = read(orders, { after: all[2]!.id }, all.length - 3 + 6)
    const { order_id } = await orders.place({ count: 1 })
    const events = await rest
    expect(ids(events.slice(0, all.length - 3))).toEqual(ids(all.slice(3)))
    expect(events.slice(all.length - 3).map((event) => event.order_id)).toEqual(
      Array.from({ length: 6 }, () => order_id),
    )
  })

  it('gives a reader that lags whole pages from the store, and nothing twice (F2)', async () => {
    const { orders, all } = await openDoneShop(Array.from({ length: 60 }, () => 1))
    expect(ids(await read(orders, { after: all[0]!.id }, all.length - 1))).toEqual(ids(all.slice(1)))
  })

  it('tells an event only once it is in the store, so that it never un-happens', async () => {
    const shop = await openMemoryShop({ host: { checkpointMs: 1_000_000 } })
    const { orders, host, store } = await shop.startHost()
    const told: OrderEvent[] = []
    const first = read(orders, {}, 1).then((events) => told.push(...events))
    const { order_id } = await orders.place({ count: 1 })
    await orders.get(order_id)
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
    expect([told, store.lastSeq()]).toEqual([[], 0])
    await host.checkpointer.now()
    await first
    expect(told).toMatchObject([{ type: 'order.placed', order_id }])
  })

  it('begins with live events for an id from before a rebuild, and refuses one that it never gave', async () => {
    const { orders } = await openDoneShop([1])
    const events = read(orders, { after: '00000000.1.0' }, 1)
    const { order_id } = await orders.place({ count: 1 })
    expect(await events).toMatchObject([{ type: 'order.placed', order_id }])
    for (const after of ['', '7', '00000000.1', 'zz000000.1.0', '00000000.-1.0', '00000000.1.0.0']) {
      expect(() => orders.watch({ after }, new AbortController().signal)).toThrow('Last-Event-ID')
    }
  })

  it('ends when its reader leaves', async () => {
    const shop = await openMemoryShop()
    const { orders } = await shop.startHost()
    const leaving = new AbortController()
    const events = orders.watch({}, leaving.signal)[Symbol.asyncIterator]()
    const next = events.next()
    leaving.abort()
    expect(await next).toMatchObject({ done: true })
  })
})

describe('The feed of one order', () => {
  const feedOf = async (counts: readonly number[]) => {
    const done = await openDoneShop(counts)
    const orderId = done.ids[0]!
    const ofOrder = done.all.filter(({ order_id }) => order_id === orderId)
    return { ...done, orderId, mine: ofOrder.map((event, index) => ({ ...event, id: `v${index + 1}` })) }
  }

  it('has that order from its beginning and ends after `order.ready`', async () => {
    const { orders, orderId, mine } = await feedOf([2, 1])
    expect(await read(orders, { orderId })).toEqual(mine)
  })

  it('resumes after any event, also after the last one (F1)', async () => {
    const { orders, orderId, mine } = await feedOf([2, 1])
    for (const [index, { id }] of mine.entries()) {
      expect(ids(await read(orders, { orderId, after: id }))).toEqual(ids(mine.slice(index + 1)))
    }
  })

  it('resumes after a rebuild, because its ids are the versions of the order (F1)', async () => {
    const { shop, orderId, mine, crash } = await feedOf([1])
    crash()
    rmSync(shop.orderFile)
    const { orders } = await shop.startHost()
    await orders.get(orderId, { waitMs })
    for (const after of ['v2', 'v5']) {
      expect(await read(orders, { orderId, after })).toEqual(mine.slice(Number(after.slice(1))))
    }
  })

  it('refuses an id that it never gave', async () => {
    const { orders, orderId } = await feedOf([1])
    for (const after of ['', '7', 'v', 'v1x', '00000000.1.0']) {
      expect(() => orders.watch({ orderId, after }, new AbortController().signal)).toThrow('Last-Event-ID')
    }
  })

  it('can be asked for before the order is placed or ready', async () => {
    const shop: MemoryShop = await openMemoryShop()
    const { orders, host } = await shop.startHost()
    const { order_id: orderId } = await orders.place({ count: 1, idempotencyKey: 'mine' })
    const events = read(orders, { orderId })
    await until(() => host.cache.dirtyCount === 0)
    await shop.startToppings()
    expect((await events).map(({ type }) => type)).toEqual([
      'order.placed',
      ...Array.from({ length: 4 }, () => 'pizza.topped'),
      'order.ready',
    ])
  })
})
