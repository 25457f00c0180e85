import { copyFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { deleteBelow } from '../../src/log/memory-log.ts'
import { openMemoryShop, orderRecord, toppedRecord, until } from '../support/memory-shop.ts'

/** A host took orders `1` to `3`; the log has deleted the first two; `old.sqlite` is from before it knew the second. */
async function openShop(hasSnapshots: boolean) {
  const shop = await openMemoryShop({ partitions: 1, hasSnapshots })
  const { topics } = shop
  const host = await shop.startHost({ name: 'a' })
  await shop.append(orderRecord(topics, '1', 1))
  await until(() => host.host.applied.position('orders', 0) === 1)
  await host.host.checkpointer.now()
  const db = new DatabaseSync(`${shop.dir}/a.sqlite`)
  db.exec(`VACUUM INTO '${shop.dir}/old.sqlite'`)
  db.close()
  await shop.append(orderRecord(topics, '2', 1), orderRecord(topics, '3', 1))
  await shop.append(toppedRecord(topics, 'sauce', { order_id: '1', pizza_id: 1, choice: 'bbq' }))
  await until(() => host.host.cache.peek('1')?.version === 2 && host.host.applied.position('orders', 0) === 3)
  await host.stop()
  deleteBelow(shop.storage, { topic: 'orders', partition: 0 }, 2)
  const warnings = () => shop.logged.filter(({ msg }) => msg.startsWith('The log has deleted'))
  return { shop, warnings }
}

it('A state store from an older day than the log’s first record is told of, with both offsets and what to do', async () => {
  const { shop, warnings } = await openShop(false)
  const old = await shop.startHost({ name: 'old' })
  expect(await old.orders.get('3')).toMatchObject({ status: 'preparing' })
  expect(warnings()).toMatchObject([{ level: 40, role: 'orders', topic: 'orders', partition: 0, from: 1, to: 2 }])
  expect(warnings()[0]!.msg).toMatch(
    /^The log has deleted orders\/0 from 1 to 2, and the state store has not seen it: .* Stop the shop and put a newer copy of orders\.sqlite/,
  )
  expect(await old.orders.get('1')).toMatchObject({ in_progress: [{ toppings: { sauce: 'bbq' } }] })
  expect(await old.orders.get('2')).toBeUndefined()
  await old.stop()
})

it('A state store that has seen what the log has deleted, and a rebuild, are told of nothing', async () => {
  const { shop, warnings } = await openShop(false)
  for (const name of ['a', 'empty']) {
    const running = await shop.startHost({ name })
    expect(await running.orders.get('3')).toMatchObject({ status: 'preparing' })
    await running.stop()
  }
  expect(warnings()).toEqual([])
})

it('An older state store misses nothing where the orders come from the topic of snapshots', async () => {
  const { shop, warnings } = await openShop(true)
  copyFileSync(`${shop.dir}/old.sqlite`, `${shop.dir}/b.sqlite`)
  const b = await shop.startHost({ name: 'b' })
  expect(await b.orders.get('2')).toMatchObject({ status: 'preparing' })
  expect(warnings()).toEqual([])
  await b.stop()
  await shop.append(orderRecord(shop.topics, '4', 1), orderRecord(shop.topics, '5', 1))
  deleteBelow(shop.storage, { topic: 'orders', partition: 0 }, 4)
  const again = await shop.startHost({ name: 'b' })
  expect(await again.orders.get('5')).toMatchObject({ status: 'preparing' })
  expect(warnings()).toMatchObject([{ topic: 'orders', partition: 0, from: 3, to: 4 }])
  expect(warnings()[0]!.msg).toContain('Set retention.ms=-1')
  await again.stop()
})
