import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createPeers, type Peers } from '../../src/actors/peers.ts'
import { createOrdersApp } from '../../src/http/app.ts'
import { createDoor } from '../../src/http/door.ts'
import { listen } from '../../src/http/listen.ts'
import { createSharedOrders } from '../../src/http/shared-orders.ts'
import { placeKey } from '../../src/log/placement.ts'
import { openMemoryShop, until, type MemoryShop, type RunningHost } from '../support/memory-shop.ts'
import { readEvents, type SseEvent } from '../support/sse-client.ts'
import { createFakeOrders } from './fake-orders.ts'
import { limits, scrape } from './shop.ts'

const partitions = 4
const logger = { error: () => {}, warn: () => {} }
const groupId = 'pizza-actors.orders'

interface HttpHost extends RunningHost {
  readonly url: string
}

/** A host with its API, put together as start-orders does it. */
async function startHttpHost(shop: MemoryShop, name: string): Promise<HttpHost> {
  const door = createDoor()
  const listening = await listen(door.app, { host: '127.0.0.1', port: 0, drainMs: 100 })
  onTestFinished(() => listening.close())
  const running = await shop.startHost({ name, address: listening.url })
  const { gate, isConfirmed } = running.host
  const isHere = (partition: number) => gate.has(partition) && isConfirmed()
  const peers = createPeers({
    log: shop.log,
    groupId,
    self: listening.url,
    partitions,
    isHere,
    held: () => gate.partitions,
  })
  const hosts = { own: running.orders, peers }
  const orders = createSharedOrders(hosts)
  door.open(createOrdersApp({ orders, hosts, deadLetters: {} as never, limits, scrape, logger }), () => {})
  return { ...running, url: listening.url }
}

const areSpread = (hosts: readonly HttpHost[]) => () =>
  hosts.flatMap(({ host }) => host.gate.partitions).length === partitions &&
  hosts.every(({ host }) => host.gate.partitions.length > 0 && host.gate.isCurrent(host.gate.partitions))

async function openHosts() {
  const shop = await openMemoryShop({ partitions, hasSnapshots: true })
  await shop.startToppings()
  const a = await startHttpHost(shop, 'a')
  const b = await startHttpHost(shop, 'b')
  await until(areSpread([a, b]))
  return { shop, a, b, hosts: [a, b] as const }
}

async function post(url: string, count = 1, headers: Record<string, string> = {}) {
  const answer = await fetch(`${url}/order/${count}`, { method: 'POST', headers })
  const json = (await answer.json()) as { order_id: string }
  return { status: answer.status, ...json, replayed: answer.headers.get('idempotency-replayed') }
}

const owns = (host: HttpHost, orderId: string) => host.host.gate.has(placeKey(orderId, partitions))

/** Orders until each host has one. @returns one that the host does not own. */
async function placeElsewhere(host: HttpHost, count = 1): Promise<string> {
  for (;;) {
    const { order_id } = await post(host.url, count)
    if (!owns(host, order_id)) return order_id
  }
}

