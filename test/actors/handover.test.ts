import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { EventLog } from '../../src/log/event-log.ts'
import { evictMember } from '../../src/log/memory-log.ts'
import { placeKey } from '../../src/log/placement.ts'
import {
  openMemoryShop,
  orderRecord,
  toppedRecord,
  until,
  type MemoryShop,
  type RunningHost,
} from '../support/memory-shop.ts'

const waitMs = 8_000
const partitions = 4

const open = (host = {}) => openMemoryShop({ partitions, hasSnapshots: true, host })

/** The host that owns an order's partition, once one does. */
async function ownerOf(orderId: string, hosts: readonly RunningHost[]): Promise<RunningHost> {
  const partition = placeKey(orderId, partitions)
  const find = () => hosts.find(({ host }) => host.gate.isCurrent([partition]))
  await until(() => find() !== undefined)
  return find()!
}

/** Every partition is with one of these hosts. */
const areSpread = (hosts: readonly RunningHost[]) => () =>
  hosts.flatMap(({ host }) => host.gate.partitions).length === partitions &&
  hosts.every(({ host }) => host.gate.partitions.length > 0 && host.gate.isCurrent(host.gate.partitions))

/** Places orders of every partition and waits until they are ready. @returns what their owners show. */
async function placeOrders(hosts: readonly RunningHost[], count: number): Promise<Map<string, unknown>> {
  const shown = new Map<string, unknown>()
  for (let n = 0; n < count; n++) {
    const { order_id } = await hosts[n % hosts.length]!.orders.place({ count: 1 + (n % 3) })
    const owner = await ownerOf(order_id, hosts)
    shown.set(order_id, await owner.orders.get(order_id, { waitMs }))
  }
  return shown
}

async function expectUnchanged(shown: ReadonlyMap<string, unknown>, hosts: readonly RunningHost[]): Promise<void> {
  for (const [orderId, before] of shown) {
    const { orders } = await ownerOf(orderId, hosts)
    expect(await orders.get(orderId)).toEqual(before)
    expect(await orders.history(orderId)).toHaveLength((before as { version: number }).version)
  }
}

async function expectVerified(shop: MemoryShop, names: readonly string[]): Promise<void> {
  for (const name of names) expect((await shop.verify({ name })).differences).toEqual([])
}

