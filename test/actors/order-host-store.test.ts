import { rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import type { OrderStore } from '../../src/actors/order-store.ts'
import type { OrderView } from '../../src/actors/orders.ts'
import { recipe } from '../../src/menu.ts'
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

async function orderAndWait({ orders }: RunningHost, counts: readonly number[]): Promise<OrderView[]> {
  const placed = await Promise.all(counts.map((count) => orders.place({ count })))
  return Promise.all(placed.map(async ({ order_id }) => (await orders.get(order_id, { waitMs }))!))
}

async function viewsOf({ orders }: RunningHost, views: readonly OrderView[]): Promise<OrderView[]> {
  return Promise.all(views.map(async ({ id }) => (await orders.get(id))!))
}

function deleteStore({ orderFile }: MemoryShop): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(orderFile + suffix, { force: true })
}

/** A disk that is full while `isFull`. */
function createFullDisk() {
  const disk = { isFull: false, refused: 0 }
  const wrapStore = (store: OrderStore): OrderStore => ({
    ...store,
    checkpoint(checkpoint) {
      if (!disk.isFull) return store.checkpoint(checkpoint)
      disk.refused++
      throw new Error('database or disk is full')
    },
  })
  return { disk, wrapStore }
}

describe('A rebuild of the order store', () => {
  it('leads to the same orders and asks for no pizza a second time (O4, P2, P4)', async () => {
    const shop = await openMemoryShop()
    const [first] = await Promise.all([shop.startHost(), shop.startToppings()])
    const views = await orderAndWait(first, [1, 4, 2])
    const { epoch } = first.store
    await first.stop()
    deleteStore(shop)
    const second = await shop.startHost()
    expect(await viewsOf(second, views)).toEqual(views)
    await second.host.checkpointer.now()
    expect(shop.records('pizza')).toHaveLength(7)
    expect(second.store.epoch).not.toBe(epoch)
    expect(await shop.verify()).toMatchObject({ orders: 3, differences: [] })
  })

  it('asks for the pizzas of orders that came after the last committed position (O4, P1)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const first = await shop.startHost()
    await first.orders.place({ count: 2 })
    await until(() => shop.records('pizza').length === 2)
    await first.stop()
    deleteStore(shop)
    await shop.append(orderRecord(shop.topics, 'late', 3))
    await shop.startHost()
    await until(() => shop.records('pizza').length >= 5)
    const asked = shop.records('pizza').map(({ key }) => String(key) === 'late')
    expect(asked).toEqual([false, false, true, true, true])
  })

  it('that is itself cut short by a crash begins again and asks for nothing twice (O4)', async () => {
    const shop = await openMemoryShop()
    const [first] = await Promise.all([shop.startHost(), shop.startToppings()])
    const views = await orderAndWait(first, [3, 3])
    await first.stop()
    deleteStore(shop)
    const second = await shop.startHost({ checkpointMs: 1_000_000 })
    await viewsOf(second, views)
    second.crash()
    const third = await shop.startHost()
    expect(await viewsOf(third, views)).toEqual(views)
    expect(shop.records('pizza')).toHaveLength(6)
  })
})

