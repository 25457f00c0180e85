import { describe, expect, test } from 'vitest'
import { createCensus, type Census } from '../../src/actors/census.ts'
import { openMemoryShop, orderRecord, toppedRecord, until } from '../support/memory-shop.ts'

const pizzasIn = (census: Census) =>
  Object.fromEntries(census.view().states.map(({ state, pizzas }) => [state, pizzas]))

describe('The census', () => {
  test('counts orders that were there before it, and follows them, each event once (N1)', async () => {
    const shop = await openMemoryShop()
    const { host, store } = await shop.startHost()
    const { topics, recipe } = shop
    await shop.append(orderRecord(topics, 'a', 3))
    await shop.append(toppedRecord(topics, 'sauce', { order_id: 'a', pizza_id: 1, choice: 'bbq' }))
    await until(() => host.cache.peek('a')?.version === 2)
    await host.checkpointer.now()

    const census = createCensus({ store, checkpointer: host.checkpointer, recipe })
    expect(census.view()).toEqual({ open_orders: 0, states: [], is_complete: false })
    census.start()
    await until(() => census.view().is_complete)
    expect(pizzasIn(census)).toEqual({ sauce: 2, cheese: 1, meats: 0, veggies: 0, ready: 0 })

    // Cheese that comes before the sauce is held: the pizza passes through its state when the sauce comes.
    await shop.append(toppedRecord(topics, 'cheese', { order_id: 'a', pizza_id: 2, choice: 'extra' }))
    await shop.append(orderRecord(topics, 'b', 2))
    await until(() => census.view().open_orders === 2)
    await until(() => host.cache.dirtyCount === 0 && host.cache.peek('a')?.version === 3)
    await shop.append(toppedRecord(topics, 'sauce', { order_id: 'a', pizza_id: 2, choice: 'bbq' }))
    await until(() => pizzasIn(census)['meats'] === 1)
    expect(pizzasIn(census)).toEqual({ sauce: 3, cheese: 1, meats: 1, veggies: 0, ready: 0 })
    expect(census.view().states[0]).toMatchObject({ p50_ms: expect.any(Number), p99_ms: expect.any(Number) })
  })

  test('forgets an order that is ready, and agrees with the orders after a whole run', async () => {
    const shop = await openMemoryShop()
    const { host, store, orders } = await shop.startHost()
    const census = createCensus({ store, checkpointer: host.checkpointer, recipe: shop.recipe })
    census.start()
    await shop.startToppings()
    const placed = await Promise.all([5, 1, 40].map((count) => orders.place({ count })))
    await Promise.all(placed.map(({ order_id }) => orders.get(order_id, { waitMs: 10_000 })))
    await until(() => census.view().open_orders === 0 && store.counts().ready === 3)
    expect(pizzasIn(census)).toEqual({ sauce: 0, cheese: 0, meats: 0, veggies: 0, ready: 0 })
  })

  test('says so when there are more open pizzas than it counts (N2)', async () => {
    const shop = await openMemoryShop()
    const { host, store } = await shop.startHost()
    const { topics, recipe } = shop
    const census = createCensus({ store, checkpointer: host.checkpointer, recipe, pizzasMax: 4 })
    census.start()
    await until(() => census.view().is_complete)
    await shop.append(orderRecord(topics, 'a', 3), orderRecord(topics, 'b', 3))
    await until(() => !census.view().is_complete)
    expect(census.view().open_orders).toBe(1)
    census.stop()
    expect(census.view().open_orders).toBe(0)
  })
})
