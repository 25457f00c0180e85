/** The shop as users start it: one process, the embedded log, nothing else. */
import { readdir } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { placeKey } from '../src/log/placement.ts'
import { checkShop, readAllOrders } from './support/checker.ts'
import { everyRole } from './support/fleet.ts'
import { failOnLeftovers } from './support/lifecycle.ts'
import type { ShopProcess } from './support/shop-process.ts'
import { readEvents, type SseEvent } from './support/sse-client.ts'
import { until } from './support/until.ts'
import { createWitness, type OrderJson } from './support/witness.ts'
import { openEmbeddedWorld } from './support/worlds.ts'

const timeout = 60_000

failOnLeftovers()

describe('The shop as one process', () => {
  test('takes an order and shows it with the two lines of the original (P1)', { timeout }, async () => {
    const shop = await (await openEmbeddedWorld()).start()
    const placed = await fetch(`${shop.url}/order/3`, { method: 'POST' })
    expect(placed.status).toBe(201)
    const { order_id } = (await placed.json()) as { order_id: string }
    expect(placed.headers.get('location')).toBe(`/order/${order_id}`)
    expect(order_id).toMatch(/^\d{30,39}$/)

    const order = await getWhenReady(shop, order_id)
    expect(order).toMatchObject({ id: order_id, count: 3, status: 'ready', in_progress: [] })
    for (const pizza of order.pizzas) {
      expect(Object.keys(pizza)).toEqual(['order_id', 'pizza_id', 'sauce', 'cheese', 'meats', 'veggies'])
      expect(pizza).toMatchObject({ order_id, sauce: expect.stringMatching(/./), veggies: expect.stringMatching(/./) })
    }
    const report = (await (await fetch(`${shop.reportUrl}/report`)).json()) as Record<string, number>
    expect(Object.values(report).reduce((sum, n) => sum + n, 0)).toBe(3)
    await shop.stop()
  })

  test('has the first order ready within a second of its banner', { timeout }, async () => {
    const shop = await (await openEmbeddedWorld()).start()
    const upAt = performance.now()
    const order = await getWhenReady(shop, await place(shop, 1))
    expect(order.status).toBe('ready')
    expect(performance.now() - upAt).toBeLessThan(1_000)
    await shop.stop()
  })

  test('ends with 0 on SIGTERM and leaves its three files, and no lock held', { timeout }, async () => {
    const world = await openEmbeddedWorld()
    const shop = await world.start()
    await getWhenReady(shop, await place(shop, 20))
    expect(await shop.stop()).toBe(0)
    const files = (await readdir(world.dataDir)).filter((name) => !name.endsWith('.sqlite.lock'))
    expect(files.toSorted()).toEqual(['log.sqlite', 'orders.sqlite', 'report.sqlite'])
    await expect(fetch(`${shop.url}/livez`)).rejects.toThrow()
    expect(shop.output()).not.toMatch(/"level":(40|50|60)/)
  })

  test('keeps its orders and its report over a restart (P1 P2 P7)', { timeout }, async () => {
    const world = await openEmbeddedWorld()
    const first = await world.start()
    const ids = await Promise.all([1, 2, 30, 4].map((count) => place(first, count)))
    for (const id of ids) await getWhenReady(first, id)
    const before = await readAllOrders(first.url!)
    expect(await first.stop()).toBe(0)

    const second = await world.start()
    expect(await readAllOrders(second.url!)).toEqual(before)
    const result = await checkShop({ witness: createWitness(), url: second.url!, reportUrl: second.reportUrl! })
    expect(result.violations).toEqual([])
    await second.stop()
  })

  test('finishes what a stop left unfinished (P1 P2 P3)', { timeout }, async () => {
    const world = await openEmbeddedWorld()
    const first = await world.start()
    const witness = createWitness()
    for (let orders = 0; orders < 10; orders++) witness.accept(await place(first, 100), 100)
    expect(await first.stop()).toBe(0)
    const second = await world.start()
    const result = await checkShop({ witness, url: second.url!, reportUrl: second.reportUrl! })
    expect(result.violations).toEqual([])
    await second.stop()
  })

  test('makes an order of 1,000 pizzas (P1 P8)', { timeout }, async () => {
    const world = await openEmbeddedWorld()
    const shop = await world.start()
    const witness = createWitness()
    witness.accept(await place(shop, 1_000), 1_000)
    const result = await checkShop({ witness, url: shop.url!, reportUrl: shop.reportUrl! })
    expect(result.violations).toEqual([])
    expect(await world.verify()).toMatchObject({ code: 0 })
    await shop.stop()
  })

  test(
    'gives the same order for an Idempotency-Key after a restart, and 422 for another count',
    { timeout },
    async () => {
      const world = await openEmbeddedWorld()
      const headers = { 'idempotency-key': 'my-key' }
      const first = await world.start()
      const id = await place(first, 2, headers)
      await first.kill()

      const second = await world.start()
      const again = await fetch(`${second.url}/order/2`, { method: 'POST', headers })
      expect(again.status).toBe(201)
      expect(again.headers.get('idempotency-replayed')).toBe('true')
      expect(await again.json()).toEqual({ order_id: id })
      expect((await fetch(`${second.url}/order/3`, { method: 'POST', headers })).status).toBe(422)
      expect([...(await readAllOrders(second.url!)).keys()]).toEqual([id])
      await second.stop()
    },
  )

  test('holds a GET with Prefer: wait until the order is ready, and no longer', { timeout }, async () => {
    const shop = await (await openEmbeddedWorld()).start()
    const answer = await fetch(`${shop.url}/order/${await place(shop, 200)}`, { headers: { prefer: 'wait=30' } })
    expect(((await answer.json()) as OrderJson).status).toBe('ready')
    expect(answer.headers.get('preference-applied')).toBe('wait=30')
    await shop.stop()
  })

  test('answers a GET with Prefer: wait with what there is when the time is up', { timeout }, async () => {
    const shop = await (await openEmbeddedWorld()).start({ roles: ['orders'] })
    const askedAt = performance.now()
    const answer = await fetch(`${shop.url}/order/${await place(shop, 1)}`, { headers: { prefer: 'wait=1' } })
    expect(((await answer.json()) as OrderJson).status).toBe('preparing')
    expect(performance.now() - askedAt).toBeGreaterThanOrEqual(990)
    await shop.stop()
  })

  test('continues an event stream over a kill -9 without a gap or a repetition (P2 P3)', { timeout }, async () => {
    const world = await openEmbeddedWorld()
    // Without cheese no order becomes ready: the stream stays open until the process dies.
    const first = await world.start({ roles: everyRole.filter((role) => role !== 'cheese') })
    const orderId = await place(first, 500)
    const seen: SseEvent[] = []
    for await (const event of tolerant(readEvents(`${first.url}/order/${orderId}/events`))) {
      seen.push(event)
      if (seen.length === 400) void first.kill()
    }
    await first.kill()

    const second = await world.start()
    for await (const event of readEvents(`${second.url}/order/${orderId}/events`, seen.at(-1)!.id)) seen.push(event)
    const taken = seen.slice(0, -1)
    expect(taken.map(({ data }) => data['version'])).toEqual(
      Array.from({ length: 1 + 4 * 500 }, (_, index) => index + 1),
    )
    expect(seen.map(({ event }) => event).filter((event) => event === 'order.ready')).toEqual(['order.ready'])
    expect(seen.at(-1)!.event).toBe('order.ready')
    expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length)
    await second.stop()
  })
})

