import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { parseCheckpoints } from '../../src/actors/snapshot-records.ts'
import type { LogRecord } from '../../src/log/event-log.ts'
import { deleteBelow } from '../../src/log/memory-log.ts'
import {
  openMemoryShop,
  orderRecord,
  toppedRecord,
  until,
  type MemoryShop,
  type RunningHost,
} from '../support/memory-shop.ts'

const snapshots = 'order-snapshots'
const warn = 40

/** One partition with orders `1` and `2`, both of two pizzas: `1` is ready but for its last topping, `2` misses everything. */
async function openShop(hasSnapshots: boolean): Promise<MemoryShop> {
  const shop = await openMemoryShop({ partitions: 1, hasSnapshots })
  const a = await shop.startHost({ name: 'a' })
  await shop.append(orderRecord(shop.topics, '1', 2), orderRecord(shop.topics, '2', 2))
  await until(() => a.host.applied.position('orders', 0) === 2)
  await a.host.checkpointer.now()
  for (const topping of ['sauce', 'cheese', 'meats']) {
    for (const pizza_id of [1, 2]) await top(shop, topping, { order_id: '1', pizza_id })
  }
  await top(shop, 'veggies', { order_id: '1', pizza_id: 1 })
  await until(() => a.host.cache.peek('1')?.version === 8)
  await a.stop()
  return shop
}

function top(shop: MemoryShop, topping: string, pizza: { order_id: string; pizza_id: number | undefined }) {
  return shop.append(toppedRecord(shop.topics, topping, { ...pizza, choice: `some ${topping}` }))
}

/** Puts another value into the newest record of a key. */
function overwrite(shop: MemoryShop, key: string, value: string | ((before: string) => string)): LogRecord {
  const { records } = shop.storage.topics.get(snapshots)![0]!
  const index = records.findLastIndex((record) => String(record.key) === key && record.value !== null)
  const before = records[index]!
  const text = typeof value === 'string' ? value : value(String(before.value))
  return (records[index] = { ...before, value: Buffer.from(text) })
}

/** A record of another program. */
function intrude(shop: MemoryShop, key: string, value: string): Promise<void> {
  return shop.append({ topic: snapshots, key, value })
}

/** Both orders get their missing toppings: the partition works. */
async function finish(shop: MemoryShop, { host }: RunningHost, orderIds: readonly string[]): Promise<void> {
  for (const order_id of orderIds) {
    for (const topping of ['sauce', 'cheese', 'meats', 'veggies']) {
      for (const pizza_id of [1, 2]) await top(shop, topping, { order_id, pizza_id })
    }
  }
  const ends = await shop.log.ends([...shop.topics.toppingOf.keys()])
  await until(() => [...ends].every(([topic, [end]]) => host.applied.position(topic, 0) >= end!))
}

const linesOf = ({ logged }: MemoryShop, text: string) =>
  logged.filter(({ level, msg }) => level >= warn && msg.includes(text))

const future = (envelope: string): string => envelope.replace('"version":1', '"version":99')
const unmigrated = (envelope: string): string => envelope.replace('"version":1', '"version":0')
const ready = { status: 'ready', pizzas: [{ pizza_id: 1, sauce: 'some sauce' }, { pizza_id: 2 }] }

const damages: [string, string | ((before: string) => string)][] = [
  ['is no JSON', '{"schema":1,'],
  ['is of machines of the future', future],
  ['has no migration', unmigrated],
  ['is of another program', '{"hello":"world"}'],
  ['is null', 'null'],
  ['is of another order', (envelope) => envelope.replaceAll('"1"', '"2"')],
  ['has no pizzas', (envelope) => envelope.replace('"children":', '"kids":')],
  ['is a compressed block that is torn', '\u0028\uFFFD'],
]

