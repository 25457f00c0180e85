/** The benchmark's own instruments: a figure is worth what these are. */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { checkOrder } from '../../bench/customers.ts'
import { ConnectionLost, openConnection } from '../../bench/http-connection.ts'
import { createSamples } from '../../bench/samples.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

/** A server that hands each request to `answer` together with its socket. @returns its address. */
async function serve(answer: (socket: Socket, request: string) => void): Promise<string> {
  const server = createServer((socket) => socket.on('data', (bytes) => answer(socket, bytes.toString()))).listen(
    0,
    '127.0.0.1',
  )
  await once(server, 'listening')
  cleanups.push(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function open(url: string) {
  const connection = await openConnection(url)
  cleanups.push(() => connection.close())
  return connection
}

describe('Samples', () => {
  test('give exact nearest-rank percentiles, also past their first size', () => {
    const samples = createSamples()
    for (let i = 10_000; i >= 1; i--) samples.add(i)
    expect(samples.percentiles()).toEqual({
      count: 10_000,
      mean: 5_000.5,
      p50: 5_000,
      p90: 9_000,
      p99: 9_900,
      max: 10_000,
    })
  })

  test('of one value are that value, and of none are 0', () => {
    const samples = createSamples()
    expect(samples.percentiles()).toMatchObject({ count: 0, p50: 0, max: 0 })
    samples.add(7)
    expect(samples.percentiles()).toMatchObject({ count: 1, p50: 7, p99: 7, max: 7 })
  })
})

describe('A connection of the load generator', () => {
  test('reads answers that come in pieces cut anywhere, one after the other', async () => {
    const body = `{"cheese":"${'Käse, '.repeat(20)}"}`
    const whole = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
    let cut = 0
    const url = await serve((socket) => {
      socket.setNoDelay(true).write(whole.subarray(0, cut))
      setImmediate(() => socket.write(whole.subarray(cut)))
    })
    const connection = await open(url)
    for (cut = 1; cut < whole.length; cut++) {
      expect(await connection.request('GET', '/')).toEqual({ status: 200, body })
    }
  })

  test('rejects what is asked when the other side goes away', async () => {
    const connection = await open(await serve((socket) => socket.destroy()))
    await expect(connection.request('GET', '/')).rejects.toThrow(ConnectionLost)
    await expect(connection.request('GET', '/')).rejects.toThrow(ConnectionLost)
  })

  test('refuses an answer whose length it cannot know', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
    const connection = await open(await serve((socket) => socket.write(chunked)))
    await expect(connection.request('GET', '/')).rejects.toThrow('Cannot read this answer')
  })
})

describe('An order that the benchmark counts', () => {
  const pizza = { order_id: '1', pizza_id: 1, sauce: 'a', cheese: 'b', meats: 'c', veggies: 'd' }
  const order = { id: '1', count: 2, status: 'ready', pizzas: [pizza, { ...pizza, pizza_id: 2 }] }

  test('is ready, of its size, and every pizza has every topping', () => {
    expect(() => checkOrder('1', 2, JSON.stringify(order))).not.toThrow()
  })

  test.each([
    ['another id', { ...order, id: '2' }],
    ['not ready', { ...order, status: 'preparing' }],
    ['a pizza too few', { ...order, pizzas: [pizza] }],
    ['a pizza too many', { ...order, pizzas: [...order.pizzas, { ...pizza, pizza_id: 3 }] }],
    ['the same pizza twice', { ...order, pizzas: [pizza, pizza] }],
    ['a topping missing', { ...order, pizzas: [pizza, { ...pizza, pizza_id: 2, meats: '' }] }],
    ['the pizza of another order', { ...order, pizzas: [pizza, { ...pizza, pizza_id: 2, order_id: '2' }] }],
  ])('is refused with %s', (_, wrong) => {
    expect(() => checkOrder('1', 2, JSON.stringify(wrong))).toThrow('is wrong')
  })
})
