import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { createOrderStore } from '../../src/actors/order-store.ts'
import { createReportStore } from '../../src/actors/report-store.ts'
import { verify } from '../../src/actors/verify.ts'
import { deleteBelow } from '../../src/log/memory-log.ts'
import { openMemoryShop, orderRecord, toppedRecord, until, type MemoryShop } from '../support/memory-shop.ts'

/** A shop that is done with orders `1` (one pizza), `2` (two pizzas, one of them ready) and has stopped. */
async function openStoppedShop(): Promise<MemoryShop> {
  const shop = await openMemoryShop({ partitions: 2 })
  const { topics } = shop
  const [running, reporter] = await Promise.all([shop.startHost(), shop.startReporter()])
  await shop.append(orderRecord(topics, '1', 1), orderRecord(topics, '2', 2))
  for (const [topping] of topics.stages) {
    for (const order_id of ['1', '2']) {
      await shop.append(toppedRecord(topics, topping, { order_id, pizza_id: 1, choice: `${topping} of ${order_id}` }))
    }
  }
  await shop.append(toppedRecord(topics, 'sauce', { order_id: '2', pizza_id: 2, choice: 'bbq' }))
  await until(() => running.host.cache.peek('2')?.version === 6)
  await until(() => Object.keys(reporter.report.counts()).length === 2)
  await Promise.all([running.stop(), reporter.stop()])
  return shop
}

/** Changes a file behind the shop's back. */
function tamper(file: string, sql: string): void {
  const db = new DatabaseSync(file)
  db.exec(sql)
  db.close()
}

async function differencesOf(shop: MemoryShop, ordersPerPart = 100_000): Promise<string[]> {
  const { differences } = await shop.verify({ ordersPerPart })
  return differences.map(({ where, what }) => `${where}: ${what}`)
}

async function reportDifferencesOf({ log, recipe, topics, reportFile }: MemoryShop) {
  const reportStore = createReportStore(reportFile, { readOnly: true })
  try {
    return (await verify({ log, recipe, topics, reportStore })).differences
  } finally {
    reportStore.close()
  }
}

const setEnvelope = (path: string, value: string) =>
  `UPDATE orders SET envelope = json_set(envelope, '$.snapshot.${path}', ${value}) WHERE order_id = '2'`