describe('Order hosts that share the partitions', () => {
  test('hand orders over to one that joins, with everything they have shown (P2, P4)', async () => {
    const shop = await open()
    await shop.startToppings()
    const a = await shop.startHost({ name: 'a' })
    const shown = await placeOrders([a], 12)
    const b = await shop.startHost({ name: 'b' })
    await until(areSpread([a, b]))
    await expectUnchanged(shown, [a, b])
    const more = await placeOrders([a, b], 12)
    for (const [orderId, view] of more) expect(view, orderId).toMatchObject({ status: 'ready' })
    await expectUnchanged(new Map([...shown, ...more]), [a, b])
    await a.stop()
    await until(areSpread([b]))
    await expectUnchanged(new Map([...shown, ...more]), [b])
    await b.stop()
    await expectVerified(shop, ['a', 'b'])
  })

  test('take over from one that was killed, and ask for no pizza of a finished order again (P1, P2)', async () => {
    const shop = await open()
    await shop.startToppings()
    const a = await shop.startHost({ name: 'a' })
    const b = await shop.startHost({ name: 'b' })
    await until(areSpread([a, b]))
    const shown = await placeOrders([a, b], 16)
    await a.host.checkpointer.now()
    const asked = shop.records('pizza').length
    a.crash()
    await until(areSpread([b]))
    await expectUnchanged(shown, [b])
    expect(shop.records('pizza')).toHaveLength(asked)
    await expectVerified(shop, ['b'])
  })

  test('restore from the topic alone on an empty disk, and only the difference on one that comes back', async () => {
    const shop = await open()
    await shop.startToppings()
    const a = await shop.startHost({ name: 'a' })
    const shown = await placeOrders([a], 20)
    await a.stop()
    const everything = shop.records('order-snapshots').length

    const b = await shop.startHost({ name: 'b' })
    await until(areSpread([b]))
    await expectUnchanged(shown, [b])
    expect(b.host.stats().handover.restoredRecords).toBe(everything)
    const more = await placeOrders([b], 2)
    await b.stop()
    const difference = shop.records('order-snapshots').length - everything

    const again = await shop.startHost({ name: 'a' })
    await until(areSpread([again]))
    await expectUnchanged(new Map([...shown, ...more]), [again])
    expect(again.host.stats().handover.restoredRecords).toBe(difference)
    expect(shop.records('dead-letters')).toEqual([])
    await again.stop()
    await expectVerified(shop, ['a', 'b'])
  })

  test('rebuild everything from the log when the topic of snapshots says nothing (P4)', async () => {
    const shop = await open()
    await shop.startToppings()
    const a = await shop.startHost({ name: 'a' })
    const shown = await placeOrders([a], 6)
    await a.stop()
    for (const partition of shop.storage.topics.get('order-snapshots')!) partition.records.length = 0
    const b = await shop.startHost({ name: 'a' })
    await until(areSpread([b]))
    await expectUnchanged(shown, [b])
    await b.stop()
    await expectVerified(shop, ['a'])
  })

  test('follow the partitions of others, so that little is left to read at a take-over', async () => {
    const shop = await open()
    await shop.startToppings()
    const a = await shop.startHost({ name: 'a' })
    // A host without partitions: another one would have to leave for it to get some.
    const extra = await Promise.all(['b', 'c', 'd'].map((name) => shop.startHost({ name })))
    const standby = await shop.startHost({ name: 'standby', standbyMs: 5 })
    await until(areSpread([a, ...extra]))
    const shown = await placeOrders([a, ...extra], 12)
    for (const { host } of [a, ...extra]) await host.checkpointer.now()
    const everything = shop.records('order-snapshots').length
    await until(() =>
      [0, 1, 2, 3].every(
        (p) =>
          (standby.store.positions().get('order-snapshots')?.get(p) ?? 0) ===
          shop.storage.topics.get('order-snapshots')![p]!.records.length,
      ),
    )
    expect(everything).toBeGreaterThan(12)
    expect(standby.host.stats().handover.restoredRecords).toBe(0)
    expect(standby.host.gate.partitions).toEqual([])
    for (const one of [a, ...extra]) one.crash()
    await until(areSpread([standby]))
    await expectUnchanged(shown, [standby])
    expect(standby.host.stats().handover.restoredRecords).toBe(0)
    await expectVerified(shop, ['standby'])
  })

  test('P9: the late checkpoint of an owner that lost its partitions without noticing is refused', async () => {
    const shop = await open({ checkpointMs: 1_000_000 })
    const a = await shop.startHost({ name: 'a' })
    await until(areSpread([a]))
    const { order_id } = await a.orders.place({ count: 1 })
    expect(await a.orders.get(order_id)).toMatchObject({ status: 'preparing' })
    const before = shop.records('order-snapshots').length
    // The group takes it for dead; it hears of that when it asks the group, and this is its last checkpoint before.
    evictMember(shop.storage, 'pizza-actors.orders', () => 0)
    const b = await shop.startHost({ name: 'b' })
    await until(areSpread([b]))
    await b.host.checkpointer.now()
    const claimed = shop.records('order-snapshots').slice(before)
    await a.host.checkpointer.now()
    expect(shop.records('order-snapshots').slice(before)).toEqual(claimed)
    expect(a.host.stats().tallies.fenced).toBeGreaterThan(0)
    expect(a.store.load(order_id)).toBeUndefined()
    expect(await (await ownerOf(order_id, [b])).orders.get(order_id)).toMatchObject({ status: 'preparing' })
  })

  test('hold back toppings of orders that are not known yet across a handover, once each (P6)', async () => {
    const shop = await open()
    const a = await shop.startHost({
      name: 'a',
      wrapLog: (log): EventLog => ({
        ...log,
        ends: async (topics) => {
          // Orders seem to go on: what waits for an order waits for a long time.
          const ends = await log.ends(topics)
          return new Map(
            [...ends].map(([topic, offsets]) => [
              topic,
              topic === 'orders' && topics.length === 1 ? offsets.map((end) => end + 1) : offsets,
            ]),
          )
        },
      }),
    })
    await until(areSpread([a]))
    await shop.append(toppedRecord(shop.topics, 'sauce', { order_id: 'late', pizza_id: undefined, choice: 'bbq' }))
    const partition = placeKey('late', partitions)
    await until(() => a.host.applied.position('pizza-with-sauce', partition) === 1)
    await a.stop()
    await shop.append(orderRecord(shop.topics, 'late', 2))
    const b = await shop.startHost({ name: 'b' })
    await until(areSpread([b]))
    const view = await b.orders.get('late')
    expect(view!.in_progress.map(({ toppings }) => toppings)).toEqual([{ sauce: 'bbq' }, {}])
    await b.stop()
    rmSync(join(shop.dir, 'b.sqlite'))
    const c = await shop.startHost({ name: 'c' })
    await until(areSpread([c]))
    expect(await c.orders.get('late')).toEqual(view)
    await c.stop()
    await expectVerified(shop, ['c'])
  })
})

describe('Orders that have been ready for long', () => {
  test('leave the store and the topic of snapshots, and stay away after a handover; verify knows of them', async () => {
    const shop = await open({ readyOrdersHours: 0.000_001 })
    await shop.startToppings()
    const a = await shop.startHost({ name: 'a' })
    const old = await placeOrders([a], 6)
    await a.host.checkpointer.now()
    const { order_id: open_id } = await a.orders.place({ count: 1 })
    await a.orders.get(open_id, { waitMs })
    // A look at what is old comes once a minute, and at the first checkpoint after the start.
    await a.stop()
    const again = await shop.startHost({ name: 'a' })
    await until(areSpread([again]))
    await again.host.checkpointer.now()
    await until(() => again.store.counts().ready === 0)
    for (const orderId of old.keys()) expect(await again.orders.get(orderId)).toBeUndefined()
    expect(again.host.stats().orders!.byStatus.ready).toBe(0)
    expect(again.store.journalAfter(0, 1_000)).toEqual([])
    await again.stop()
    const b = await shop.startHost({ name: 'b' })
    await until(areSpread([b]))
    expect(b.store.counts()).toEqual({ preparing: 0, ready: 0 })
    await b.stop()
    await expectVerified(shop, ['a', 'b'])
  })
})
