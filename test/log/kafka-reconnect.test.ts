/** kafkajs's connections after they were closed: mended, against a peer that hangs up in the middle of an answer, answers late, or lies. */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import '../../src/log/kafka-client.ts'
import type { ReopenedConnection } from '../../src/log/kafka-reconnect.ts'

const require = createRequire(import.meta.url)
const Connection = require('kafkajs/src/network/connection') as new (options: object) => ReopenedConnection & {
  send(request: object): Promise<Buffer>
}
const Encoder = require('kafkajs/src/protocol/encoder') as new () => object
const silent = { debug() {}, info() {}, warn() {}, error() {}, namespace: () => silent }

/** Answers a request: takes what came and the socket it came on; `connection` counts from 1. */
type Answer = (request: Buffer, socket: Socket, connection: number) => void

/** An answer to a request as Kafka frames it: length, the request's correlation id, body. */
function frame(request: Buffer, body: string): Buffer {
  const bytes = Buffer.alloc(8 + body.length)
  bytes.writeInt32BE(4 + body.length)
  // After length, api key and version.
  request.copy(bytes, 4, 8, 12)
  bytes.write(body, 8)
  return bytes
}

describe('A connection to a broker that is opened again', () => {
  let answer: Answer
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    const nth = sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      // Requests are small and written whole; several may come as one.
      for (let at = 0; at < bytes.length; at += 4 + bytes.readInt32BE(at)) answer(bytes.subarray(at), socket, nth)
    })
  })
  let connection: InstanceType<typeof Connection>

  beforeEach(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    connection = new Connection({
      host: '127.0.0.1',
      port,
      logger: silent,
      requestTimeout: 500,
      connectionTimeout: 2_000,
      socketFactory: ({ host, onConnect }: { host: string; onConnect: () => void }) =>
        connect({ host, port }, onConnect),
    })
  })

  afterEach(async () => {
    await connection.disconnect()
    for (const socket of sockets.splice(0)) socket.destroy()
    await new Promise((closed) => server.close(closed))
  })

  const ask = async (): Promise<string> => {
    await connection.connect()
    // ApiVersions (18), which needs no authentication.
    const request = { apiKey: 18, apiVersion: 0, apiName: 'Ask', encode: () => Promise.resolve(new Encoder()) }
    const same = (bytes: Buffer) => Promise.resolve(bytes)
    return String(await connection.send({ request, response: { decode: same, parse: same } }))
  }

  test('forgets the part of an answer that it had read', async () => {
    answer = (request, socket, nth) => {
      if (nth === 1) socket.end(frame(request, 'first').subarray(0, 3))
      else socket.write(frame(request, 'second'))
    }
    await expect(ask()).rejects.toThrow('Closed connection')
    expect(await ask()).toBe('second')
  })

  test('tells at once who waits when it is closed, and reads nothing more from that socket', async () => {
    const asked = Promise.withResolvers<Buffer>()
    answer = (request, socket, nth) => {
      if (nth === 1) return asked.resolve(request)
      sockets[0]!.write(Buffer.from('late'), () => socket.write(frame(request, 'second')))
    }
    const waiting = ask()
    await asked.promise
    const closed = connection.disconnect()
    await expect(waiting).rejects.toThrow('Closed connection')
    await closed
    expect(await ask()).toBe('second')
  })

  test('has one socket for all who open it at once', async () => {
    answer = (request, socket) => socket.write(frame(request, 'once'))
    expect(await Promise.all([ask(), ask(), ask()])).toEqual(['once', 'once', 'once'])
    expect(sockets).toHaveLength(1)
  })

  test('tells at once who opens it when it is closed meanwhile', async () => {
    const opened = connection.connect()
    void connection.disconnect()
    await expect(opened).rejects.toThrow('Closed connection')
    answer = (request, socket) => socket.write(frame(request, 'again'))
    expect(await ask()).toBe('again')
  })

  test('outlives an answer of no bytes', async () => {
    answer = (request, socket, nth) => socket.write(nth === 1 ? Buffer.alloc(4) : frame(request, 'second'))
    await expect(ask()).rejects.toThrow('outside buffer bounds')
    expect(await ask()).toBe('second')
  })

  test('waits no longer for a login than for any request', async () => {
    answer = (request, socket) => socket.write(frame(request, 'again'))
    await connection.connect()
    const bytes = Buffer.from([0, 0, 0, 0])
    answer = () => {}
    await expect(connection.sendAuthRequest({ request: { encode: () => bytes }, response: {} })).rejects.toThrow(
      'Connection closed',
    )
    answer = (request, socket) => socket.write(frame(request, 'again'))
    expect(await ask()).toBe('again')
  })
})
