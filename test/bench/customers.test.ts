/** The benchmark's customers and its check at the end, against a shop of a few lines. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { createCustomer, createLedger } from '../../bench/customers.ts'
import { verify } from '../../bench/verify.ts'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

/** Answers by the path asked for. @returns its address. */
async function serve(answer: (method: string, path: string) => { status?: number; body: unknown }): Promise<string> {
  const server = createServer((req, res) => {
    const { status = 200, body } = answer(req.method!, req.url!)
    const text = JSON.stringify(body)
    res.writeHead(status, { 'content-length': Buffer.byteLength(text) }).end(text)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const toReady = (id: string) => ({
  id,
  status: 'ready',
  count: 1,
  pizzas: [{ pizza_id: 1, order_id: id, sauce: 'tomato', cheese: 'goat', meats: 'ham', veggies: 'corn' }],
})

describe('A customer of several instances', () => {
  test('sends its requests to all of them in turn', async () => {
    const asked: string[] = []
    let orders = 0
    const serveNamed = (name: string) =>
      serve((method, path) => {
        asked.push(`${name} ${method} ${path}`)
        return method === 'POST' ? { status: 201, body: { order_id: `${++orders}` } } : { body: toReady(`${orders}`) }
      })
    const urls = [await serveNamed('a'), await serveNamed('b'), await serveNamed('c')]
    const customer = await createCustomer({ urls, count: 1, watch: { kind: 'wait' }, ledger: createLedger() })
    for (let i = 0; i < 3; i++) await customer.order()
    customer.leave()
    expect(asked).toEqual([
      'a POST /order/1',
      'b GET /order/1',
      'c POST /order/1',
      'a GET /order/2',
      'b POST /order/1',
      'c GET /order/3',
    ])
  })
})

describe('The check at the end', () => {
  const check = async (listed: readonly string[], filled: number) => {
    const url = await serve((_, path) => {
      if (path === '/report') return { body: { goat: listed.length } }
      if (path.startsWith('/order/')) return { body: toReady(path.slice('/order/'.length)) }
      return { body: { orders: listed.map(toReady), next: null } }
    })
    const ledger = createLedger()
    ledger.accepted.set('1', 1)
    return (await verify({ kind: 'verify', url, reportUrl: url, filled }, ledger)).problems
  }

  test('knows the orders that were put on the log beside the customers', async () => {
    expect(await check(['1', '2', '3'], 2)).toEqual([])
  })

  test('misses one of those, and one that a customer was promised', async () => {
    expect(await check(['1', '2'], 2)).toEqual(['1 of the 2 orders on the log are not in GET /orders'])
    expect(await check(['2', '3'], 2)).toEqual(['Order 1 was answered with 201 and is not in GET /orders'])
  })

  test('finds an order that nobody placed', async () => {
    expect(await check(['1', '2', '3'], 1)).toEqual(['1 orders exist that nobody was told of; 0 connections were lost'])
  })
})