describe('Any host', () => {
  test('answers about an order that another one owns, whatever is asked, as its owner does', async () => {
    const { a, b } = await openHosts()
    const id = await placeElsewhere(a, 2)
    for (const path of [`/order/${id}/history`, `/order/${id}/history/1`, `/order/${id}`]) {
      const [mine, theirs] = await Promise.all(
        [a, b].map(async ({ url }) => {
          const answer = await fetch(url + path, { headers: { prefer: 'wait=8' } })
          const { status, headers } = answer
          return { status, etag: headers.get('etag'), type: headers.get('content-type'), body: await answer.text() }
        }),
      )
      expect(mine!.status).toBe(200)
      if (path === `/order/${id}`) expect(mine).toEqual(theirs)
    }
    const etag = (await fetch(`${b.url}/order/${id}`)).headers.get('etag')!
    expect((await fetch(`${a.url}/order/${id}`, { headers: { 'if-none-match': etag } })).status).toBe(304)
    expect((await fetch(`${a.url}/order/${id}`, { method: 'HEAD' })).status).toBe(200)
    expect((await fetch(`${a.url}/order/nobody-has-this`)).status).toBe(404)
    expect((await fetch(`${a.url}/order/${id}/history/99`)).status).toBe(404)
  })

  test('knows an order that was placed through another one, at once (O1)', async () => {
    const { hosts } = await openHosts()
    for (let n = 0; n < 20; n++) {
      const { order_id } = await post(hosts[n % 2]!.url)
      expect((await fetch(`${hosts[(n + 1) % 2]!.url}/order/${order_id}`)).status).toBe(200)
    }
  })

  test('takes an Idempotency-Key that was used with another one', async () => {
    const { a, b, shop } = await openHosts()
    for (let n = 0; n < 8; n++) {
      const headers = { 'idempotency-key': `key-${n}` }
      const first = await post(a.url, 2, headers)
      expect(first).toMatchObject({ status: 201, replayed: null })
      expect(await post(b.url, 2, headers)).toMatchObject({ status: 201, order_id: first.order_id, replayed: 'true' })
      expect(await post(b.url, 3, headers)).toMatchObject({ status: 422 })
    }
    expect(shop.records('orders')).toHaveLength(8)
  })

  test('lists the orders of all, page by page, newest first', async () => {
    const { hosts } = await openHosts()
    const ids: string[] = []
    for (let n = 0; n < 25; n++) ids.push((await post(hosts[n % 2]!.url)).order_id)
    for (const { url } of hosts) {
      const listed: { id: string; placed_at: string }[] = []
      for (let after: string | null = ''; after !== null;) {
        const page = await (await fetch(`${url}/orders?limit=7${after && `&after=${after}`}`)).json()
        const { orders, next } = page as { orders: typeof listed; next: string | null }
        listed.push(...orders)
        after = next
      }
      expect(listed.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
      const times = listed.map(({ placed_at }) => placed_at)
      expect(times).toEqual(times.toSorted().toReversed())
    }
  })

  test('streams the events of all, and takes a stream up where it was, through any host', async () => {
    const { a, b, hosts } = await openHosts()
    const told: SseEvent[] = []
    const isHeard = (host: HttpHost) => told.some(({ data }) => owns(host, data['order_id'] as string))
    const reading = (async () => {
      for await (const event of readEvents(`${a.url}/events`)) {
        told.push(event)
        if (hosts.every(isHeard)) break
      }
    })()
    for (let n = 0; !hosts.every(isHeard); n++) await post(hosts[n % 2]!.url)
    await reading
    // What happens while nobody reads.
    const ids = [await placeElsewhere(a), await placeElsewhere(b)]
    for (const id of ids) await fetch(`${a.url}/order/${id}`, { headers: { prefer: 'wait=8' } })
    const rest: SseEvent[] = []
    const ready = () =>
      rest.filter(({ event, data }) => event === 'order.ready' && ids.includes(data['order_id'] as string))
    for await (const event of readEvents(`${b.url}/events`, told.at(-1)!.id)) {
      rest.push(event)
      if (ready().length === 2) break
    }
    for (const id of ids) {
      const types = rest.filter(({ data }) => data['order_id'] === id).map(({ event }) => event)
      expect(types).toEqual(['order.placed', ...Array(4).fill('pizza.topped'), 'order.ready'])
    }
    expect((await fetch(`${a.url}/events`, { headers: { 'last-event-id': 'nonsense' } })).status).toBe(400)
  })

  test('gives the stream of one order, wherever it is, and goes on after an event', async () => {
    const { a } = await openHosts()
    const id = await placeElsewhere(a)
    const all: SseEvent[] = []
    for await (const event of readEvents(`${a.url}/order/${id}/events`)) all.push(event)
    expect(all.map(({ event }) => event)).toEqual(['order.placed', ...Array(4).fill('pizza.topped'), 'order.ready'])
    const rest: SseEvent[] = []
    for await (const event of readEvents(`${a.url}/order/${id}/events`, all[2]!.id)) rest.push(event)
    expect(rest).toEqual(all.slice(3))
  })

  test('sends nothing on that was sent on to it', async () => {
    const { a } = await openHosts()
    const id = await placeElsewhere(a)
    const answer = await fetch(`${a.url}/order/${id}`, { headers: { via: '1.1 pizza-actors' } })
    expect(answer.status).toBe(421)
    expect(await answer.json()).toMatchObject({ type: '/problems/misdirected' })
    const { partitions: mine } = (await (await fetch(`${a.url}/own/orders`)).json()) as { partitions: number[] }
    const other = [0, 1, 2, 3].find((partition) => !mine.includes(partition))!
    expect((await fetch(`${a.url}/own/orders?partitions=${other}`)).status).toBe(421)
    expect((await fetch(`${a.url}/own/orders?partitions=x`)).status).toBe(400)
  })

  test('answers who has waited there since before the order moved', async () => {
    const shop = await openMemoryShop({ partitions, hasSnapshots: true })
    const a = await startHttpHost(shop, 'a')
    const ids = await Promise.all(Array.from({ length: 12 }, async () => (await post(a.url)).order_id))
    const answers = ids.map((id) => fetch(`${a.url}/order/${id}`, { headers: { prefer: 'wait=8' } }))
    await until(() => ids.every((id) => a.host.cache.peek(id) !== undefined))
    const b = await startHttpHost(shop, 'b')
    await until(areSpread([a, b]))
    expect(ids.some((id) => owns(b, id))).toBe(true)
    await shop.startToppings()
    for (const answer of await Promise.all(answers)) {
      expect([answer.status, ((await answer.json()) as { status: string }).status]).toEqual([200, 'ready'])
    }
  })

  test('answers for all once the other one is gone', async () => {
    const { a, b } = await openHosts()
    const id = await placeElsewhere(a)
    expect((await fetch(`${a.url}/order/${id}`, { headers: { prefer: 'wait=8' } })).status).toBe(200)
    await b.stop()
    const answer = await fetch(`${a.url}/order/${id}`)
    expect([answer.status, ((await answer.json()) as { status: string }).status]).toEqual([200, 'ready'])
    expect((await fetch(`${a.url}/orders`)).status).toBe(200)
    expect(await (await fetch(`${a.url}/readyz`)).json()).toEqual({ ready: true, reasons: [] })
  })
})

/** A host that owns nothing, and is told by the test who does. */
async function openStandby(ownerOf: Peers['ownerOf'], patienceMs = 8_000) {
  const { orders } = createFakeOrders()
  const peers: Peers = {
    self: 'http://me',
    partitions: 1,
    partitionOf: () => 0,
    isHere: () => false,
    ownerOf,
    mine: async () => [],
    others: async () => new Map(),
    isAway: () => false,
    missing: () => [0],
  }
  const hosts = { own: orders, peers }
  const app = createOrdersApp({ orders, hosts, deadLetters: {} as never, limits, scrape, logger, patienceMs })
  const listening = await listen(app, { host: '127.0.0.1', port: 0, drainMs: 100 })
  onTestFinished(() => listening.close())
  return listening.url
}

describe('While an order moves', () => {
  test('GET answers 503 with Retry-After, and POST goes on', async () => {
    const url = await openStandby(async () => undefined, 200)
    const answer = await fetch(`${url}/order/1`)
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await answer.json()).toMatchObject({ type: '/problems/moving' })
    expect((await post(url)).status).toBe(201)
  })

  test('the owner is looked for again when it is gone, when it says that it is none, and found', async () => {
    const old = createServer((_req, res) => void res.writeHead(421).end())
    const now = createServer((req, res) => void res.writeHead(200).end(`${req.method} ${req.url} ${req.headers.via}`))
    const urls = await Promise.all(
      [old, now].map(async (server) => {
        await once(server.listen(0, '127.0.0.1'), 'listening')
        onTestFinished(() => void server.close())
        return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      }),
    )
    const owners = ['http://127.0.0.1:1', urls[0], urls[1]]
    const fresh: (boolean | undefined)[] = []
    const url = await openStandby(async (_partition, options) => {
      fresh.push(options?.fresh)
      return owners.shift()
    })
    const answer = await fetch(`${url}/order/1?x=y`)
    expect(await answer.text()).toBe('GET /order/1?x=y 1.1 pizza-actors')
    expect(fresh).toEqual([false, true, true])
  })

  test('an owner that does not answer is waited for only until there is another one', async () => {
    const silent = createServer(() => {})
    const now = createServer((_req, res) => void res.end('from the new owner'))
    const urls = await Promise.all(
      [silent, now].map(async (server) => {
        await once(server.listen(0, '127.0.0.1'), 'listening')
        onTestFinished(() => {
          server.closeAllConnections()
          server.close()
        })
        return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      }),
    )
    let owner = urls[0]
    silent.once('request', () => (owner = urls[1]))
    const url = await openStandby(async () => owner)
    expect(await (await fetch(`${url}/order/1`)).text()).toBe('from the new owner')
  })

  test('a caller that leaves takes the forwarded request along', async () => {
    const left = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    const owner = createServer((req) => {
      asked.resolve()
      req.once('close', () => left.resolve())
    })
    await once(owner.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => void owner.close())
    const url = await openStandby(async () => `http://127.0.0.1:${(owner.address() as AddressInfo).port}`)
    const leaving = new AbortController()
    const answer = fetch(`${url}/order/1`, { signal: leaving.signal })
    await asked.promise
    leaving.abort()
    await expect(answer).rejects.toThrow()
    await left.promise
  })
})
