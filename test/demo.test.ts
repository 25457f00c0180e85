import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { startDemo, type DemoOptions } from '../src/demo.ts'

/** A stand-in for the orders role: answers as the HTTP reference says. */
async function listen(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  await new Promise((resolve) => server.once('listening', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function start(options: Pick<DemoOptions, 'url'> & Partial<DemoOptions>): void {
  const demo = startDemo({ ordersPerSecond: 1000, onError: (error) => expect.fail(String(error)), ...options })
  onTestFinished(() => demo.stop())
}

test('A demo orders 1 to 5 pizzas and tells of each order that is ready', async () => {
  const asked: string[] = []
  const url = await listen(({ method, url, headers }, response) => {
    asked.push(`${method} ${url} ${headers.prefer ?? ''}`)
    const pizzas = [
      { order_id: '7', pizza_id: 1, sauce: 'bbq', cheese: 'none' },
      { order_id: '7', pizza_id: 2, sauce: 'light', cheese: 'extra' },
    ]
    const view = {
      id: '7',
      status: 'ready',
      placed_at: '2026-01-01T00:00:00.000Z',
      ready_at: '2026-01-01T00:00:00.042Z',
      pizzas,
    }
    response.end(JSON.stringify(method === 'POST' ? { order_id: '7' } : view))
  })
  const draws = [0, 0.999]
  const lines = await new Promise<string[]>((resolve) => {
    const lines: string[] = []
    const onReady = (line: string) => lines.push(line) === 2 && resolve(lines)
    start({ url, onReady, random: () => draws.shift() ?? 0.5 })
  })
  expect(lines[0]).toBe('order 7 ready in 42 ms: bbq, none | light, extra')
  expect(asked).toEqual(expect.arrayContaining(['POST /order/1 ', 'POST /order/5 ', 'GET /order/7 wait=30']))
})

test('A demo tells of an order that fails and goes on', async () => {
  const url = await listen((_, response) => {
    response.statusCode = 503
    response.end('closed')
  })
  const errors = await new Promise<string[]>((resolve) => {
    const errors: string[] = []
    start({ url, onError: (error) => errors.push(String(error)) === 2 && resolve(errors) })
  })
  expect(errors[0]).toMatch(/POST http.*: 503 closed/)
})

test('A demo that is stopped lets go of orders that are still out', async () => {
  const asked = Promise.withResolvers<void>()
  const url = await listen(() => asked.resolve())
  const demo = startDemo({ url, ordersPerSecond: 1000, onError: (error) => expect.fail(String(error)) })
  await asked.promise
  await demo.stop()
})
