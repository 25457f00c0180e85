/**
 * Bad records at every topic: a corpus, and records made by chance. Nothing stops, nothing is lost without a word: what a role cannot
 * take becomes a dead letter with its reason, and the next order is finished (P5, P6).
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { orderCountMax } from '../../src/records.ts'
import type { AppendRecord } from '../../src/log/event-log.ts'
import { openMemoryShop, until, type MemoryShop } from '../support/memory-shop.ts'

const reasons = ['not-json', 'invalid-record', 'unknown-order', 'unknown-pizza', 'record-too-large']
const deep = 20_000
const long = 'x'.repeat(60_000)

const values: (string | Buffer | null)[] = [
  null,
  '',
  ' ',
  'null',
  'true',
  '7',
  '"text"',
  '[]',
  '{}',
  '{',
  '{"order_id":',
  '\u{feff}{}',
  Buffer.from([0xff, 0xfe, 0x00]),
  Buffer.from('{"order_id":"\u0000"}'),
  '['.repeat(deep),
  `${'['.repeat(deep)}${']'.repeat(deep)}`,
  `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`,
  `{"order_id":"deep","count":1,"x":${'['.repeat(deep)}${']'.repeat(deep)}}`,
  `{"order_id":"deep","pizza_id":1,"x":${'['.repeat(deep)}${']'.repeat(deep)}}`,
  `{"order_id":"long","count":1,"x":"${long}"}`,
  `{"order_id":"long","pizza_id":1,"cheese":"${long}"}`,
  `{"order_id":"${long}","count":1}`,
  '{"__proto__":{"order_id":"1","count":1}}',
  '{"constructor":1,"order_id":["1"],"count":{}}',
  ...[0, -1, 1.5, '"3"', 'null', '1e400', orderCountMax + 1, '9007199254740993'].map(
    (n) => `{"order_id":"1","count":${n}}`,
  ),
  ...['"soon"', '7', '"1969-12-31T23:59:59Z"', '"2030-13-01T00:00:00Z"', 'null'].map(
    (at) => `{"order_id":"1","count":1,"placed_at":${at}}`,
  ),
  ...['""', '"a b"', '"a/../b"', '"\u{1f355}"', '7', 'null', `"${'1'.repeat(65)}"`].map(
    (id) => `{"order_id":${id},"count":1,"pizza_id":1,"sauce":"bbq"}`,
  ),
  ...[0, -1, 1.5, '"1"', 'null', '1e400', orderCountMax + 1].map(
    (id) => `{"order_id":"1","pizza_id":${id},"sauce":"bbq","cheese":"extra","meats":"ham","veggies":"olives"}`,
  ),
  ...['""', '7', '{}', 'null', `"${'y'.repeat(1_001)}"`].map(
    (c) => `{"order_id":"1","pizza_id":1,"sauce":${c},"cheese":${c},"meats":${c},"veggies":${c}}`,
  ),
  '{"order_id":"nobody","pizza_id":1,"sauce":"bbq","cheese":"extra","meats":"ham","veggies":"olives"}',
]
const keys = [null, '', '1', Buffer.from([0xff, 0x00]), 'k'.repeat(2_000)]

/** JSON texts that look like ours and are not, and bytes that are nothing. */
const someValue = fc.oneof(
  fc.json(),
  fc.string(),
  fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  fc
    .record(
      {
        order_id: fc.oneof(fc.constantFrom('1', '__proto__', 'constructor', 'toString'), fc.jsonValue()),
        count: fc.oneof(fc.integer({ min: -1, max: 3 }), fc.jsonValue()),
        pizza_id: fc.oneof(fc.integer({ min: -1, max: 4 }), fc.jsonValue()),
        placed_at: fc.jsonValue(),
        cheese: fc.oneof(fc.string(), fc.jsonValue()),
        ['__proto__']: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value)),
)

/** Writes the records to every topic, lets every role read them, and orders a pizza after that. */
async function feed(shop: MemoryShop, made: readonly Pick<AppendRecord, 'key' | 'value'>[]): Promise<void> {
  const { topics } = shop
  const read = [topics.orders, topics.pizza, ...topics.toppingOf.keys()]
  for (const topic of read) await shop.append(...made.map((record) => ({ ...record, topic })))
  const [running, reporter] = await Promise.all([shop.startHost(), shop.startReporter(), shop.startToppings()])
  const { order_id } = await running.orders.place({ count: 2 })
  const order = await running.orders.get(order_id, { waitMs: 30_000 })
  expect(order).toMatchObject({ status: 'ready', count: 2 })
  // Nobody is stuck: each role passes the end of what it reads.
  await until(() => {
    const { applied } = running.host
    return [topics.orders, ...topics.toppingOf.keys()].every((topic) =>
      shop.storage.topics
        .get(topic)!
        .every(({ records }, partition) => applied.position(topic, partition) === records.length),
    )
  })
  await running.host.checkpointer.now()
  expect(Object.values(reporter.report.counts()).reduce((sum, n) => sum + n, 0)).toBeGreaterThanOrEqual(2)
  for (const { headers } of shop.records(topics.deadLetters)) {
    expect(reasons).toContain(headers!['reason'])
    expect(headers!['detail']).toMatch(/./)
  }
  expect((await shop.verify()).differences).toEqual([])
}

describe('The shop', { timeout: 60_000 }, () => {
  it(`survives ${values.length} bad records under ${keys.length} keys on every topic`, async () => {
    const shop = await openMemoryShop()
    await feed(
      shop,
      values.flatMap((value) => keys.map((key) => ({ key, value }))),
    )
    const told = new Set(shop.records('dead-letters').map(({ headers }) => `${headers!['role']} ${headers!['reason']}`))
    expect([...told]).toEqual(
      expect.arrayContaining([
        'orders not-json',
        'orders invalid-record',
        'orders unknown-order',
        'sauce not-json',
        'sauce invalid-record',
        'cheese-reporter not-json',
        'cheese-reporter invalid-record',
      ]),
    )
  })

  it('survives records made by chance', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ key: fc.constantFrom(...keys), value: someValue }), { minLength: 30, maxLength: 60 }),
        async (made) => feed(await openMemoryShop(), made),
      ),
      { numRuns: 12, endOnFailure: true },
    )
  })
})
