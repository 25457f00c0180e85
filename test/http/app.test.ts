import { setImmediate } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createReportApp } from '../../src/http/app.ts'
import { listen } from '../../src/http/listen.ts'
import { toProblem } from '../../src/http/problem.ts'
import { connectRaw, openShop, readJson, scrape } from './shop.ts'

describe('The API', () => {
  test('lists its calls at /, and every one of them is there', async () => {
    const shop = await openShop()
    const { calls } = await readJson<{ calls: Array<{ method: string; path: string; summary: string }> }>(
      await fetch(shop.url),
    )
    expect(calls).toContainEqual({ method: 'GET', path: '/', summary: 'Lists the calls of this API.' })
    for (const { method, path } of calls) {
      const response = await fetch(shop.url + path.replace('{name}', 'internal'), {
        method: method === 'GET' ? 'HEAD' : method,
      })
      // `{id}` and `{count}` are no ids and no counts: 404 and 400 of the resource, never 404 or 405 of the router.
      expect([200, 400, 404]).toContain(response.status)
      if (response.status === 404) expect(path).toContain('{id}')
    }
  })

  test('explains its problems where their type leads', async () => {
    const shop = await openShop()
    const { type } = await readJson(await fetch(`${shop.url}/nowhere`))
    expect(type).toBe('/problems/route-not-found')
    expect(await readJson(await fetch(shop.url + type))).toEqual({
      type,
      status: 404,
      title: 'There is nothing at this address',
    })
    for (const name of ['nothing', 'constructor'])
      expect((await fetch(`${shop.url}/problems/${name}`)).status).toBe(404)
  })

  test('answers 404 with the path for what is not there', async () => {
    const shop = await openShop()
    for (const path of ['/nowhere', '/order', '/order/1/2', '/ORDERS']) {
      const response = await fetch(`${shop.url}${path}?q=1`)
      expect(response.status).toBe(404)
      expect(await readJson(response)).toMatchObject({ type: '/problems/route-not-found', instance: path })
    }
  })

  test.each([
    ['DELETE', '/order/1', 'GET, HEAD, OPTIONS, POST'],
    ['PUT', '/order/1', 'GET, HEAD, OPTIONS, POST'],
    ['POST', '/orders', 'GET, HEAD, OPTIONS'],
    ['POST', '/order/1/events', 'GET, HEAD, OPTIONS'],
    ['PATCH', '/', 'GET, HEAD, OPTIONS'],
  ])('answers 405 with Allow for %s %s', async (method, path, allow) => {
    const shop = await openShop()
    const response = await fetch(shop.url + path, { method })
    expect([response.status, response.headers.get('allow')]).toEqual([405, allow])
    expect((await readJson(response)).detail).toBe(`${method} cannot be used here; use ${allow}.`)
    const options = await fetch(shop.url + path, { method: 'OPTIONS' })
    expect([options.status, options.headers.get('allow')]).toEqual([204, allow])
  })

  test('answers 500 without internals for what nobody expected, and logs it', async () => {
    const shop = await openShop()
    const error = new TypeError('secret: cannot read /etc/shop')
    shop.failNext('list', error)
    const response = await fetch(`${shop.url}/orders`)
    expect(response.status).toBe(500)
    expect(await response.text()).not.toMatch(/secret|TypeError|\.ts/)
    expect(shop.logged).toEqual([
      { level: 'error', fields: { err: error, method: 'GET', path: '/orders' }, message: 'request failed' },
    ])
  })

  test('logs which order a request was about that failed', async () => {
    const shop = await openShop()
    const error = new TypeError('x')
    for (const [method, path] of [
      ['history', '/order/123/history'],
      ['get', '/order/123'],
    ] as const) {
      shop.failNext(method, error)
      expect((await fetch(shop.url + path)).status).toBe(500)
      expect(shop.logged.at(-1)).toMatchObject({ fields: { path, order_id: '123' } })
    }
    shop.failNext('place', error)
    expect((await fetch(`${shop.url}/order/3`, { method: 'POST' })).status).toBe(500)
    expect(shop.logged.at(-1)!.fields).not.toHaveProperty('order_id')
  })

  test.each([null, undefined, 'text', new URIError('URI malformed'), Object.assign(new Error('x'), { status: 400 })])(
    'takes %s, thrown by a bug, for internal',
    (error) => {
      expect(toProblem(error).name).toBe('internal')
    },
  )

  test('sends its security headers and does not name its framework', async () => {
    const shop = await openShop()
    for (const path of ['/orders', '/nowhere', '/livez']) {
      const { headers } = await fetch(shop.url + path)
      expect(headers.get('content-security-policy')).toBe("default-src 'none';frame-ancestors 'none'")
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.has('x-powered-by')).toBe(false)
    }
  })

  test('is alive while it answers, and ready when its role is', async () => {
    const shop = await openShop()
    const ask = async (path: string) => {
      const response = await fetch(shop.url + path)
      return [response.status, await response.json()]
    }
    expect(await ask('/readyz')).toEqual([200, { ready: true, reasons: [] }])
    shop.setReadiness({ ready: false, reasons: ['The log is away.'] })
    expect(await ask('/readyz')).toEqual([503, { ready: false, reasons: ['The log is away.'] }])
    expect(await ask('/livez')).toEqual([200, { live: true }])
  })
})

