import { describe, expect, test } from 'vitest'
import { OrdersError, type OrderView } from '../../src/actors/orders.ts'
import { connectRaw, openShop, readJson } from './shop.ts'

const problemType = 'application/problem+json'

describe('An order being placed', () => {
  test('is answered with 201, its address and its id', async () => {
    const shop = await openShop()
    const response = await fetch(`${shop.url}/order/3`, { method: 'POST' })
    expect(response.status).toBe(201)
    const { order_id } = await readJson<{ order_id: string }>(response)
    expect(response.headers.get('location')).toBe(`/order/${order_id}`)
    expect(shop.calls.place).toEqual([{ count: 3 }])
    const view = await readJson(await fetch(new URL(response.headers.get('location')!, shop.url)))
    expect(view).toMatchObject({ id: order_id, count: 3 })
  })

  test.each(['3.5', 'abc', '-1', '+1', '0', '1e3', '007', '0x10', '%20', '3%20', '٣', 'NaN', 'a'.repeat(500)])(
    'is refused with 400 for the count %s, and reaches nobody',
    async (count) => {
      const shop = await openShop()
      const response = await fetch(`${shop.url}/order/${count}`, { method: 'POST' })
      expect(response.status).toBe(400)
      expect(response.headers.get('content-type')).toBe(problemType)
      expect(await response.json()).toMatchObject({
        type: '/problems/bad-count',
        status: 400,
        detail: expect.stringContaining('write a whole number from 1 to 1000'),
      })
      expect(shop.calls.place).toEqual([])
    },
  )

  test.each(['1001', '99999999999999999999999', '9'.repeat(400)])(
    'is refused with 422 and the limit for %s pizzas',
    async (count) => {
      const shop = await openShop()
      const response = await fetch(`${shop.url}/order/${count}`, { method: 'POST' })
      expect(response.status).toBe(422)
      const problem = await readJson(response)
      expect(problem.type).toBe('/problems/count-over-limit')
      expect(problem.detail).toContain('the limit is 1000')
      expect(problem.detail.length).toBeLessThan(200)
    },
  )

  test('is taken at the limit', async () => {
    const shop = await openShop()
    expect((await fetch(`${shop.url}/order/1000`, { method: 'POST' })).status).toBe(201)
  })

  test('is the same order for the same Idempotency-Key, and 422 for another count', async () => {
    const shop = await openShop()
    const post = (count: number) =>
      fetch(`${shop.url}/order/${count}`, { method: 'POST', headers: { 'idempotency-key': 'k-1' } })
    const first = await post(2)
    const again = await post(2)
    expect(await again.json()).toEqual(await first.json())
    expect([first.status, again.status]).toEqual([201, 201])
    expect([first, again].map(({ headers }) => headers.get('idempotency-replayed'))).toEqual([null, 'true'])
    const other = await post(3)
    expect(other.status).toBe(422)
    expect(await other.json()).toMatchObject({
      type: '/problems/key-reused',
      detail: expect.stringContaining('2 pizzas'),
    })
  })

  test.each(['', 'two words', 'k'.repeat(256), 'ümlaut'])(
    'is refused with 400 for the Idempotency-Key %j',
    async (key) => {
      const shop = await openShop()
      const response = await fetch(`${shop.url}/order/2`, { method: 'POST', headers: { 'idempotency-key': key } })
      expect(response.status).toBe(400)
      expect((await readJson(response)).type).toBe('/problems/bad-idempotency-key')
      expect(shop.calls.place).toEqual([])
    },
  )

  test('does not mind a body, whole or in chunks, nor its type', async () => {
    const shop = await openShop()
    for (const body of ['{"not json', new Blob(['x'.repeat(60_000)]).stream()]) {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' }
      const response = await fetch(`${shop.url}/order/2`, { method: 'POST', body, headers, duplex: 'half' })
      expect(response.status).toBe(201)
    }
  })

  test('is refused with 413 and not placed when its body is too large, whether it says so first or not', async () => {
    const shop = await openShop()
    const announced = await connectRaw(shop.url, 'POST /order/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n')
    expect(await announced.ended()).toMatch(/^HTTP\/1\.1 413 [^]*\/problems\/body-too-large/)
    const chunk = `8000\r\n${'x'.repeat(0x8000)}\r\n`
    const chunked = await connectRaw(
      shop.url,
      `POST /order/2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(3)}`,
    )
    expect(await chunked.ended()).toMatch(/^HTTP\/1\.1 413 [^]*\/problems\/body-too-large/)
    expect(shop.calls.place).toEqual([])
  })

  test('is refused with 503 and Retry-After while the log cannot take it', async () => {
    const shop = await openShop()
    shop.failNext(
      'place',
      new OrdersError('unavailable', 'Cannot place the order: the log is away.', { retryAfterS: 7 }),
    )
    const response = await fetch(`${shop.url}/order/2`, { method: 'POST' })
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('7')
    expect(await response.json()).toEqual({
      type: '/problems/unavailable',
      title: 'The shop cannot take this right now',
      status: 503,
      detail: 'Cannot place the order: the log is away.',
      instance: '/order/2',
    })
    expect(shop.logged).toEqual([])
  })
})

