import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { OrderPage } from '../../src/actors/orders.ts'
import type { ShopView } from '../../src/inspect/shop-view.ts'
import { findMessage, openShop } from './open-shop.ts'

const html = { accept: 'text/html,application/xhtml+xml' }

describe('The page', () => {
  test('is what browsers get at /, with a policy that lets nothing inline or foreign run', async () => {
    const { url } = await openShop()
    const page = await fetch(url, { headers: html })
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
    const policy = page.headers.get('content-security-policy')!
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toMatch(/unsafe|https?:|\*/)
    expect(await page.text()).toContain('data-controls="open"')
    const index = await fetch(url)
    expect(index.headers.get('content-type')).toBe('application/json')
    expect(index.headers.get('vary')).toBe('accept')
    const calls = ((await index.json()) as { calls: { path: string }[] }).calls.map(({ path }) => path)
    expect(calls).toEqual(expect.arrayContaining(['/order/{count}', '/live/shop', '/inspect/{id}']))
  })

  test('loads only what it serves itself, translated from our sources, and nothing beside it', async () => {
    const { url } = await openShop()
    const seen = new Set<string>()
    const load = async (name: string): Promise<void> => {
      if (seen.has(name)) return
      seen.add(name)
      const file = await fetch(`${url}/page/${name}`)
      expect([name, file.status, file.headers.get('content-type')]).toEqual([name, 200, 'text/javascript'])
      const text = await file.text()
      for (const [, next] of text.matchAll(/from '\.\/([\w-]+\.js)'/g)) await load(next!)
    }
    await load('main.js')
    expect(seen).toContain('shop-view.js')
    for (const name of ['main.ts', 'tsconfig.json', '..%2Fpage.ts', '%2e%2e%2fpage.ts']) {
      expect((await fetch(`${url}/page/${name}`)).status, name).toBe(404)
    }
    const first = await fetch(`${url}/page/page.css`)
    const again = await fetch(`${url}/page/page.css`, { headers: { 'if-none-match': first.headers.get('etag')! } })
    expect(again.status).toBe(304)
  })

  test('shows each event with its record as the log holds it, and what it changed', async () => {
    const { url, log, place, ready, history } = await openShop()
    const id = await place(2)
    await ready(id)
    const events = await history(id)
    expect(events).toHaveLength(9)
    for (const event of events) {
      const step = (await (await fetch(`${url}/order/${id}/history/${event.version}`)).json()) as Record<
        string,
        unknown
      >
      const before = { order: { state: events[event.version - 2]?.order_state ?? 'new' } }
      expect(step).toMatchObject({ event, before, after: { order: { state: event.order_state } } })
      if (event.topping !== null) {
        const toppings = (moment: string) => (step[moment] as { pizza: { context: object } }).pizza.context
        expect(toppings('before')).not.toHaveProperty(`toppings.${event.topping}`)
        expect(toppings('after')).toHaveProperty(`toppings.${event.topping}`, event.choice)
      }
      const { topic, partition, offset } = event
      for await (const [record] of log.read({ topic, partition }, { from: offset, to: offset + 1 })) {
        const [key, value] = [record!.key!.toString(), record!.value!.toString()]
        expect(step['record']).toEqual({ key, value, headers: {} })
      }
    }
    expect((await fetch(`${url}/order/${id}/history/10`)).status).toBe(404)
    expect((await fetch(`${url}/order/${id}/history/0`)).status).toBe(404)
  })

  test('tells the newest orders live, by status', async () => {
    const { url, place, ready } = await openShop()
    const waiting = findMessage<OrderPage>(`${url}/live/orders?status=ready`, ({ orders }) => orders.length === 1)
    const id = await place(1)
    await ready(id)
    expect((await waiting).orders[0]).toMatchObject({ id, status: 'ready' })
    expect((await fetch(`${url}/live/orders?status=burnt`)).status).toBe(400)
  })

  test('stops and starts a role, and shows where the pizzas wait meanwhile', async () => {
    const { url, place, ready, post } = await openShop()
    const stopped = await post('/roles/cheese/stop')
    expect(await stopped.json()).toMatchObject({ role: 'cheese', state: 'stopped' })
    expect((await post('/roles/cheese/stop')).status).toBe(409)
    const id = await place(5)
    const inCheese = ({ census }: ShopView) => census.states.find(({ state }) => state === 'cheese')?.pizzas === 5
    const view = await findMessage<ShopView>(`${url}/live/shop`, inCheese)
    expect(view.census).toMatchObject({ open_orders: 1, is_complete: true })
    expect(view.roles.find(({ role }) => role === 'cheese')).toMatchObject({ state: 'stopped', lag: 5 })
    await post('/roles/cheese/start')
    await ready(id)
    const isOver = ({ census, report }: ShopView) => census.open_orders === 0 && sum(report) === 5
    const after = await findMessage<ShopView>(`${url}/live/shop`, isOver)
    expect(after.census.states.find(({ state }) => state === 'cheese')).toMatchObject({ pizzas: 0 })
  })

  test('stops no orders role and no role that is not there', async () => {
    const { post } = await openShop()
    expect((await post('/roles/orders/stop')).status).toBe(409)
    expect((await post('/roles/anchovies/stop')).status).toBe(404)
    expect((await post('/roles/cheese/fire')).status).toBe(404)
  })

  test('shows dead letters with the reason and where they came from', async () => {
    const { url, log } = await openShop()
    await log.append([{ topic: 'pizza', key: 'k', value: '<img src=x onerror=alert(1)>' }])
    const view = await findMessage<ShopView>(`${url}/live/shop`, ({ dead_letters }) => dead_letters.total === 1)
    expect(view.dead_letters.newest[0]).toMatchObject({
      role: 'sauce',
      reason: 'not-json',
      source: { topic: 'pizza', offset: 0 },
    })
    expect(view.roles.find(({ role }) => role === 'sauce')).toMatchObject({ dead_letters: 1 })
  })
})