describe('Verify (P4)', () => {
  it('finds nothing where the stores say what the log says', async () => {
    const shop = await openStoppedShop()
    expect(await shop.verify()).toEqual({
      orders: 2,
      records: 11,
      ambiguous: 0,
      tooOld: 0,
      isReportTooOld: false,
      differences: [],
    })
    expect(await reportDifferencesOf(shop)).toEqual([])
  })

  it.each([
    ['another choice', setEnvelope('children.pizza-1.snapshot.context.toppings.sauce', `'light'`)],
    ['a topping too few', setEnvelope('children.pizza-2.snapshot.context.toppings', `json('{}')`)],
    ['another time', setEnvelope('children.pizza-1.snapshot.context.toppedAt', '1')],
    ['another state of a pizza', setEnvelope('children.pizza-2.snapshot.value', `'meats'`)],
    ['another count of ready pizzas', setEnvelope('context.readyCount', '2')],
    ['another number of pizzas', setEnvelope('context.count', '1')],
  ])('finds a snapshot with %s', async (_, sql) => {
    const shop = await openStoppedShop()
    tamper(shop.orderFile, sql)
    const found = await differencesOf(shop)
    expect(found[0]).toMatch(/^2: snapshot differs from the log: stored preparing/)
    expect(found[1]).toBe('2: journal does not lead to the snapshot')
  })

  it.each([
    [
      'an order that nobody placed',
      `UPDATE orders SET order_id = '3' WHERE order_id = '2'`,
      ['3: is in the store and not on the log', '2: is on the log and not in the store'],
    ],
    ['an order that is missing', `DELETE FROM orders WHERE order_id = '1'`, ['1: is on the log and not in the store']],
    [
      'a journal that misses events',
      `DELETE FROM journal WHERE order_id = '1'`,
      ['1: journal has 0 events, the snapshot took 5'],
    ],
    [
      'a version that is wrong',
      `UPDATE orders SET version = 7 WHERE order_id = '2'`,
      ['2: journal has 6 events, the snapshot took 7'],
    ],
    [
      'a journal that tells otherwise',
      `UPDATE journal SET entries = replace(entries, 'bbq', 'light')`,
      ['2: journal does not lead to the snapshot'],
    ],
    ['a snapshot that cannot be read', setEnvelope('context.count', '3'), ['2: its snapshot cannot be read']],
    [
      'an order listed under a wrong status',
      `UPDATE orders SET status = 'preparing'`,
      ['1: is listed as preparing, its snapshot is ready'],
    ],
    [
      'positions behind the snapshots',
      `UPDATE positions SET position = 0 WHERE topic = 'pizza-with-veggies'`,
      [
        '1: snapshot differs from the log: stored ready 1/1 (1:ready), log says preparing 0/1 (1:veggies)',
        '2: snapshot differs from the log: stored preparing 1/2 (1:ready 2:cheese), log says preparing 0/2 (1:veggies 2:cheese)',
      ],
    ],
  ])('finds %s', async (_, sql, expected) => {
    const shop = await openStoppedShop()
    tamper(shop.orderFile, sql)
    expect((await differencesOf(shop)).toSorted()).toEqual(expected.toSorted())
    expect((await differencesOf(shop, 1)).toSorted()).toEqual(expected.toSorted())
  })

  it('finds a report that counts otherwise (P7)', async () => {
    const shop = await openStoppedShop()
    tamper(
      shop.reportFile,
      `UPDATE counts SET pizzas = 5 WHERE choice = 'cheese of 1'; DELETE FROM counts WHERE choice = 'cheese of 2'`,
    )
    expect(await reportDifferencesOf(shop)).toEqual([
      { where: 'report', what: 'cheese of 1: the report counts 5 on partition 1, the log says 1' },
      { where: 'report', what: 'cheese of 2: the report counts 0 on partition 0, the log says 1' },
    ])
  })

  it('finds the same in parts, however small, and tells how far it is', async () => {
    const shop = await openMemoryShop()
    const [running] = await Promise.all([shop.startHost(), shop.startToppings()])
    const placed = await Promise.all(Array.from({ length: 25 }, () => running.orders.place({ count: 2 })))
    for (const { order_id } of placed) await running.orders.get(order_id, { waitMs: 60_000 })
    await running.stop()
    tamper(shop.orderFile, `UPDATE orders SET status = 'preparing' WHERE order_id = '${placed[7]!.order_id}'`)
    const whole = await differencesOf(shop)
    expect(whole).toEqual([`${placed[7]!.order_id}: is listed as preparing, its snapshot is ready`])
    for (const ordersPerPart of [1, 2, 7, 24]) expect(await differencesOf(shop, ordersPerPart)).toEqual(whole)
  })

  it('judges the cut that it began with, though the shop goes on', async () => {
    const shop = await openMemoryShop()
    const [running] = await Promise.all([shop.startHost(), shop.startToppings()])
    const order = async () => {
      const { order_id } = await running.orders.place({ count: 3 })
      await running.orders.get(order_id, { waitMs: 60_000 })
      await running.host.checkpointer.now()
    }
    await order()
    for (let round = 0; round < 10; round++) {
      const [{ differences }] = await Promise.all([shop.verify({ ordersPerPart: 1 }), order()])
      expect(differences).toEqual([])
    }
  })

  it('takes refused records for no part of an order, also when the order was placed after all', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const { topics } = shop
    const running = await shop.startHost()
    await shop.append(toppedRecord(topics, 'sauce', { order_id: '7', pizza_id: 1, choice: 'bbq' }))
    await until(() => shop.records('dead-letters').length === 1)
    await shop.append(orderRecord(topics, '7', 1))
    await shop.append(toppedRecord(topics, 'sauce', { order_id: '7', pizza_id: 1, choice: 'light' }))
    await until(() => running.host.applied.position('pizza-with-sauce', 0) === 2)
    await running.host.checkpointer.now()
    expect(await running.orders.get('7')).toMatchObject({ in_progress: [{ toppings: { sauce: 'light' } }] })
    expect((await shop.verify()).differences).toEqual([])
  })

  it('takes a record that was refused before a crash and taken after it for a part of its order', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const { topics } = shop
    const first = await shop.startHost({ checkpointMs: 1_000_000 })
    await shop.append(toppedRecord(topics, 'sauce', { order_id: '7', pizza_id: 1, choice: 'bbq' }))
    await until(() => shop.records('dead-letters').length === 1)
    first.crash()
    await shop.append(orderRecord(topics, '7', 1))
    const second = await shop.startHost()
    expect(await second.orders.get('7')).toMatchObject({ in_progress: [{ toppings: { sauce: 'bbq' } }] })
    await second.host.checkpointer.now()
    expect((await shop.verify()).differences).toEqual([])
  })

  it('compares no order with a log that has deleted records of it, and says how many there are', async () => {
    const shop = await openStoppedShop()
    const { storage, topics } = shop
    const stored = await shop.verify()
    expect(stored).toMatchObject({ orders: 2, tooOld: 0 })
    for (const [order_id, tooOld] of [
      ['1', 1],
      ['2', 2],
    ] as const) {
      const placed = shop.records(topics.orders).find(({ key }) => String(key) === order_id)!
      deleteBelow(storage, placed, placed.offset + 1)
      expect(await shop.verify()).toMatchObject({ orders: 2, tooOld, ambiguous: 0, differences: [] })
      expect(await shop.verify({ ordersPerPart: 1 })).toMatchObject({ orders: 2, tooOld, differences: [] })
    }
  })

  it('counts as its progress what the log still has, and comes to the end of it', async () => {
    const shop = await openStoppedShop()
    const { log, recipe, topics, storage } = shop
    const sauces = shop.records('pizza-with-sauce')
    const cut = sauces.filter(({ partition }) => partition === sauces[0]!.partition)
    deleteBelow(storage, sauces[0]!, cut.length)
    const orderStore = createOrderStore(shop.orderFile, { readOnly: true })
    const reportStore = createReportStore(shop.reportFile, { readOnly: true })
    const told: number[][] = []
    const onProgress = (...progress: [number, number]) => void told.push(progress)
    await verify({ log, recipe, topics, orderStore, reportStore, onProgress })
    orderStore.close()
    reportStore.close()
    // Two orders, nine toppings, and the two cheeses once more for the report.
    const whole = 13 - cut.length
    expect(told.at(-1)).toEqual([whole, whole])
  })

  it('knows an order as too old when only one of its toppings is deleted', async () => {
    const shop = await openStoppedShop()
    const sauce = shop.records('pizza-with-sauce').find(({ key }) => String(key) === '1')!
    deleteBelow(shop.storage, sauce, sauce.offset + 1)
    expect(await shop.verify()).toMatchObject({ tooOld: 1, differences: [] })
  })

  it('still holds an order that is too old against its journal', async () => {
    const shop = await openStoppedShop()
    for (const at of shop.records(shop.topics.orders)) deleteBelow(shop.storage, at, at.offset + 1)
    tamper(shop.orderFile, setEnvelope('children.pizza-2.snapshot.value', `'meats'`))
    expect(await differencesOf(shop)).toEqual(['2: journal does not lead to the snapshot'])
  })

  it('does not compare a report that counts deleted records', async () => {
    const shop = await openStoppedShop()
    const cheese = shop.records('pizza-with-cheese')[0]!
    deleteBelow(shop.storage, cheese, cheese.offset + 1)
    tamper(shop.reportFile, `UPDATE counts SET pizzas = 5`)
    const reportStore = createReportStore(shop.reportFile, { readOnly: true })
    const { log, recipe, topics } = shop
    expect(await verify({ log, recipe, topics, reportStore })).toMatchObject({ isReportTooOld: true, differences: [] })
    reportStore.close()
  })

  it.each([
    ['with the id of a pizza', 1],
    ['without one', undefined],
  ])('counts an order as ambiguous whose topping two partitions tell differently, %s (G2)', async (_, pizza_id) => {
    const shop = await openMemoryShop({ partitions: 2 })
    const { topics } = shop
    const running = await shop.startHost()
    await shop.append(orderRecord(topics, '7', 1), orderRecord(topics, '8', 1))
    await running.orders.get('8')
    const sauce = toppedRecord(topics, 'sauce', { order_id: '7', pizza_id, choice: 'bbq' })
    // Without keys the log deals them out: one to each partition.
    await shop.append(
      { ...sauce, key: null },
      { ...sauce, key: null, value: String(sauce.value).replace('bbq', 'light') },
    )
    await until(
      () =>
        running.host.applied.position('pizza-with-sauce', 0) + running.host.applied.position('pizza-with-sauce', 1) ===
        2,
    )
    await running.host.checkpointer.now()
    expect(await shop.verify()).toMatchObject({ orders: 2, ambiguous: 1, differences: [] })
  })
  it('counts an order as ambiguous that two partitions tell differently (G2)', async () => {
    const shop = await openMemoryShop({ partitions: 2 })
    const running = await shop.startHost()
    const placed = [1, 2].map((count) => ({ ...orderRecord(shop.topics, '7', count), key: null }))
    await shop.append(...placed)
    await until(() => [0, 1].every((partition) => running.host.applied.position('orders', partition) === 1))
    await running.host.checkpointer.now()
    expect(await shop.verify()).toMatchObject({ orders: 1, ambiguous: 1, differences: [] })
  })
})
