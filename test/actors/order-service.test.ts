import { describe, expect, it } from 'vitest'
import { createOrderService } from '../../src/actors/order-service.ts'
import type { OrderPage, Orders } from '../../src/actors/orders.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { recipe } from '../../src/menu.ts'
import { createFaultyLog } from '../support/faulty-log.ts'
import { openMemoryShop, orderRecord, toppedRecord, until } from '../support/memory-shop.ts'

const waitMs = 60_000
const toppings = recipe.map(({ topping }) => topping)

/** Keeps the host from reading anything until the test says so. */
function holdBatches() {
  const { promise, resolve } = Promise.withResolvers<void>()
  const wrapLog = (log: EventLog): EventLog => ({
    ...log,
    consume: (options) =>
      log.consume({
        ...options,
        async onBatch(records) {
          await promise
          return options.onBatch(records)
        },
      }),
  })
  return { wrapLog, release: resolve }
}

async function readPages(orders: Orders, limit: number): Promise<string[]> {
  const ids: string[] = []
  for (let after: string | null | undefined; after !== null;) {
    const page: OrderPage = await orders.list({ limit, ...(after !== undefined && { after }) })
    ids.push(...page.orders.map(({ id }) => id))
    after = page.next
  }
  return ids
}

describe('A placed order', () => {
  it('is there for whoever asks next, however far behind the host is (Q1)', async () => {
    const shop = await openMemoryShop()
    const { wrapLog, release } = holdBatches()
    const { orders, host } = await shop.startHost({ wrapLog })
    const { order_id } = await orders.place({ count: 2 })
    const asked = orders.get(order_id)
    const history = orders.history(order_id)
    const list = orders.list({ limit: 10 })
    expect(host.cache.peek(order_id)).toBeUndefined()
    release()
    expect(await asked).toMatchObject({ id: order_id, count: 2, status: 'preparing', version: 1, pizzas: [] })
    expect(await history).toHaveLength(1)
    expect((await list).orders.map(({ id }) => id)).toEqual([order_id])
  })

  it('of another process is there for whoever asks after it was durable (Q1)', async () => {
    const shop = await openMemoryShop()
    const { wrapLog, release } = holdBatches()
    const { orders } = await shop.startHost({ wrapLog })
    await shop.append(orderRecord(shop.topics, 'foreign', 1, '2026-11-01T12:00:00+02:00'))
    const asked = orders.get('foreign')
    release()
    expect(await asked).toMatchObject({ id: 'foreign', placed_at: '2026-11-01T10:00:00.000Z' })
  })

  it('has an id that is a UUID version 7 read as a decimal number, so that later ones are greater', async () => {
    const shop = await openMemoryShop()
    const { orders } = await shop.startHost()
    const ids: bigint[] = []
    for (let n = 0; n < 20; n++) ids.push(BigInt((await orders.place({ count: 1 })).order_id))
    for (const id of ids)
      expect(id.toString(16).padStart(32, '0')).toMatch(/^0[0-9a-f]{11}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/)
    expect(ids).toEqual(ids.toSorted((a, b) => (a < b ? -1 : 1)))
    expect(new Set(ids).size).toBe(20)
  })

  it('answers who waits in the turn in which it becomes ready', async () => {
    const shop = await openMemoryShop()
    const { orders } = await shop.startHost()
    const { order_id } = await orders.place({ count: 1 })
    const waiting = orders.get(order_id, { waitMs })
    await shop.startToppings()
    expect(await waiting).toMatchObject({ status: 'ready', in_progress: [] })
    expect(await orders.get(order_id, { waitMs })).toMatchObject({ status: 'ready' })
  })

  it('answers who waits with what there is when the time is up, or when they have left', async () => {
    const shop = await openMemoryShop()
    const { orders } = await shop.startHost()
    const { order_id } = await orders.place({ count: 1 })
    expect(await orders.get(order_id, { waitMs: 1 })).toMatchObject({ status: 'preparing' })
    const leaving = new AbortController()
    const waiting = orders.get(order_id, { waitMs, signal: leaving.signal })
    await orders.get(order_id)
    leaving.abort()
    expect(await waiting).toMatchObject({ status: 'preparing' })
  })
})

describe('An unknown order', () => {
  it('is unknown once the host has read all orders', async () => {
    const shop = await openMemoryShop()
    const { orders } = await shop.startHost()
    expect(await orders.get('nobody')).toBeUndefined()
    expect(await orders.history('nobody')).toBeUndefined()
  })

  it('cannot be told from a late one while the host is behind', async () => {
    const shop = await openMemoryShop()
    const { wrapLog, release } = holdBatches()
    const { host, store } = await shop.startHost({ wrapLog })
    const orders = createOrderService({ log: shop.log, host, store, topics: shop.topics, catchUpMs: 1 })
    await shop.append(orderRecord(shop.topics, 'late', 1))
    await expect(orders.get('late')).rejects.toMatchObject({ code: 'behind', retryAfterS: 1 })
    release()
    await until(() => host.cache.peek('late') !== undefined)
    expect(await orders.get('late')).toMatchObject({ count: 1 })
  })
})