describe('An order being shown', () => {
  test('has its fields in the documented order and no version', async () => {
    const shop = await openShop()
    const id = shop.add(2)
    shop.finish(id)
    const response = await fetch(`${shop.url}/order/${id}`)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(response.headers.get('cache-control')).toBe('no-cache')
    const order = await readJson<OrderView>(response)
    expect(Object.keys(order)).toEqual(['id', 'count', 'status', 'placed_at', 'ready_at', 'pizzas', 'in_progress'])
    expect(order.pizzas[1]).toEqual({
      order_id: id,
      pizza_id: 2,
      sauce: 'regular',
      cheese: 'goat cheese',
      meats: 'ham & salami',
      veggies: 'none',
    })
  })

  test('is 404 when nobody placed it, and the host is not asked for what cannot be an id', async () => {
    const shop = await openShop()
    for (const id of ['113', 'no%20id', 'x'.repeat(65)]) {
      const response = await fetch(`${shop.url}/order/${id}`)
      expect(response.status).toBe(404)
      expect((await readJson(response)).type).toBe('/problems/order-not-found')
    }
    expect(shop.calls.get).toHaveLength(1)
  })

  test('is 503 and not 404 while the host cannot tell', async () => {
    const shop = await openShop()
    shop.failNext('get', new OrdersError('behind', 'Cannot show order 1 yet: the host is catching up.'))
    const response = await fetch(`${shop.url}/order/1`)
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
  })

  test('is 304 for its ETag until it changes', async () => {
    const shop = await openShop()
    const id = shop.add(1)
    const etag = (await fetch(`${shop.url}/order/${id}`)).headers.get('etag')!
    for (const tag of [etag, etag.replace('W/', ''), `"x", ${etag}`, '*']) {
      const same = await fetch(`${shop.url}/order/${id}`, { headers: { 'if-none-match': tag } })
      expect([same.status, same.headers.get('etag'), await same.text()]).toEqual([304, etag, ''])
    }
    shop.finish(id)
    const changed = await fetch(`${shop.url}/order/${id}`, { headers: { 'if-none-match': etag } })
    expect(changed.status).toBe(200)
    expect(changed.headers.get('etag')).not.toBe(etag)
  })

  test('of 1,000 pizzas comes whole', async () => {
    const shop = await openShop()
    const id = shop.add(1_000)
    shop.finish(id)
    const { pizzas } = await readJson<OrderView>(await fetch(`${shop.url}/order/${id}`))
    expect(pizzas.map(({ pizza_id }) => pizza_id)).toEqual(Array.from({ length: 1_000 }, (_, i) => i + 1))
  })

  test('answers HEAD with the headers of GET and no body', async () => {
    const shop = await openShop()
    const id = shop.add(1)
    const [get, head] = await Promise.all(['GET', 'HEAD'].map((method) => fetch(`${shop.url}/order/${id}`, { method })))
    const names = ['content-length', 'content-type', 'etag', 'cache-control']
    expect(names.map((name) => head!.headers.get(name))).toEqual(names.map((name) => get!.headers.get(name)))
    expect(await head!.text()).toBe('')
  })
})

describe('An order being waited for', () => {
  const waitFor = (url: string, prefer: string, more: { signal?: AbortSignal; tag?: string } = {}) => {
    const { signal = null, tag } = more
    return fetch(url, { signal, headers: { prefer, ...(tag !== undefined && { 'if-none-match': tag }) } })
  }

  test('is answered when it becomes ready', async () => {
    const shop = await openShop()
    const id = shop.add(2)
    const answer = waitFor(`${shop.url}/order/${id}`, 'respond-async, wait=10')
    await shop.waiting(1)
    shop.finish(id)
    const response = await answer
    expect(response.headers.get('preference-applied')).toBe('wait=10')
    expect((await readJson<OrderView>(response)).status).toBe('ready')
    expect(shop.calls.get[0]).toMatchObject({ waitMs: 10_000 })
  })

  test('is answered as it stands when the time is up, at most the limit', async () => {
    const shop = await openShop({ waitMsMax: 20 })
    const id = shop.add(2)
    const response = await waitFor(`${shop.url}/order/${id}`, 'wait=3600')
    expect(response.headers.get('preference-applied')).toBe('wait=1')
    expect((await readJson<OrderView>(response)).status).toBe('preparing')
    expect(shop.calls.get[0]).toMatchObject({ waitMs: 20 })
  })

  test('is 304 after the wait when it did not change', async () => {
    const shop = await openShop({ waitMsMax: 20 })
    const id = shop.add(2)
    const response = await waitFor(`${shop.url}/order/${id}`, 'wait=1', { tag: '"1"' })
    expect(response.status).toBe(304)
  })

  test('is given up when the caller goes away', async () => {
    const shop = await openShop()
    const id = shop.add(2)
    const controller = new AbortController()
    const answer = waitFor(`${shop.url}/order/${id}`, 'wait=30', { signal: controller.signal })
    await shop.waiting(1)
    controller.abort()
    await expect(answer).rejects.toThrow('aborted')
    await shop.waiting(0)
    expect(shop.calls.get[0]?.signal?.aborted).toBe(true)
    expect(shop.logged).toEqual([])
  })

  test('is 503 and not 404 when the server closes before the host could tell', async () => {
    const shop = await openShop()
    // As the order host does: it leaves off catching up when the signal aborts.
    shop.orders.get = (_id, { signal } = {}) =>
      new Promise((resolve) => {
        signal?.addEventListener('abort', () => resolve(undefined))
        void shop.listening.close()
      })
    expect((await waitFor(`${shop.url}/order/113`, 'wait=30')).status).toBe(503)
  })

  test('is answered with 503 when the server closes', async () => {
    const shop = await openShop()
    const id = shop.add(2)
    const answer = waitFor(`${shop.url}/order/${id}`, 'wait=30')
    await shop.waiting(1)
    await Promise.all([shop.listening.close(), shop.waiting(0)])
    const response = await answer
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
    expect((await readJson(response)).type).toBe('/problems/stopping')
    expect(shop.logged).toEqual([])
  })
})
