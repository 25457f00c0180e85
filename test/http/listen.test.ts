import { createServer } from 'node:net'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import express from 'express'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listen, ListenError } from '../../src/http/listen.ts'
import { connectRaw, openShop } from './shop.ts'

const here = '127.0.0.1'

describe('The API on its port', () => {
  test('says which flag to use when the port is taken', async () => {
    const other = createServer().listen(0, here)
    await once(other, 'listening')
    onTestFinished(() => void other.close())
    const { port } = other.address() as { port: number }
    const failure = await listen(express(), { host: here, port, portFlag: '--report-port' }).catch(
      (error: unknown) => error,
    )
    expect(failure).toBeInstanceOf(ListenError)
    expect(failure).toMatchObject({
      code: 'port-taken',
      message: `Cannot listen on ${here} port ${port}: another program does. Stop it, or choose another port with --report-port.`,
    })
  })

  test('says which flag to use when the address is not of this machine', async () => {
    const listening = listen(express(), { host: '192.0.2.1', port: 0 })
    await expect(listening).rejects.toMatchObject({ code: 'bad-host', message: expect.stringContaining('--host') })
  })

  const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ address }) => address === '::1'),
  )

  test.each([
    { host: here, pattern: /^http:\/\/127\.0\.0\.1:\d+$/ },
    { host: '0.0.0.0', pattern: /^http:\/\/localhost:\d+$/ },
    ...(hasIpv6 ? [{ host: '::1', pattern: /^http:\/\/\[::1\]:\d+$/ }] : []),
  ])('on $host names an address that can be opened', async ({ host, pattern }) => {
    const app = express().get('/', (_req, res) => void res.end('here'))
    const { url, close } = await listen(app, { host, port: 0 })
    onTestFinished(close)
    expect(url).toMatch(pattern)
    expect(await (await fetch(url)).text()).toBe('here')
  })
})

describe('The API being closed', () => {
  test('ends event streams in full and is gone at once', async () => {
    const shop = await openShop()
    const streams = await Promise.all(
      [1, 2, 3].map(() => connectRaw(shop.url, 'GET /events HTTP/1.1\r\nHost: a\r\n\r\n')),
    )
    await shop.watching(3)
    await shop.listening.close()
    await shop.watching(0)
    for (const stream of streams) expect(await stream.ended()).toMatch(/\r\n0\r\n\r\n$/)
    await expect(fetch(shop.url)).rejects.toThrow('fetch failed')
    expect(shop.logged).toEqual([])
  })

  test('lets an answer that is being given finish, and cuts idle connections', async () => {
    const shop = await openShop()
    const placing = Promise.withResolvers<void>()
    const placed = Promise.withResolvers<void>()
    const { place } = shop.orders
    shop.orders.place = async (request) => {
      placing.resolve()
      await placed.promise
      return place(request)
    }
    const idle = await connectRaw(shop.url, 'GET /livez HTTP/1.1\r\nHost: a\r\n\r\n')
    await idle.until(/live/)
    const silent = await connectRaw(shop.url, '')
    const busy = await connectRaw(shop.url, 'POST /order/2 HTTP/1.1\r\nHost: a\r\n\r\n')
    await placing.promise
    const closed = Promise.all([shop.listening.close(), shop.listening.close()])
    await idle.ended()
    placed.resolve()
    await closed
    expect(await busy.ended()).toMatch(/^HTTP\/1\.1 201 /)
    expect(await silent.ended()).toBe('')
  })

  test('does not wait for connections that never asked for anything', async () => {
    const shop = await openShop({ drainMs: 60_000 })
    const silent = await connectRaw(shop.url, '')
    // An answer on a later connection: the silent one has been accepted by then.
    await fetch(`${shop.url}/livez`)
    await shop.listening.close()
    expect(await silent.ended()).toBe('')
  })

  test('cuts what does not finish in time', async () => {
    const shop = await openShop({ drainMs: 20 })
    shop.orders.place = () => new Promise(() => {})
    const busy = await connectRaw(shop.url, 'POST /order/2 HTTP/1.1\r\nHost: a\r\n\r\nGET')
    const waiting = await connectRaw(shop.url, 'POST /order/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n')
    await shop.listening.close()
    expect([await busy.ended(), await waiting.ended()]).toEqual(['', ''])
  })
})