describe('Two processes of one role on one file', () => {
  test('share the work, and one takes over when the other dies (P1 P3 P7)', { timeout }, async () => {
    const world = await openEmbeddedWorld()
    const rest = await world.start({ roles: everyRole.filter((role) => role !== 'sauce') })
    const sauces = [await world.start({ roles: ['sauce'] }), await world.start({ roles: ['sauce'] })]
    const [shareOfFirst, shareOfSecond] = [await findShare(rest, sauces, 0), await findShare(rest, sauces, 1)]
    expect(shareOfFirst.size).toBe(3)
    expect(shareOfSecond.size).toBe(3)
    expect(new Set([...shareOfFirst, ...shareOfSecond]).size, 'no partition has two owners').toBe(6)

    await sauces[1]!.kill()
    const witness = createWitness()
    for (let orders = 0; orders < 30; orders++) witness.accept(await place(rest, 2), 2)
    const result = await checkShop({ witness, url: rest.url!, reportUrl: rest.reportUrl! })
    expect(result.violations).toEqual([])
    expect(await sauces[0]!.stop()).toBe(0)
    expect(await rest.stop()).toBe(0)
  })
})

/** The partitions that one of two processes works on: those where orders become ready while the other one is paused. */
async function findShare(rest: ShopProcess, both: readonly ShopProcess[], index: number): Promise<Set<number>> {
  const other = both[1 - index]!
  await until('both to have their partitions', () => hasSettled(rest))
  other.pause()
  try {
    const partitionOf = new Map<string, number>()
    while (new Set(partitionOf.values()).size < 6) {
      const id = await place(rest, 1)
      partitionOf.set(id, placeKey(id, 6))
    }
    const share = new Set<number>()
    await until(
      'three partitions to move',
      async () => {
        for (const [id, text] of await readAllOrders(rest.url!)) {
          const partition = partitionOf.get(id)
          if (partition !== undefined && (JSON.parse(text) as OrderJson).status === 'ready') share.add(partition)
        }
        return share.size >= 3
      },
      4_000,
    )
    return share
  } finally {
    other.resume()
    await until('all partitions to move', () => hasSettled(rest))
  }
}

/** Whether an order on every partition becomes ready: every partition has an owner that works. */
async function hasSettled(shop: ShopProcess): Promise<boolean> {
  const partitions = new Set<number>()
  while (partitions.size < 6) {
    const id = await place(shop, 1)
    partitions.add(placeKey(id, 6))
    if ((await getWhenReady(shop, id)).status !== 'ready') return false
  }
  return true
}

async function place(shop: ShopProcess, count: number, headers: Record<string, string> = {}): Promise<string> {
  const response = await fetch(`${shop.url}/order/${count}`, { method: 'POST', headers })
  expect(response.status).toBe(201)
  return ((await response.json()) as { order_id: string }).order_id
}

async function getWhenReady(shop: ShopProcess, orderId: string): Promise<OrderJson> {
  const response = await fetch(`${shop.url}/order/${orderId}`, { headers: { prefer: 'wait=20' } })
  expect(response.status).toBe(200)
  return (await response.json()) as OrderJson
}

/** A stream whose server dies ends with an error: here that is an end like any other. */
async function* tolerant<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* source
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
  }
}