describe('The API given what is no proper request', () => {
  const get = (target: string, headers = '') =>
    `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${headers}\r\n`

  test.each([
    ['a % that decodes to nothing', get('/order/%zz'), 400, 'malformed-request'],
    ['bytes that are not UTF-8', get('/order/%ff'), 400, 'malformed-request'],
    ['an address nobody can read', get('http://['), 400, 'malformed-request'],
    ['an address that is too long', get(`/orders?after=${'x'.repeat(2_100)}`), 414, 'url-too-long'],
    ['headers that are too large', get('/orders', `x: ${'x'.repeat(17_000)}\r\n`), 431, 'headers-too-large'],
    ['a method that does not exist', get('/orders').replace('GET', 'FETCH'), 400, 'malformed-request'],
    ['no HTTP at all', '\x16\x03\x01\x00\xa5', 400, 'malformed-request'],
  ])('answers %s with its problem', async (_name, request, status, name) => {
    const shop = await openShop()
    const raw = await connectRaw(shop.url, request)
    const text = await raw.ended()
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(text).toMatch(/^content-type: application\/problem\+json\r$/im)
    expect(JSON.parse(text.slice(text.indexOf('\r\n\r\n')))).toMatchObject({ type: `/problems/${name}`, status })
    expect(shop.logged).toEqual([])
  })

  test('cuts a connection that turns into nonsense after an answer, and adds nothing to that answer', async () => {
    const shop = await openShop()
    const raw = await connectRaw(shop.url, 'GET /livez HTTP/1.1\r\nHost: a\r\n\r\n')
    await raw.until(/"live":true\}$/)
    raw.socket.write('nonsense\r\n\r\n')
    expect(await raw.ended()).toMatch(/"live":true\}$/)
  })

  test('survives a caller that hangs up in the middle of a body', async () => {
    const shop = await openShop()
    const head = 'POST /order/2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n'
    const raw = await connectRaw(shop.url, head)
    await raw.until(/^HTTP\/1\.1 100 /)
    raw.socket.destroy()
    await shop.listening.close()
    // What the hang-up sets off needs some turns of the event loop more than the socket, and no I/O.
    for (let turn = 0; turn < 20; turn++) await setImmediate()
    expect(shop.calls.place).toEqual([])
    expect(shop.logged).toEqual([])
  })
})

describe('The report API', () => {
  test('counts pizzas by cheese and knows its own calls only', async () => {
    const report = {
      read: async () => ({ 'goat cheese': 12, none: 3 }),
      readiness: () => ({ ready: false, reasons: ['Catching up.'] }),
    }
    const app = createReportApp({ report, scrape, logger: { error: () => {}, warn: () => {} } })
    const { url, close } = await listen(app, { host: '127.0.0.1', port: 0 })
    onTestFinished(close)
    expect(await readJson(await fetch(`${url}/report`))).toEqual({ 'goat cheese': 12, none: 3 })
    const statuses = ['/livez', '/readyz', '/', '/orders'].map(async (path) => (await fetch(url + path)).status)
    expect(await Promise.all(statuses)).toEqual([200, 503, 200, 404])
  })
})
