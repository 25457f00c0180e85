/** The simulated disks answer as the real stores do. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createOrderStore, type Checkpoint, type OrderStore, type Restored } from '../../src/actors/order-store.ts'
import { createReportStore, type ReportCheckpoint, type ReportStore } from '../../src/actors/report-store.ts'
import { makeFolder } from '../support/lifecycle.ts'
import { createOrderDisk, createReportDisk } from './disks.ts'

const orderId = fc.constantFrom('1', '2', '3')
const positions = fc
  .array(fc.tuple(fc.constantFrom('orders', 'pizza'), fc.integer({ min: 0, max: 2 }), fc.nat(9)))
  .map((all) => {
    const found = new Map<string, Map<number, number>>()
    for (const [topic, partition, to] of all)
      found.set(topic, (found.get(topic) ?? new Map<number, number>()).set(partition, to))
    return found
  })
const entry = fc.record({
  topic: fc.constant('orders'),
  partition: fc.nat(2),
  offset: fc.nat(9),
  at: fc.nat(1_000),
  pizza: fc.option(
    fc.record({ pizza_id: fc.integer({ min: 1, max: 9 }), topping: fc.constant('sauce'), choice: fc.string() }),
  ),
  count: fc.constant(null),
})
const order = fc
  .record({
    order_id: orderId,
    partition: fc.constant(0),
    count: fc.constant(2),
    status: fc.constantFrom('preparing' as const, 'ready' as const),
    placedAt: fc.constant(0),
    readyAt: fc.nat(9),
    version: fc.integer({ min: 5, max: 9 }),
    envelope: fc.string(),
    entries: fc.array(entry, { maxLength: 3 }),
  })
  .map((one) => ({ ...one, placedAt: 100 + Number(one.order_id) }))
const held = fc.record({
  topic: fc.constant('pizza'),
  partition: fc.constant(0),
  offset: fc.nat(9),
  timestampMs: fc.nat(9),
  key: fc.option(fc.string().map((text) => Buffer.from(text))),
  value: fc.option(fc.string().map((text) => Buffer.from(text))),
})
const checkpoint: fc.Arbitrary<Checkpoint> = fc.record({
  positions,
  orders: fc.uniqueArray(order, { selector: ({ order_id }) => order_id, maxLength: 3 }),
  held: fc.uniqueArray(held, { selector: ({ offset }) => offset, maxLength: 2 }),
})

/** What another owner checkpointed of partition 0, where all orders are. */
const restored: fc.Arbitrary<Restored> = fc.record({
  partition: fc.constant(0),
  orders: fc.uniqueArray(
    order.map(({ entries: _, ...stored }) => stored),
    { selector: ({ order_id }) => order_id, maxLength: 3 },
  ),
  chunks: fc.array(
    fc.record({
      order_id: orderId,
      firstVersion: fc.integer({ min: 1, max: 9 }),
      status: fc.constantFrom('preparing' as const, 'ready' as const),
      entries: fc.array(entry, { minLength: 1, maxLength: 2 }),
    }),
    { maxLength: 3 },
  ),
  held: fc.uniqueArray(held, { selector: ({ offset }) => offset, maxLength: 2 }),
  released: fc.array(fc.record({ topic: fc.constant('pizza'), partition: fc.constant(0), offset: fc.nat(9) }), {
    maxLength: 2,
  }),
  positions: fc.oneof(positions, fc.constant(new Map<string, Map<number, number>>())),
})
/** What can be done to an order store, with what it answers. */
const act: fc.Arbitrary<(store: OrderStore) => unknown> = fc.oneof(
  { weight: 3, arbitrary: checkpoint.map((one) => (store: OrderStore) => store.checkpoint(one)) },
  { weight: 3, arbitrary: restored.map((one) => (store: OrderStore) => store.restore(one)) },
  { weight: 1, arbitrary: fc.nat(1).map((partition) => (store: OrderStore) => store.forget(partition)) },
)

/** Everything an order store answers, but its epoch. */
function look(store: OrderStore) {
  return {
    positions: sorted(store.positions()),
    held: store.held(),
    stored: ['1', '2', '3', '4'].map((id) => ({ ...store.load(id) })),
    journals: ['1', '2', '3'].map((id) => store.journal(id)),
    after: store.journalAfter(1, 2),
    last: store.lastSeq(),
    counts: store.counts(),
    countsOf: [store.counts([0, 1]), store.counts([1])],
    lists: [
      store.list({ limit: 2 }),
      store.list({ limit: 9, status: 'ready' }),
      store.list({ limit: 9, after: { placedAt: 102, orderId: '2' } }),
      store.list({ limit: 9, partitions: [0] }),
      store.list({ limit: 9, partitions: [1] }),
    ].map((orders) => orders.map(({ order_id }) => order_id)),
    all: [...store.all()].map(({ order_id }) => order_id).toSorted(),
  }
}

function lookAtReport(store: ReportStore) {
  const ofEach = [0, 1].map((partition) => ({
    counts: sorted(store.counts(partition)),
    counted: ['1', '2', '3'].map((id) => [...(store.counted(partition, id) ?? [])]),
  }))
  return { positions: sorted(store.positions()), counts: sorted(store.counts()), ofEach }
}

const sorted = (map: ReadonlyMap<string, unknown>) =>
  [...map]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => [
      key,
      value instanceof Map ? [...(value as Map<number, number>)].toSorted(([a], [b]) => a - b) : value,
    ])

describe('A simulated disk', () => {
  it('answers as the order store does, whatever was written, taken over and forgotten', async () => {
    const dir = await makeFolder()
    fc.assert(
      fc.property(fc.array(act, { maxLength: 8 }), (acts) => {
        const real = createOrderStore(join(dir, 'orders.sqlite'))
        const simulated = createOrderDisk().open()
        try {
          for (const one of acts) expect(plain(one(simulated) ?? null)).toEqual(plain(one(real) ?? null))
          expect(plain(look(simulated))).toEqual(plain(look(real)))
        } finally {
          real.close()
          rmSync(dir, { recursive: true, force: true })
        }
      }),
      { numRuns: 60 },
    )
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  })

  it('answers as the report store does, whatever was written', async () => {
    const dir = await makeFolder()
    const bits = fc.uint8Array({ maxLength: 2 })
    const map = <T>(values: fc.Arbitrary<T>) => {
      const byOrder = fc.array(fc.tuple(orderId, values)).map((all) => new Map(all))
      return fc.array(fc.tuple(fc.nat(1), byOrder)).map((all) => new Map(all))
    }
    const report: fc.Arbitrary<ReportCheckpoint> = fc.record({ counts: map(fc.nat(9)), counted: map(bits), positions })
    fc.assert(
      fc.property(fc.array(report, { maxLength: 6 }), (checkpoints) => {
        const real = createReportStore(join(dir, 'report.sqlite'))
        const simulated = createReportDisk().open()
        try {
          for (const one of checkpoints) for (const store of [simulated, real]) store.checkpoint(one)
          expect(lookAtReport(simulated)).toEqual(lookAtReport(real))
        } finally {
          real.close()
          rmSync(dir, { recursive: true, force: true })
        }
      }),
      { numRuns: 40 },
    )
  })
})

/** Without prototypes: rows of SQLite have none. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}