describe('An order that cannot be put on the log', () => {
  it('says that its fate is unknown', async () => {
    const shop = await openMemoryShop()
    const faulty = createFaultyLog()
    const { orders } = await shop.startHost({ wrapLog: faulty.wrap })
    faulty.faults.push('written but reported lost')
    const placed = orders.place({ count: 1, idempotencyKey: 'mine' })
    await expect(placed).rejects.toMatchObject({ code: 'unavailable', retryAfterS: 1 })
    const again = await orders.place({ count: 1, idempotencyKey: 'mine' })
    expect(again.replayed).toBe(true)
    await until(() => shop.records('pizza').length > 0)
    expect(shop.records('orders')).toHaveLength(1)
  })
})

describe('An idempotency key', () => {
  it('gives the same order again, in every process and after a restart', async () => {
    const shop = await openMemoryShop()
    const first = await shop.startHost()
    const { order_id, replayed } = await first.orders.place({ count: 2, idempotencyKey: 'mine' })
    expect(replayed).toBe(false)
    expect(await first.orders.place({ count: 2, idempotencyKey: 'mine' })).toEqual({ order_id, replayed: true })
    const other = await first.orders.place({ count: 2, idempotencyKey: 'yours' })
    expect(other.order_id).not.toBe(order_id)
    first.crash()
    const second = await shop.startHost()
    expect(await second.orders.place({ count: 2, idempotencyKey: 'mine' })).toEqual({ order_id, replayed: true })
    expect(shop.records('orders')).toHaveLength(2)
  })

  it('is refused for another count', async () => {
    const shop = await openMemoryShop()
    const { orders } = await shop.startHost()
    const { order_id } = await orders.place({ count: 2, idempotencyKey: 'mine' })
    await expect(orders.place({ count: 3, idempotencyKey: 'mine' })).rejects.toMatchObject({
      code: 'key-reused',
      message: expect.stringContaining(`an order of 2 pizzas (order ${order_id})`) as string,
    })
    expect(await orders.get(order_id)).toMatchObject({ count: 2 })
  })

  it('that two use at once for different orders gives one of them to one and nothing to the other', async () => {
    const shop = await openMemoryShop()
    const { orders, host } = await shop.startHost()
    const outcomes = await Promise.allSettled(
      [2, 3, 3, 2].map((count) => orders.place({ count, idempotencyKey: 'mine' })),
    )
    const ids = new Set(outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value.order_id] : [])))
    const codes = outcomes.flatMap((o) => (o.status === 'rejected' ? [(o.reason as { code: string }).code] : []))
    expect([ids.size, codes]).toEqual([1, ['key-reused', 'key-reused']])
    const [order_id] = ids
    const { count, version } = (await orders.get(order_id!))!
    expect([outcomes[0]!.status, outcomes[1]!.status]).toEqual(
      count === 2 ? ['fulfilled', 'rejected'] : ['rejected', 'fulfilled'],
    )
    expect(version).toBe(1)
    await host.checkpointer.now()
    expect((await shop.verify()).differences).toEqual([])
  })
})

