import { setTimeout } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { OrdersError } from '../../src/actors/orders.ts'
import { makeEndless } from './endless.ts'
import { connectRaw, openShop, readJson, type Shop } from './shop.ts'

/** Opens a stream and waits for its head. */
async function follow(shop: Shop, path: string, headers: Record<string, string> = {}) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const raw = await connectRaw(shop.url, `GET ${path} HTTP/1.1\r\nHost: a\r\n${lines.join('')}\r\n`)
  await raw.until(/\r\n\r\n/)
  return raw
}

/** Ids of the events in what a stream has brought. */
const idsIn = (text: string) => [...text.matchAll(/^id: (.+)$/gm)].map(([, id]) => id)

describe('The API streaming events of all orders', () => {
  test('sends id, type and data of each, as server-sent events', async () => {
    const shop = await openShop()
    const stream = await follow(shop, '/events')
    await shop.watching(1)
    shop.push({ type: 'pizza.topped', order_id: '7', data: { pizza_id: 1, topping: 'sauce', choice: 'two\nlines' } })
    const text = await stream.until(/"two/)
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(text).toMatch(/^content-type: text\/event-stream\r$/m)
    expect(text).toMatch(/^cache-control: no-store\r$/m)
    expect(text).toContain(
      'id: e-1\nevent: pizza.topped\ndata: {"order_id":"7","pizza_id":1,"topping":"sauce","choice":"two\\nlines"}\n\n',
    )
  })

  test.each([
    ['Last-Event-ID', '/events', { 'Last-Event-ID': 'e-2' }],
    ['after', '/events?after=e-2', {}],
    ['Last-Event-ID before after', '/events?after=e-1', { 'Last-Event-ID': 'e-2' }],
  ])('resumes by %s without a gap or a repeat', async (_name, path, headers) => {
    const shop = await openShop()
    for (const count of [1, 2, 3, 4]) shop.add(count)
    const stream = await follow(shop, path, headers)
    await stream.until(/id: e-4/)
    shop.add(5)
    expect(idsIn(await stream.until(/id: e-5/))).toEqual(['e-3', 'e-4', 'e-5'])
  })

  test('begins with what comes next without a place to resume from', async () => {
    const shop = await openShop()
    shop.add(1)
    const stream = await follow(shop, '/events', { 'Last-Event-ID': '' })
    await shop.watching(1)
    shop.add(2)
    expect(idsIn(await stream.until(/id: e-2/))).toEqual(['e-2'])
  })

  test('refuses a place it did not give out with 400, before the stream begins', async () => {
    const shop = await openShop()
    for (const headers of [{ 'last-event-id': 'e-99' }, { 'last-event-id': 'no blanks allowed' }]) {
      const response = await fetch(`${shop.url}/events`, { headers })
      expect(response.status).toBe(400)
      expect((await readJson(response)).type).toBe('/problems/bad-cursor')
    }
    const query = await fetch(`${shop.url}/events?since=1`)
    expect((await readJson(query)).detail).toBe(
      'Cannot use the query: since: not known here; the known ones are after.',
    )
  })

  test('refuses it with 400 also when the host takes a while to see it', async () => {
    const shop = await openShop()
    // oxlint-disable-next-line require-yield
    shop.orders.watch = async function* watch() {
      await setTimeout(20)
      throw new OrdersError('bad-cursor', 'Cannot continue after e-9.')
    }
    expect((await fetch(`${shop.url}/events?after=e-9`)).status).toBe(400)
  })

  test('answers 503 when the host stops before the stream begins', async () => {
    const shop = await openShop()
    shop.failNext('watch', new OrdersError('stopping', 'Cannot watch orders: the host stops.'))
    expect((await fetch(`${shop.url}/events`)).status).toBe(503)
  })

  test('ends the stream when the host stops, and stops watching when the reader leaves', async () => {
    const shop = await openShop()
    const leaving = await follow(shop, '/events')
    const staying = await follow(shop, '/events')
    await shop.watching(2)
    leaving.socket.destroy()
    await shop.watching(1)
    shop.stop()
    await staying.until(/\r\n0\r\n\r\n$/)
    await shop.watching(0)
    expect(shop.logged).toEqual([])
  })

  test('sends comments while nothing happens', async () => {
    const shop = await openShop({ streams: { heartbeatMs: 5 } })
    const stream = await follow(shop, '/events')
    await stream.until(/(^:\n\n[^]*){3}/m)
  })

  test('cuts off a reader that takes nothing, having pulled no more than the socket holds', async () => {
    const shop = await openShop({ streams: { stallMsMax: 50 } })
    const pulled = makeEndless(shop.orders)
    const stream = await connectRaw(shop.url, 'GET /events HTTP/1.1\r\nHost: a\r\n\r\n')
    stream.socket.pause()
    await pulled.left
    const held = pulled.count()
    expect(held).toBeGreaterThan(10)
    // 10 KB each: the buffers of two sockets hold a few megabytes, an unbounded one would hold all there is.
    expect(held).toBeLessThan(2_000)
    stream.socket.resume()
    await stream.ended()
    expect(stream.text()).not.toMatch(/\r\n0\r\n\r\n$/)
    expect(shop.logged).toEqual([])
  })

  test('lets a slow reader that goes on reading have everything', async () => {
    const shop = await openShop()
    const pulled = makeEndless(shop.orders, 3_000)
    const stream = await connectRaw(shop.url, 'GET /events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    stream.socket.pause()
    await pulled.stuck()
    expect(pulled.count()).toBeLessThan(2_000)
    stream.socket.resume()
    expect(idsIn(await stream.ended())).toHaveLength(3_000)
  })

  test('refuses more streams than its limit with 503, and takes one again when one has gone', async () => {
    const shop = await openShop({ streams: { streamsMax: 1 } })
    const first = await follow(shop, '/events')
    await shop.watching(1)
    const refused = await fetch(`${shop.url}/events`)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
    expect((await readJson(refused)).type).toBe('/problems/too-many-streams')
    first.socket.destroy()
    await shop.watching(0)
    expect((await follow(shop, '/events')).text()).toMatch(/^HTTP\/1\.1 200/)
  })

  test('answers HEAD with the head only', async () => {
    const shop = await openShop()
    const response = await fetch(`${shop.url}/events`, { method: 'HEAD' })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    expect(shop.calls.watch).toEqual([])
  })
})

describe('An order being followed', () => {
  test('is streamed alone, from its beginning until it is ready', async () => {
    const shop = await openShop()
    const id = shop.add(2)
    const stream = await follow(shop, `/order/${id}/events`)
    await shop.watching(1)
    shop.add(9)
    shop.finish(id)
    const text = await stream.until(/\r\n0\r\n\r\n$/)
    expect([...text.matchAll(/^event: (.+)$/gm)].map(([, type]) => type)).toEqual([
      'order.placed',
      'pizza.topped',
      'pizza.topped',
      'order.ready',
    ])
  })

  test('is streamed to its end for a reader that comes back late, and 204 when that reader has seen it all', async () => {
    const shop = await openShop()
    const id = shop.add(1)
    shop.finish(id)
    const late = await fetch(`${shop.url}/order/${id}/events`, { headers: { 'last-event-id': 'e-1' } })
    expect(idsIn(await late.text())).toEqual(['e-2', 'e-3'])
    // 204 is how a browser's EventSource learns not to connect again.
    const done = await fetch(`${shop.url}/order/${id}/events`, { headers: { 'last-event-id': 'e-3' } })
    expect(done.status).toBe(204)
    const again = await fetch(`${shop.url}/order/${id}/events`)
    expect(idsIn(await again.text())).toEqual(['e-1', 'e-2', 'e-3'])
  })

  test('is 404 when nobody placed it', async () => {
    const shop = await openShop()
    for (const id of ['113', 'no%20id']) expect((await fetch(`${shop.url}/order/${id}/events`)).status).toBe(404)
  })

  test('has a history with coordinates', async () => {
    const shop = await openShop()
    const id = shop.add(1)
    const history = await readJson<{ id: string; events: unknown[] }>(await fetch(`${shop.url}/order/${id}/history`))
    expect(history.id).toBe(id)
    expect(history.events).toEqual([
      expect.objectContaining({ event: 'order.placed', topic: 'orders', partition: 2, offset: 41 }),
    ])
    expect((await fetch(`${shop.url}/order/113/history`)).status).toBe(404)
    shop.failNext('history', new OrdersError('behind', 'Cannot show the history yet.'))
    expect((await fetch(`${shop.url}/order/${id}/history`)).status).toBe(503)
  })
})