describe('The order host with little memory', () => {
  it('gives the same answers as with much, and keeps no more actors than it may (C1, C2, P8)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const { topics } = shop
    const ids = Array.from({ length: 30 }, (_, n) => `order-${n}`)
    const running = await shop.startHost({ liveActorsMax: 3, checkpointOrdersMax: 3 })
    await shop.append(...ids.map((id) => orderRecord(topics, id, 2)))
    let sizeMax = 0
    running.host.checkpointer.onWritten(() => {
      sizeMax = Math.max(sizeMax, running.host.cache.size - running.host.cache.dirtyCount)
    })
    for (const topping of toppings.toReversed()) {
      for (const pizza_id of [1, 2]) {
        await shop.append(
          ...ids.map((order_id) => toppedRecord(topics, topping, { order_id, pizza_id, choice: topping })),
        )
        await until(() => running.host.applied.position(topics.stages.get(topping)!.to, 0) === 30 * pizza_id)
        await running.host.checkpointer.now()
      }
    }
    expect(running.host.cache.hydrations).toBeGreaterThan(100)
    expect(sizeMax).toBeLessThanOrEqual(3)
    expect(running.host.cache.size).toBe(0)
    const little = await Promise.all(ids.map((id) => running.orders.get(id)))
    expect((await shop.verify()).differences).toEqual([])
    await running.stop()
    deleteStore(shop)
    const much = await shop.startHost()
    expect(await Promise.all(ids.map((id) => much.orders.get(id)))).toEqual(little)
    expect(much.host.cache.hydrations).toBe(0)
  })

  it('wakes no order for a reader (Q2)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const running = await shop.startHost({ liveActorsMax: 2 })
    await shop.append(...['1', '2', '3'].map((id) => orderRecord(shop.topics, id, 1)))
    await until(() => running.host.applied.position('orders', 0) === 3)
    await running.host.checkpointer.now()
    expect(running.host.cache.size).toBe(2)
    for (const id of ['1', '2', '3']) {
      expect(await running.orders.get(id)).toMatchObject({ id, status: 'preparing' })
      expect(await running.orders.history(id)).toHaveLength(1)
    }
    expect([running.host.cache.size, running.host.cache.hydrations]).toEqual([2, 0])
  })
})

describe('The order host on a full disk', () => {
  it('goes on in memory, says so, and writes everything when there is room (K2)', async () => {
    const shop = await openMemoryShop()
    const { disk, wrapStore } = createFullDisk()
    const [running] = await Promise.all([shop.startHost({ wrapStore }), shop.startToppings()])
    disk.isFull = true
    const views = await orderAndWait(running, [1, 2])
    await until(() => disk.refused > 0)
    expect(running.host.readiness()).toEqual({
      ready: false,
      reasons: ['The orders role cannot write its state store'],
    })
    expect(running.store.lastSeq()).toBe(0)
    disk.isFull = false
    await running.host.checkpointer.now()
    expect(running.host.readiness()).toEqual({ ready: true, reasons: [] })
    expect(await shop.verify()).toMatchObject({ orders: 2, differences: [] })
    await running.stop()
    expect(await viewsOf(await shop.startHost(), views)).toEqual(views)
  })

  it('that stops at its deadline leaves the rest to the next start, which repeats it from the log (K2, P1)', async () => {
    const shop = await openMemoryShop()
    const { disk, wrapStore } = createFullDisk()
    const [running] = await Promise.all([shop.startHost({ wrapStore }), shop.startToppings()])
    disk.isFull = true
    const views = await orderAndWait(running, [2, 3])
    const deadline = new AbortController()
    const stopped = running.host.stop(deadline.signal)
    await until(() => disk.refused > 0)
    deadline.abort()
    await stopped
    running.crash()
    expect(await viewsOf(await shop.startHost(), views)).toEqual(views)
  })
})

describe('An order of a newer version of the program, without its journal', () => {
  it('is named and left alone, its records become dead letters, and other orders go on (P10)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const { topics } = shop
    const first = await shop.startHost()
    await shop.append(orderRecord(topics, 'old', 1), orderRecord(topics, 'other', 1))
    await until(() => first.host.applied.position('orders', 0) === 2)
    await first.stop()
    const db = new DatabaseSync(shop.orderFile)
    db.exec(`UPDATE orders SET envelope = json_set(envelope, '$.version', 99) WHERE order_id = 'old'`)
    db.exec(`DELETE FROM journal WHERE order_id = 'old'`)
    db.close()
    const second = await shop.startHost()
    await shop.append(
      toppedRecord(topics, 'sauce', { order_id: 'old', pizza_id: 1, choice: 'bbq' }),
      toppedRecord(topics, 'sauce', { order_id: 'other', pizza_id: 1, choice: 'bbq' }),
    )
    await until(() => shop.records('dead-letters').length === 1)
    expect(shop.records('dead-letters')[0]!.headers).toMatchObject({
      reason: 'unreadable-order',
      detail: expect.stringContaining('Cannot read the snapshot of order old') as string,
    })
    expect(await second.orders.get('other')).toMatchObject({ in_progress: [{ state: 'cheese' }] })
    await expect(second.orders.get('old')).rejects.toThrow(
      'this program reads schema 1, machine order, versions up to 1',
    )
  })
})