describe('A shop that stops', () => {
  test('ends the streams of its pages and inspectors, and does not wait for them', async () => {
    const { url, shop, place } = await openShop()
    const id = await place(1)
    const paths = ['/live/orders', '/live/shop', `/inspect/${id}`]
    const streams = await Promise.all(paths.map((path) => fetch(url + path)))
    const socket = new WebSocket(`${url.replace('http', 'ws')}/inspect/${id}`)
    await once(socket, 'message')
    const startedAt = performance.now()
    const ends = Promise.all([...streams.map((stream) => stream.text()), once(socket, 'close')])
    await shop.stop()
    await ends
    expect(performance.now() - startedAt).toBeLessThan(4_000)
  })
})

describe('What changes something', () => {
  const foreign = [
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['another port of this machine', { 'sec-fetch-site': 'same-site' }],
    ['an older browser elsewhere', { origin: 'http://evil.example' }],
    ['a page without an origin', { origin: 'null' }],
  ] as const

  test.each(foreign)('is refused to %s', async (_, headers) => {
    const { url, post } = await openShop()
    for (const path of ['/roles/cheese/stop', '/order/1']) {
      const answer = await post(path, headers)
      expect([path, answer.status]).toEqual([path, 403])
      expect(await answer.json()).toMatchObject({ type: '/problems/cross-origin' })
    }
    expect(await (await fetch(`${url}/orders`)).json()).toMatchObject({ orders: [] })
  })

  test('is open to this page and to programs', async () => {
    const { url, post } = await openShop()
    expect((await post('/order/1', { 'sec-fetch-site': 'same-origin', origin: url })).status).toBe(201)
    expect((await post('/order/1', { origin: url })).status).toBe(201)
    expect((await post('/order/1')).status).toBe(201)
    expect((await post('/roles/cheese/stop', { 'sec-fetch-site': 'same-origin' })).status).toBe(200)
  })

  test('is off on the network: roles for everyone, orders for browsers', async () => {
    const { url, post } = await openShop(['--host', '0.0.0.0'])
    expect(await (await fetch(url, { headers: html })).text()).toContain('data-controls="off"')
    expect((await post('/roles/cheese/stop')).status).toBe(403)
    expect((await post('/order/1', { 'sec-fetch-site': 'same-origin' })).status).toBe(403)
    expect((await post('/order/1')).status).toBe(201)
  })

  test('asks for the token where one is set', async () => {
    const { url, post } = await openShop(['--host', '0.0.0.0'], { PIZZA_PAGE_TOKEN: 's3cret' })
    const page = await (await fetch(url, { headers: html })).text()
    expect(page).toContain('data-controls="token"')
    expect(page).not.toContain('s3cret')
    const site = { 'sec-fetch-site': 'same-origin' }
    expect((await post('/roles/cheese/stop', site)).status).toBe(401)
    expect((await post('/roles/cheese/stop', { ...site, authorization: 'Bearer s3cre' })).status).toBe(401)
    expect((await post('/roles/cheese/stop', { ...site, authorization: 'Bearer s3cret' })).status).toBe(200)
    expect((await post('/order/1', site)).status).toBe(401)
  })
})

function sum(report: Readonly<Record<string, number>> | null): number {
  return Object.values(report ?? {}).reduce((total, count) => total + count, 0)
}