describe('An order whose snapshot cannot be taken over', () => {
  it.each(damages)(
    'is rebuilt from its journal when it %s, and nothing of its partition is held up',
    async (_, value) => {
      const shop = await openShop(true)
      const { offset } = overwrite(shop, '1', value)
      const b = await shop.startHost({ name: 'b' })
      expect(await b.orders.get('1')).toMatchObject({ status: 'preparing', pizzas: [{ pizza_id: 1 }], version: 8 })
      expect(linesOf(shop, 'The snapshot of an order cannot be read; its journal')).toMatchObject([
        { order_id: '1', topic: snapshots, partition: 0, offset },
      ])
      expect(linesOf(shop, 'the order was rebuilt from its journal')).toMatchObject([{ order_id: '1' }])
      await finish(shop, b, ['1', '2'])
      for (const id of ['1', '2']) expect(await b.orders.get(id)).toMatchObject({ id, ...ready })
      expect(await b.orders.history('1')).toHaveLength(9)
      expect(shop.records('dead-letters')).toEqual([])
      await b.stop()
      expect(await shop.verify({ name: 'b' })).toMatchObject({ orders: 2, differences: [] })
      expect(parseCheckpoints(0, shop.records(snapshots)).unreadable).toEqual([])
    },
  )

  it('is written anew when somebody looks at it, and read by the next owner as any other', async () => {
    const shop = await openShop(true)
    overwrite(shop, '1', 'torn')
    const b = await shop.startHost({ name: 'b' })
    const shown = await b.orders.get('1')
    await b.stop()
    const c = await shop.startHost({ name: 'c' })
    expect(await c.orders.get('1')).toEqual(shown)
    expect(linesOf(shop, 'cannot be read')).toHaveLength(2)
    await c.stop()
    expect(await shop.verify({ name: 'c' })).toMatchObject({ orders: 2, differences: [] })
  })

  it('is not available alone when its journal cannot be read either, and says what to do', async () => {
    const shop = await openShop(true)
    overwrite(shop, '1', 'torn')
    overwrite(shop, '1:2', '[]')
    const b = await shop.startHost({ name: 'b' })
    await expect(b.orders.get('1')).rejects.toMatchObject({
      code: 'unreadable',
      message: expect.stringMatching(
        /^Cannot read the snapshot of order 1: .*rebuild the orders from the log \(docs.*It cannot be rebuilt from its journal either: its journal has \d of \d events/,
      ) as string,
    })
    await expect(b.orders.get('1')).rejects.toMatchObject({ code: 'unreadable' })
    expect(linesOf(shop, 'An order is not available')).toMatchObject([{ order_id: '1', level: 50 }])
    await finish(shop, b, ['1', '2'])
    expect(await b.orders.get('2')).toMatchObject(ready)
    expect(shop.records('dead-letters').map(({ headers }) => headers?.['reason'])).toEqual(
      Array.from({ length: 8 }, () => 'unreadable-order'),
    )
    expect((await b.orders.list({ limit: 10 })).orders).toMatchObject([{ id: '2' }, { id: '1', count: 2 }])
    await b.stop()
  })

  it('is as it was for the next program that can read it, on the same disk and on another', async () => {
    const shop = await openShop(true)
    const records = shop.storage.topics.get(snapshots)![0]!.records
    const whole = [...records]
    overwrite(shop, '1', future)
    overwrite(shop, '1:2', '[]')
    const b = await shop.startHost({ name: 'b' })
    await expect(b.orders.get('1')).rejects.toThrow('versions up to 1. Run a newer version')
    await b.stop()
    const c = await shop.startHost({ name: 'c' })
    await expect(c.orders.get('1')).rejects.toThrow('versions up to 1. Run a newer version')
    await c.stop()
    const db = new DatabaseSync(`${shop.dir}/b.sqlite`)
    db.exec(`UPDATE orders SET envelope = json_set(envelope, '$.version', 1)`)
    db.close()
    const again = await shop.startHost({ name: 'b' })
    expect(await again.orders.get('1')).toMatchObject({ status: 'preparing', version: 8, pizzas: [{ pizza_id: 1 }] })
    await again.stop()
    whole.forEach((record, index) => (records[index] = record))
    const d = await shop.startHost({ name: 'd' })
    expect(await d.orders.get('1')).toMatchObject({ status: 'preparing', version: 8 })
    expect(await d.orders.history('1')).toHaveLength(8)
    await d.stop()
  })

  it('is not rebuilt from a journal that ends too early, read in two parts', async () => {
    const shop = await openShop(true)
    overwrite(shop, '1:2', 'torn')
    const b = await shop.startHost({ name: 'b' })
    expect(await b.orders.get('1')).toMatchObject({ version: 8, pizzas: [{ pizza_id: 1 }] })
    expect(linesOf(shop, 'Part of the journal of an order')).toMatchObject([{ order_id: '1' }])
    await b.stop()
    await intrude(shop, '1', 'torn')
    const again = await shop.startHost({ name: 'b' })
    await expect(again.orders.get('1')).rejects.toMatchObject({ code: 'unreadable' })
    await again.stop()
  })
})

describe('A record that cannot be taken over', () => {
  it.each([
    ['under a key of no shop', 'hello world', '{"hello":1}'],
    ['under a key like that of a journal', 'hello:world', '{"hello":1}'],
    ['under a key that could be an order', 'hello', '{"hello":1}'],
    ['that says until when orders have left', ':aged', 'yesterday'],
    ['under a key of ours that says nothing', ':held:', 'torn'],
    ['of a newer version', ':future:1', '{}'],
  ])('%s is passed over', async (_, key, value) => {
    const shop = await openShop(true)
    await intrude(shop, key, value)
    const b = await shop.startHost({ name: 'b' })
    expect(await b.orders.get('1')).toMatchObject({ version: 8 })
    expect(linesOf(shop, 'passing over it')).toHaveLength(key.startsWith(':future') ? 0 : 1)
    expect(await b.orders.get('hello')).toBeUndefined()
    await finish(shop, b, ['1', '2'])
    for (const id of ['1', '2']) expect(await b.orders.get(id)).toMatchObject(ready)
    await b.stop()
    expect(await shop.verify({ name: 'b' })).toMatchObject({ orders: 2, differences: [] })
  })

  it('is told of in a few lines, however many there are', async () => {
    const shop = await openShop(true)
    for (let n = 0; n < 700; n++) await intrude(shop, `stranger-${n}`, 'hello')
    const b = await shop.startHost({ name: 'b' })
    expect(await b.orders.get('1')).toMatchObject({ version: 8 })
    expect(linesOf(shop, 'passing over it')).toHaveLength(20)
    expect(linesOf(shop, '680 more snapshot records cannot be read')).toHaveLength(1)
    await b.stop()
  })

  it('of another program leaves the positions as they are, however much it wrote since', async () => {
    const shop = await openShop(true)
    const b = await shop.startHost({ name: 'b' })
    await b.stop()
    for (let n = 0; n < 700; n++) await intrude(shop, `stranger-${n}`, 'hello')
    const before = shop.records('pizza-with-sauce').length
    const again = await shop.startHost({ name: 'b' })
    await again.orders.get('1')
    expect(again.host.applied.position('pizza-with-sauce', 0)).toBe(before)
    expect(again.host.stats().tallies.recordsTaken).toBe(0)
    await again.stop()
  })
})

describe('Positions that cannot be taken over', () => {
  it.each(['torn', '5', 'null', '{}', '{"orders":"two"}', '{"orders":-1}'])(
    '(%s) are found in the journals: nothing is left out, and nothing is taken twice (P1, P3)',
    async (value) => {
      const shop = await openShop(true)
      // Without ids: were it read once more, it would top the next pizza.
      const c = await shop.startHost({ name: 'c' })
      await top(shop, 'sauce', { order_id: '2', pizza_id: undefined })
      await until(() => c.host.cache.peek('2')?.version === 2)
      await c.stop()
      await intrude(shop, ':positions', value)
      await top(shop, 'cheese', { order_id: '2', pizza_id: 1 })
      const b = await shop.startHost({ name: 'b' })
      await until(() => b.host.cache.peek('2')?.version === 3)
      expect((await b.orders.get('2'))!.in_progress).toMatchObject([
        { toppings: { sauce: 'some sauce', cheese: 'some cheese' } },
        { toppings: {} },
      ])
      expect(linesOf(shop, 'The positions of a partition cannot be read')).toHaveLength(1)
      expect(shop.records('pizza')).toHaveLength(4)
      await finish(shop, b, ['1', '2'])
      for (const id of ['1', '2']) expect(await b.orders.get(id)).toMatchObject(ready)
      await b.stop()
      expect(await shop.verify({ name: 'b' })).toMatchObject({ orders: 2, differences: [] })
    },
  )

  it('are found although the log has deleted what they passed', async () => {
    const shop = await openShop(true)
    await intrude(shop, ':positions', 'torn')
    for (const at of shop.records('orders')) deleteBelow(shop.storage, at, at.offset + 1)
    const b = await shop.startHost({ name: 'b' })
    expect(await b.orders.get('1')).toMatchObject({ version: 8 })
    await b.stop()
  })
})

describe('A topping that waits for its order', () => {
  /** A topping of order `late` is held. */
  async function openHolding(pizza_id: number | undefined): Promise<MemoryShop> {
    const shop = await openShop(true)
    const b = await shop.startHost({
      name: 'b',
      wrapLog: (log) => ({
        ...log,
        // Orders seem to go on, so it waits.
        ends: async (topics) => {
          const ends = await log.ends(topics)
          if (topics.length > 1 || topics[0] !== 'orders') return ends
          return new Map([...ends].map(([topic, [end = 0]]) => [topic, [end + 1]]))
        },
      }),
    })
    await top(shop, 'sauce', { order_id: 'late', pizza_id })
    await until(() => b.host.stats().orders!.held === 1)
    await b.stop()
    return shop
  }

  /** The same, and what is held cannot be read. */
  async function openTorn(): Promise<MemoryShop> {
    const shop = await openHolding(1)
    overwrite(shop, `:held:pizza-with-sauce:${shop.records('pizza-with-sauce').length - 1}`, '{"key":5}')
    return shop
  }

  it('is held once where only the positions cannot be read', async () => {
    const shop = await openHolding(undefined)
    await intrude(shop, ':positions', 'torn')
    await shop.append(orderRecord(shop.topics, 'late', 2))
    const c = await shop.startHost({ name: 'c' })
    await until(() => c.host.applied.position('pizza-with-sauce', 0) === shop.records('pizza-with-sauce').length)
    const { in_progress } = (await c.orders.get('late'))!
    expect(in_progress.map(({ toppings }) => toppings)).toEqual([{ sauce: 'some sauce' }, {}])
    await c.stop()
    expect(await shop.verify({ name: 'c' })).toMatchObject({ orders: 3, differences: [] })
  })

  it('is read from its own topic again when it cannot be taken over', async () => {
    const shop = await openTorn()
    await shop.append(orderRecord(shop.topics, 'late', 1))
    const c = await shop.startHost({ name: 'c' })
    expect(await c.orders.get('late')).toMatchObject({ in_progress: [{ toppings: { sauce: 'some sauce' } }] })
    expect(linesOf(shop, 'it was read from its own topic again')).toHaveLength(1)
    await c.stop()
    expect(await shop.verify({ name: 'c' })).toMatchObject({ orders: 3, differences: [] })
  })

  it('is named when the log has deleted it', async () => {
    const shop = await openTorn()
    const at = shop.records('pizza-with-sauce').at(-1)!
    deleteBelow(shop.storage, at, at.offset + 1)
    const c = await shop.startHost({ name: 'c' })
    expect(await c.orders.get('1')).toMatchObject({ version: 8 })
    const { topic, partition, offset } = at
    expect(linesOf(shop, 'the log has it no more')).toMatchObject([{ waiting: { topic, partition, offset } }])
    await c.stop()
  })
})

describe('An order of a host that shares nothing, whose snapshot cannot be read', () => {
  const damage = (shop: MemoryShop, sql: string): void => {
    const db = new DatabaseSync(`${shop.dir}/a.sqlite`)
    db.exec(sql)
    db.close()
  }

  it.each([
    ['is no JSON', `'torn'`],
    ['is of machines of the future (P10)', `json_set(envelope, '$.version', 99)`],
    ['has other pizzas', `json_set(envelope, '$.snapshot.context.count', 3)`],
    ['has pizzas without a state', `json_set(envelope, '$.snapshot.children.pizza-1.snapshot.value', 'dough')`],
    ['has pizzas of nothing', `json_set(envelope, '$.snapshot.children.pizza-1.src', 'pie')`],
  ])('is rebuilt from its journal when it %s', async (_, envelope) => {
    const shop = await openShop(false)
    damage(shop, `UPDATE orders SET envelope = ${envelope} WHERE order_id = '1'`)
    const a = await shop.startHost({ name: 'a' })
    await finish(shop, a, ['1', '2'])
    for (const id of ['1', '2']) expect(await a.orders.get(id)).toMatchObject({ id, ...ready })
    expect(linesOf(shop, 'the order was rebuilt from its journal')).toMatchObject([{ order_id: '1' }])
    expect(shop.records('dead-letters')).toEqual([])
    await a.stop()
    expect(await shop.verify({ name: 'a' })).toMatchObject({ orders: 2, differences: [] })
  })

  it.each([
    ['has gaps', `UPDATE journal SET first_version = 20 WHERE order_id = '1' AND first_version = 1`],
    ['cannot be read', `UPDATE journal SET entries = 'torn' WHERE order_id = '1'`],
    ['is gone', `DELETE FROM journal WHERE order_id = '1'`],
  ])('is alone in being unavailable when its journal %s', async (_, sql) => {
    const shop = await openShop(false)
    damage(shop, `UPDATE orders SET envelope = 'torn' WHERE order_id = '1'; ${sql}`)
    const a = await shop.startHost({ name: 'a' })
    await expect(a.orders.get('1')).rejects.toMatchObject({ code: 'unreadable' })
    await finish(shop, a, ['1', '2'])
    expect(await a.orders.get('2')).toMatchObject(ready)
    expect(shop.records('dead-letters')[0]!.headers).toMatchObject({ reason: 'unreadable-order' })
    await a.stop()
  })
})
