/**
 * Inspector. `GET /inspect/{id}`: one order's frames, as server-sent events or over a WebSocket. With `--inspector` also the stock
 * Stately inspector at `/inspector`: a page of ours around theirs, which is fetched from stately.ai by the visitor's browser.
 *
 * @statelyai/inspect brings a server of its own; it listens on every network and opens a browser, so this one takes its place.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocket, WebSocketServer } from 'ws'
import type { OrderMachine } from '../actors/live-order.ts'
import type { Orders } from '../actors/orders.ts'
import { createExchangeSignal, pathPart, type HttpLogger, type Route } from '../http/exchange.ts'
import { unknownOrder } from '../http/order.ts'
import type { Guard } from '../http/origin.ts'
import { isOrderId } from '../http/parse.ts'
import { ProblemError } from '../http/problem.ts'
import { openStream } from '../http/sse.ts'
import type { Frame, FramesOptions, FrameSink } from './frames.ts'

export interface InspectorOptions {
  readonly orders: Orders
  readonly machine: OrderMachine
  readonly guard: Guard
  readonly logger: HttpLogger
  /** How many new orders the stock inspector is shown; 0 is off. */
  readonly newOrdersMax: number
}

export interface Inspector {
  readonly routes: readonly Route[]
  /** Takes a connection that asks to become a WebSocket. */
  upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void
  close(): void
}

const readersMax = 50
const stallMsMax = 30_000
const heartbeatMs = 15_000

/** Creates the inspector's calls. Nothing runs while nobody looks. */
export function createInspectorCalls(options: InspectorOptions): Inspector {
  const { orders, machine, guard, newOrdersMax } = options
  const closing = new AbortController()
  let sockets: WebSocketServer | undefined
  let streams = 0
  const readers = () => streams + (sockets?.clients.size ?? 0)
  const openSockets = async (): Promise<WebSocketServer> => {
    const { WebSocketServer } = await import('ws')
    return (sockets ??= new WebSocketServer({ noServer: true, maxPayload: 1_024 }))
  }

  const routes: Route[] = [
    {
      method: 'GET',
      path: '/inspect/:id',
      summary: 'Streams an order as the Stately inspector wants it (server-sent events or WebSocket).',
      handle: async (req, res) => {
        const orderId = pathPart(req, 'id')
        if (!isOrderId(orderId) || (await orders.get(orderId)) === undefined) throw unknownOrder(orderId)
        if (readers() >= readersMax) {
          throw new ProblemError('too-many-streams', `${readersMax} inspectors are open.`, { 'retry-after': '5' })
        }
        openStream(res)
        if (req.method === 'HEAD') return void res.end()
        streams++
        const heartbeat = setInterval(() => res.writableNeedDrain || res.write(':\n\n'), heartbeatMs)
        res.once('close', () => {
          streams--
          clearInterval(heartbeat)
        })
        const signal = createExchangeSignal(res, closing.signal)
        signal.addEventListener('abort', () => res.end())
        const sink: FrameSink = (frame) =>
          inTime((done) => (res.write(`data: ${JSON.stringify(frame)}\n\n`) ? done() : res.once('drain', done)), res)
        await tellFrames({ orders, machine, orderId, sink }, signal)
        // Stays open: a browser would connect again and be told the same.
      },
    },
  ]

  const follow = async (socket: WebSocket, orderId: string | undefined): Promise<void> => {
    const leaving = new AbortController()
    const leave = () => leaving.abort()
    socket.once('close', leave)
    closing.signal.addEventListener('abort', leave)
    const sink = toSink(socket)
    try {
      if (orderId === undefined) await tellNewOrders(options, sink, leaving.signal)
      else await tellFrames({ orders, machine, orderId, sink }, leaving.signal)
    } catch (error) {
      options.logger.warn({ err: error, order_id: orderId }, 'An inspector was cut off')
      socket.close(1011)
    } finally {
      closing.signal.removeEventListener('abort', leave)
    }
  }

  return {
    routes,
    upgrade(req, socket, head) {
      const asked = parseAddress(req.url ?? '', newOrdersMax > 0)
      const isAllowed = asked !== undefined && readers() < readersMax && isSameOrigin(guard, req)
      if (!isAllowed) return void socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      socket.on('error', () => socket.destroy())
      void openSockets().then((server) =>
        server.handleUpgrade(req, socket, head, (webSocket) => {
          webSocket.on('error', () => webSocket.terminate())
          void follow(webSocket, asked.orderId)
        }),
      )
    },
    close() {
      closing.abort()
      for (const socket of sockets?.clients ?? []) socket.terminate()
    },
  }
}

/** The stock converter takes some 50 ms to load: it is loaded for the first who looks, and so is `ws`. */
async function tellFrames(options: FramesOptions, signal: AbortSignal): Promise<boolean> {
  const frames = await import('./frames.ts')
  return frames.tellFrames(options, signal)
}

/** Frames of orders that are placed from here on, up to the limit. */
async function tellNewOrders(options: InspectorOptions, sink: FrameSink, signal: AbortSignal): Promise<void> {
  const { orders, machine, newOrdersMax } = options
  const told = new Set<string>()
  const telling: Promise<unknown>[] = []
  for await (const { order_id: orderId, type } of orders.watch({}, signal)) {
    if (type !== 'order.placed' || told.has(orderId)) continue
    told.add(orderId)
    telling.push(tellFrames({ orders, machine, orderId, sink }, signal))
    if (told.size === newOrdersMax) break
  }
  await Promise.all(telling)
}

function parseAddress(url: string, hasStock: boolean): { orderId: string | undefined } | undefined {
  const match = /^\/inspect\/([\w.-]{1,64})$/.exec(url)
  if (match) return { orderId: match[1] }
  return hasStock && url === '/inspector/frames' ? { orderId: undefined } : undefined
}

function isSameOrigin(guard: Guard, req: IncomingMessage): boolean {
  try {
    guard.checkOrigin(req)
    return true
  } catch {
    return false
  }
}

function toSink(socket: WebSocket): FrameSink {
  return (frame: Frame) => inTime((done) => socket.send(JSON.stringify(frame), done), socket)
}

interface Closable {
  once(event: 'close', listener: () => void): unknown
  off(event: 'close', listener: () => void): unknown
}

/** Waits until what was written is taken. @returns false when the reader has gone or takes nothing for too long. */
function inTime(write: (done: (error?: Error | null) => void) => unknown, reader: Closable): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isTaken: boolean) => {
      clearTimeout(timer)
      reader.off('close', onClose)
      resolve(isTaken)
    }
    const onClose = () => settle(false)
    const timer = setTimeout(onClose, stallMsMax)
    reader.once('close', onClose)
    write((error) => settle(!error))
  })
}
