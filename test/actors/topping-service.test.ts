import { describe, expect, it } from 'vitest'
import { choose, recipe } from '../../src/menu.ts'
import { createFaultyLog } from '../support/faulty-log.ts'
import { openMemoryShop, until, type MemoryShop } from '../support/memory-shop.ts'

const { menu } = recipe[0]!
const from = 'pizza'
const to = 'pizza-with-sauce'

const pizza = (order_id: string, pizza_id: number) => ({
  topic: from,
  key: order_id,
  value: JSON.stringify({ order_id, pizza_id, sauce: '', cheese: '' }),
})

const values = (shop: MemoryShop, topic = to) => shop.records(topic).map(({ value }) => String(value))

/** How far the sauce service's group has come, over all partitions. */
function positionOf({ storage }: MemoryShop): number {
  const committed = storage.committed.get('pizza-actors.sauce')?.get(from)
  return [...(committed?.values() ?? [])].reduce((sum, position) => sum + position, 0)
}

describe('A topping service', () => {
  it('puts its choice on each pizza and keeps key, partition and order', async () => {
    const shop = await openMemoryShop()
    const pizzas = Array.from({ length: 40 }, (_, n) => pizza(`order-${n % 5}`, (n % 8) + 1))
    await shop.append(...pizzas)
    await shop.startTopping('sauce')
    await until(() => shop.records(to).length === 40)
    const places = (topic: string) => shop.records(topic).map((r) => [String(r.key), r.partition, r.offset])
    expect(places(to)).toEqual(places(from))
    for (const value of values(shop)) {
      const { order_id, pizza_id, sauce } = JSON.parse(value) as Record<string, string>
      expect(sauce).toBe(choose(menu, `${order_id}/${pizza_id}/sauce`))
    }
  })

  it('gives the same record when it does a pizza twice (T1)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    await shop.append(pizza('7', 1), pizza('7', 2), pizza('7', 1))
    await shop.startTopping('sauce')
    await until(() => shop.records(to).length === 3)
    const [first, second, again] = values(shop)
    expect(again).toBe(first)
    expect(second).not.toBe(first)
  })

  it('chooses by the place in the log when a pizza has no id (T1)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const nameless = { topic: from, key: '7', value: '{"order_id":"7"}' }
    await shop.append(...Array.from({ length: 20 }, () => nameless))
    await shop.startTopping('sauce')
    await until(() => shop.records(to).length === 20)
    const sauces = values(shop).map((value) => (JSON.parse(value) as { sauce: string }).sauce)
    expect(sauces).toEqual(sauces.map((_, offset) => choose(menu, `${from}/0/${offset}/sauce`)))
    expect(new Set(sauces).size).toBeGreaterThan(1)
  })

  it('passes on fields it does not know as they are (T3)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const value = '{"trace":12345678901234567890,"order_id":"7","price":1.0,"pizza_id":1,"tags":[{"a":null}]}'
    await shop.append({ topic: from, key: '7', value })
    await shop.startTopping('sauce')
    await until(() => shop.records(to).length === 1)
    expect(values(shop)).toEqual([`${value.slice(0, -1)},"sauce":"${choose(menu, '7/1/sauce')}"}`])
  })

  it('sends bad records to the dead letters with why and where from, and goes on (T2, P6)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    await shop.append(
      pizza('7', 1),
      { topic: from, key: 'k', value: 'no JSON' },
      { topic: from, key: null, value: null },
      { topic: from, key: '7', value: '{"order_id":"7","pizza_id":0}' },
      pizza('7', 2),
    )
    await shop.startTopping('sauce')
    await until(() => positionOf(shop) === 5)
    expect(shop.records(to)).toHaveLength(2)
    const letters = shop.records('dead-letters')
    expect(letters.map(({ key, value }) => [key && String(key), value && String(value)])).toEqual([
      ['k', 'no JSON'],
      [null, null],
      ['7', '{"order_id":"7","pizza_id":0}'],
    ])
    const { timestampMs } = shop.records(from)[1]!
    expect(letters[0]!.headers).toEqual({
      role: 'sauce',
      reason: 'not-json',
      detail: expect.stringContaining('The value is not JSON') as string,
      topic: from,
      partition: '0',
      offset: '1',
      appended_at: new Date(timestampMs).toISOString(),
    })
    expect(letters.map(({ headers }) => [headers!['reason'], headers!['offset']])).toEqual([
      ['not-json', '1'],
      ['invalid-record', '2'],
      ['invalid-record', '3'],
    ])
  })

  it('sends a record to the dead letters that has no room for one more topping (P6)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const frame = JSON.stringify({ order_id: '7', pizza_id: 1, note: '' }).length + 1
    const full = JSON.stringify({ order_id: '7', pizza_id: 1, note: 'x'.repeat(65 * 1024 - frame) })
    await shop.append({ topic: from, key: '7', value: full }, pizza('7', 2))
    await shop.startTopping('sauce')
    await until(() => positionOf(shop) === 2)
    expect(shop.records(to)).toHaveLength(1)
    const [letter] = shop.records('dead-letters')
    expect(letter!.headers).toMatchObject({ reason: 'record-too-large', offset: '0', cut_from_bytes: `${full.length}` })
    expect(String(letter!.value)).toBe(full.slice(0, 32 * 1024))
  })

  it('can make a dead letter of a record with a huge key and a huge complaint (P6)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    await shop.append({ topic: from, key: 'k'.repeat(65 * 1024 - 7), value: 'no JSON' }, pizza('7', 2))
    await shop.startTopping('sauce')
    await until(() => positionOf(shop) === 2)
    expect(shop.records('dead-letters')[0]!.headers).toMatchObject({ reason: 'not-json', offset: '0' })
  })

  it('loses nothing and keeps the order while the log refuses appends (T2, B1, B3)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const faulty = createFaultyLog()
    faulty.faults.push('refused', 'written but reported lost', 'refused')
    const pizzas = Array.from({ length: 6 }, (_, n) => pizza('7', n + 1))
    await shop.append(...pizzas)
    const { role } = await shop.startTopping('sauce', faulty.wrap)
    await until(() => positionOf(shop) === 6)
    const ids = values(shop).map((value) => (JSON.parse(value) as { pizza_id: number }).pizza_id)
    expect(ids).toEqual([1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6])
    expect(role.readiness()).toEqual({ ready: true, reasons: [] })
  })

  it('says that it cannot append, and is ready again when it can', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const { role } = await shop.startTopping('sauce')
    await shop.append(pizza('7', 1))
    shop.storage.isAway = true
    await until(() => !role.readiness().ready)
    expect(role.readiness().reasons).toEqual(['sauce cannot append to the log'])
    shop.storage.isAway = false
    await until(() => shop.records(to).length === 1 && role.readiness().ready)
  })

  it('that crashes between output and position does the pizzas again and makes the same records (T1, T2)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    await shop.append(pizza('7', 1), pizza('7', 2))
    const first = await shop.startTopping('sauce', (log) => ({
      ...log,
      async append(records) {
        const written = await log.append(records)
        first.crash()
        return written
      },
    }))
    await until(() => shop.records(to).length === 2)
    expect(positionOf(shop)).toBe(0)
    await shop.startTopping('sauce')
    await until(() => positionOf(shop) === 2)
    const [a, b, again, andAgain] = values(shop)
    expect([again, andAgain]).toEqual([a, b])
    expect(shop.records(to)).toHaveLength(4)
  })

  it('that crashes before its output is durable has moved no position (T2)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const faulty = createFaultyLog()
    const release = faulty.block()
    await shop.append(pizza('7', 1))
    const first = await shop.startTopping('sauce', faulty.wrap)
    await until(() => faulty.tried.length === 1)
    first.crash()
    release()
    expect(positionOf(shop)).toBe(0)
    await shop.startTopping('sauce')
    await until(() => positionOf(shop) === 1)
    expect(shop.records(to)).toHaveLength(1)
  })

  it('that is stopped has its position written down, and the next one repeats nothing', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    await shop.append(pizza('7', 1))
    const first = await shop.startTopping('sauce')
    await until(() => shop.records(to).length === 1)
    await first.stop()
    expect(positionOf(shop)).toBe(1)
    await shop.append(pizza('7', 2))
    await shop.startTopping('sauce')
    await until(() => positionOf(shop) === 2)
    expect(shop.records(to)).toHaveLength(2)
  })

  it.each(['comes', 'has passed'])(
    'stops when its deadline %s though the log is away; the next one does the rest',
    async (when) => {
      const shop = await openMemoryShop({ partitions: 1 })
      const { role, crash } = await shop.startTopping('sauce')
      await shop.append(pizza('7', 1))
      shop.storage.isAway = true
      await until(() => !role.readiness().ready)
      const deadline = new AbortController()
      if (when === 'has passed') deadline.abort()
      const stopped = role.stop(deadline.signal)
      deadline.abort()
      await stopped
      crash()
      shop.storage.isAway = false
      expect(shop.records(to)).toEqual([])
      await shop.startTopping('sauce')
      await until(() => shop.records(to).length === 1)
    },
  )
})
