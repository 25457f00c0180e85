/**
 * Bad requests at the real program's door: a corpus, and valid requests spoiled by chance. Each is refused with a status below 500 or
 * a closed connection; the process lives, its memory stays bounded, and the next order is finished. `FUZZ_IDLE=10000` opens as many
 * idle connections.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createHttpClient } from '../support/http-client.ts'
import { failOnLeftovers } from '../support/lifecycle.ts'
import { chooseSeed, createRandom } from '../support/random.ts'
import type { ShopProcess } from '../support/shop-process.ts'
import { openEmbeddedWorld } from '../support/worlds.ts'

failOnLeftovers()

const idleConnections = Number(process.env['FUZZ_IDLE'] ?? 1_000)
const head = (first: string, ...headers: string[]) => [first, 'Host: localhost', ...headers, '', ''].join('\r\n')
const post = (path: string, ...headers: string[]) => head(`POST ${path} HTTP/1.1`, ...headers)
const get = (path: string, ...headers: string[]) => head(`GET ${path} HTTP/1.1`, ...headers)

/** Requests that must be refused: with 4xx, or with a connection that closes. */
const refused: readonly string[] = [
  ...['0', '-1', '1.5', 'NaN', '1e3', '%31%30%30%30%30', '1001', '99999999999999999999', '', ' 3', '3%00', '٣'].map(
    (count) => post(`/order/${count}`),
  ),
  ...['/order/%', '/order/%ff', '/order/..%2f..', `/order/${'1'.repeat(65)}`, '/order/a%20b', '/order/__proto__'].map(
    (path) => get(path),
  ),
  get(`/${'a'.repeat(20_000)}`),
  get('/order/1/history/0'),
  get('/order/1/history/1e9'),
  get('/orders?limit=0'),
  get('/orders?limit=abc&limit=2'),
  get('/orders?after=garbage'),
  get('/orders?status=burnt'),
  get('/events', 'Last-Event-ID: garbage'),
  head('BREW /order/1 HTTP/1.1'),
  head('DELETE /order/1 HTTP/1.1'),
  head('PUT /orders HTTP/1.1', 'Content-Length: 0'),
  post('/order/1', `Idempotency-Key: ${'k'.repeat(300)}`),
  post('/order/1', 'Content-Length: 5', 'Content-Length: 6'),
  post('/order/1', 'Content-Length: -1'),
  post('/order/1', 'Content-Length: 5', 'Transfer-Encoding: chunked'),
  post('/order/1', `X-Long: ${'x'.repeat(40_000)}`),
  post('/order/1', ...Array.from({ length: 3_000 }, (_, index) => `X-${index}: 1`)),
  get('/order/1', 'Prefer: wait=-1'),
  'GET /order/1 HTTP/9.9\r\n\r\n',
  'GET /order/1\r\n\r\n',
  'GET  HTTP/1.1\r\nHost: x\r\n\r\n',
  '\r\n\r\n\r\nnonsense\r\n\r\n',
  '\u0000\u0001\u0002\u0003',
  '\u0016\u0003\u0001\u0002\u0000',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
]

/** Requests that are right, to be spoiled. */
const valid = [post('/order/2', 'Idempotency-Key: spoiled'), get('/orders?limit=5'), get('/order/7', 'Prefer: wait=1')]

/** Sends bytes, ends its side, and gives what came until the server closed. */
async function talk(url: string, bytes: string | Buffer): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  let answer = ''
  socket.setEncoding('latin1').on('data', (text: string) => (answer += text))
  // A server that has heard enough may reset the connection while it is still being talked to.
  socket.on('error', () => {})
  socket.end(bytes)
  // Not `once`, which an error rejects.
  await new Promise((resolve) => socket.once('close', resolve))
  return answer
}

const statusesOf = (answer: string): number[] =>
  [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status))

async function orderOne(shop: ShopProcess): Promise<void> {
  const http = createHttpClient()
  const { status, text } = await http.post(`${shop.url!}/order/1`)
  expect(status).toBe(201)
  const { order_id } = JSON.parse(text) as { order_id: string }
  const order = JSON.parse((await http.get(`${shop.url!}/order/${order_id}`, { prefer: 'wait=20' })).text) as object
  expect(order).toMatchObject({ status: 'ready' })
  http.close()
}

function spoil(request: string, seed: number): Buffer {
  const random = createRandom(seed)
  const bytes = Buffer.from(request)
  for (let changes = 1 + random.below(4); changes > 0; changes--) bytes[random.below(bytes.length)] = random.below(256)
  return random.oneIn(4) ? bytes.subarray(0, random.below(bytes.length)) : bytes
}

/** Resident memory in MiB; undefined where the system does not tell. */
async function readMemory(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(status)
  return found === null ? undefined : Number(found[1]) / 1024
}

describe('The program', { timeout: 120_000 }, () => {
  it(`refuses ${refused.length} bad requests clearly, and goes on`, async () => {
    const shop = await (await openEmbeddedWorld()).start()
    const failed: string[] = []
    for (const request of refused) {
      const answer = await talk(shop.url!, request)
      const [status = 0] = statusesOf(answer)
      if (status < 400 || status >= 500) failed.push(`${request.slice(0, 80)}: ${answer.slice(0, 200)}`)
    }
    expect(failed).toEqual([])
    await orderOne(shop)
    expect(await shop.stop()).toBe(0)
  })

  it('answers requests that were spoiled by chance with no status of 500 and above, and goes on', async () => {
    const seed = chooseSeed('spoiled requests')
    const shop = await (await openEmbeddedWorld()).start()
    for (let index = 0; index < 300; index++) {
      const bytes = spoil(valid[index % valid.length]!, seed + index)
      const answer = await talk(shop.url!, bytes)
      const wrong = statusesOf(answer).filter((status) => status >= 500)
      expect({ bytes: bytes.toString('latin1'), wrong }).toEqual({ bytes: bytes.toString('latin1'), wrong: [] })
    }
    await orderOne(shop)
    expect(await shop.stop()).toBe(0)
  })

  it('bears bodies that are huge, cut off or never come', async () => {
    const shop = await (await openEmbeddedWorld()).start()
    const huge = Buffer.concat([
      Buffer.from(post('/order/1', 'Content-Length: 20000000')),
      Buffer.alloc(20_000_000, 'x'),
    ])
    for (const status of statusesOf(await talk(shop.url!, huge))) expect(status).toBeLessThan(500)
    for (const status of statusesOf(await talk(shop.url!, post('/order/1', 'Content-Length: 99') + 'cut'))) {
      expect(status).toBeLessThan(500)
    }
    const { hostname, port } = new URL(shop.url!)
    const silent = connect(Number(port), hostname)
    silent.on('error', () => {})
    silent.write('POST /order/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n')
    await orderOne(shop)
    silent.destroy()
    const memory = await readMemory(shop.pid)
    if (memory !== undefined) expect(memory).toBeLessThan(400)
    expect(await shop.stop()).toBe(0)
  })

  it(`serves others while ${idleConnections} connections are open and silent`, async () => {
    const shop = await (await openEmbeddedWorld()).start()
    const { hostname, port } = new URL(shop.url!)
    const idle: Socket[] = []
    while (idle.length < idleConnections) {
      const socket = connect(Number(port), hostname)
      socket.on('error', () => {})
      await once(socket, 'connect')
      idle.push(socket)
    }
    await orderOne(shop)
    const memory = await readMemory(shop.pid)
    if (memory !== undefined) expect(memory).toBeLessThan(400)
    for (const socket of idle) socket.destroy()
    await orderOne(shop)
    expect(await shop.stop()).toBe(0)
  })
})
