import { expect, test } from 'vitest'
import { createOrderStore } from '../../src/actors/order-store.ts'
import { openMemoryShop, orderRecord, toppedRecord, until } from '../support/memory-shop.ts'

test('Orders are counted once in the store and along the journal from then on, and both say the same', async () => {
  const shop = await openMemoryShop({ partitions: 1 })
  const { topics, recipe } = shop
  const { host } = await shop.startHost()
  const counted = () => host.stats().orders!.byStatus
  const stored = () => {
    const store = createOrderStore(shop.orderFile, { readOnly: true })
    const counts = store.counts()
    store.close()
    return counts
  }
  const finish = (order_id: string) =>
    shop.append(...recipe.map(({ topping }) => toppedRecord(topics, topping, { order_id, pizza_id: 1, choice: 'x' })))
  /** Waits until the host has read everything and written it down. */
  const settle = async () => {
    await until(() =>
      [...topics.toppingOf.keys(), 'orders'].every(
        (topic) => host.applied.position(topic, 0) === shop.records(topic).length,
      ),
    )
    await host.checkpointer.now()
  }

  await shop.append(...['1', '2', '3'].map((id) => orderRecord(topics, id, 1)))
  await finish('1')
  await settle()
  expect(counted()).toEqual({ preparing: 2, ready: 1 })

  // One that waited becomes ready, one comes, and one comes and is ready in the same checkpoint; doubles change nothing.
  await finish('2')
  await shop.append(orderRecord(topics, '4', 1), orderRecord(topics, '5', 1), orderRecord(topics, '1', 1))
  await finish('5')
  await finish('1')
  await settle()
  expect(counted()).toEqual({ preparing: 2, ready: 3 })
  expect(counted()).toEqual(stored())
  expect(host.stats()).toMatchObject({
    checkpoints: { ageMs: 0, failures: 0 },
    orders: { dirty: 0, behind: 0 },
  })
})