describe('A list of orders', () => {
  const day = (n: number) => new Date(Date.UTC(2026, 0, 1 + n)).toISOString()

  it('has every order once, newest first, whatever the size of a page, also those of one millisecond', async () => {
    const shop = await openMemoryShop()
    const { orders } = await shop.startHost()
    const ids = Array.from({ length: 17 }, (_, n) => `order-${String(n).padStart(2, '0')}`)
    // Orders 3 to 9 were placed in the same millisecond.
    await shop.append(...ids.map((id, n) => orderRecord(shop.topics, id, 1, day(n >= 3 && n <= 9 ? 3 : n))))
    await orders.get(ids.at(-1)!)
    for (const limit of [1, 2, 3, 5, 16, 17, 50]) expect(await readPages(orders, limit)).toEqual(ids.toReversed())
  })

  it('has what the host has applied, though no checkpoint was due, or one is on its way', async () => {
    const shop = await openMemoryShop()
    const faulty = createFaultyLog()
    const { orders, host } = await shop.startHost({ checkpointMs: 1_000_000, wrapLog: faulty.wrap })
    await shop.append(orderRecord(shop.topics, '1', 1, day(1)))
    await orders.get('1')
    expect((await orders.list({ limit: 10 })).orders.map(({ id }) => id)).toEqual(['1'])
    const release = faulty.block()
    await shop.append(orderRecord(shop.topics, '2', 1, day(2)))
    await orders.get('2')
    const running = host.checkpointer.now()
    const list = orders.list({ limit: 10 })
    release()
    await running
    expect((await list).orders.map(({ id }) => id)).toEqual(['2', '1'])
  })

  it('is not to be had while the disk refuses, and asks to try again instead of waiting for ever', async () => {
    const shop = await openMemoryShop()
    const refuse = () => {
      throw new Error('database or disk is full')
    }
    const disk = { isFull: true }
    const { host, store } = await shop.startHost({
      wrapStore: (real) => ({ ...real, checkpoint: (changed) => (disk.isFull ? refuse() : real.checkpoint(changed)) }),
    })
    const orders = createOrderService({ log: shop.log, host, store, topics: shop.topics, catchUpMs: 50 })
    const { order_id } = await orders.place({ count: 1 })
    await orders.get(order_id)
    await expect(orders.list({ limit: 1 })).rejects.toMatchObject({ code: 'behind', retryAfterS: 1 })
    disk.isFull = false
    await host.checkpointer.now()
    expect((await orders.list({ limit: 1 })).orders.map(({ id }) => id)).toEqual([order_id])
  })

  it('can be of one status only', async () => {
    const shop = await openMemoryShop()
    const { topics } = shop
    const { orders } = await shop.startHost()
    const ids = ['1', '2', '3', '4', '5']
    await shop.append(...ids.map((id, n) => orderRecord(topics, id, 1, day(n))))
    await orders.get('5')
    const ready = ['2', '4'].flatMap((order_id) =>
      toppings.map((topping) => toppedRecord(topics, topping, { order_id, pizza_id: 1, choice: 'some' })),
    )
    await shop.append(...ready)
    await orders.get('2', { waitMs })
    await orders.get('4', { waitMs })
    const of = async (status: 'ready' | 'preparing', limit: number) => {
      const { orders: found, next } = await orders.list({ status, limit })
      return [found.map(({ id, ready_at }) => [id, ready_at !== null]), next !== null]
    }
    expect(await of('ready', 5)).toEqual([
      [
        ['4', true],
        ['2', true],
      ],
      false,
    ])
    expect(await of('preparing', 2)).toEqual([
      [
        ['5', false],
        ['3', false],
      ],
      true,
    ])
  })

  it('refuses a cursor it did not give', async () => {
    const shop = await openMemoryShop()
    const { orders } = await shop.startHost()
    for (const after of ['', 'x', '-1-7', '12', `1-${'x'.repeat(65)}`, "1-7' OR 1"]) {
      await expect(orders.list({ limit: 1, after })).rejects.toMatchObject({ code: 'bad-cursor' })
    }
  })
})

describe('The history of an order', () => {
  it('has every event with where it stands and the state after it, before and after each checkpoint', async () => {
    const shop = await openMemoryShop({ partitions: 1, host: { checkpointMs: 1_000_000 } })
    const { topics } = shop
    const { orders, host } = await shop.startHost()
    await shop.append(orderRecord(topics, '7', 2, '2026-11-01T00:00:00Z'))
    await orders.get('7')
    const steps = [
      [1, 'cheese', 'sauce'],
      [1, 'sauce', 'meats'],
      [2, 'sauce', 'cheese'],
      [1, 'meats', 'veggies'],
      [1, 'veggies', 'ready'],
      [2, 'cheese', 'meats'],
      [2, 'meats', 'veggies'],
      [2, 'veggies', 'ready'],
    ] as const
    for (const [index, [pizza_id, topping]] of steps.entries()) {
      await shop.append(toppedRecord(topics, topping, { order_id: '7', pizza_id, choice: `${topping} ${pizza_id}` }))
      await until(() => host.cache.peek('7')?.version === index + 2)
      expect(await orders.history('7')).toHaveLength(index + 2)
      if (index % 3 === 0) await host.checkpointer.now()
    }
    const history = (await orders.history('7'))!
    expect(history.map(({ version, event }) => [version, event])).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((version) => [version, version === 1 ? 'order.placed' : 'pizza.topped']),
    )
    expect(history[0]).toMatchObject({ at: '2026-11-01T00:00:00.000Z', topic: 'orders', offset: 0, pizza_id: null })
    expect(history.slice(1).map((e) => [e.pizza_id, e.topping, e.pizza_state])).toEqual(steps)
    expect(history.map(({ order_state }) => order_state)).toEqual([
      ...Array.from({ length: 8 }, () => 'preparing'),
      'ready',
    ])
    for (const { topic, partition, offset, choice } of history.slice(1)) {
      const record = shop.storage.topics.get(topic)![partition]!.records[offset]!
      expect(String(record.value)).toContain(choice)
    }
    await host.checkpointer.now()
    expect(await orders.history('7')).toEqual(history)
  })

  it('does not show duplicates', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const { orders, host } = await shop.startHost()
    await shop.append(orderRecord(shop.topics, '7', 1), orderRecord(shop.topics, '7', 1))
    for (const choice of ['a', 'b', 'a']) {
      await shop.append(toppedRecord(shop.topics, 'sauce', { order_id: '7', pizza_id: 1, choice }))
    }
    await until(() => host.applied.position('pizza-with-sauce', 0) === 3)
    expect((await orders.history('7'))!.map(({ choice }) => choice)).toEqual([null, 'a'])
  })
})
