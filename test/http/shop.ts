/** A shop for tests: the orders app on a free port over the fake host. Closed after each test. */
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'
import { createDeadLetterList } from '../../src/actors/dead-letter-list.ts'
import { createDeadLetterService } from '../../src/actors/dead-letter-service.ts'
import { createOrdersApp } from '../../src/http/app.ts'
import type { Scrape } from '../../src/http/metrics.ts'
import { listen, type Listening } from '../../src/http/listen.ts'
import { streamLimits, type StreamLimits } from '../../src/http/sse.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { createMemoryLog } from '../../src/log/memory-log.ts'
import { createBell } from './bell.ts'
import { createFakeOrders, type FakeOrders } from './fake-orders.ts'

export interface Shop extends FakeOrders {
  readonly url: string
  readonly listening: Listening
  /** Where its dead letters stand: topic `dead-letters`, and a topic `pizza` for what they came from. */
  readonly log: EventLog
  /** What the app logged. */
  readonly logged: Array<{ level: string; fields: object; message: string }>
}

export const limits = { countMax: 1_000, waitMsMax: 30_000, pageRowsMax: 50 }

/** Metrics of a shop that has none. */
export const scrape: Scrape = () => Promise.resolve({ contentType: 'text/plain', text: 'none 0\n' })

export interface ShopOptions {
  streams?: Partial<StreamLimits>
  waitMsMax?: number
  drainMs?: number
}

export async function openShop({
  streams,
  waitMsMax = limits.waitMsMax,
  drainMs = 10_000,
}: ShopOptions = {}): Promise<Shop> {
  const fake = createFakeOrders()
  const logged: Shop['logged'] = []
  const log = (level: string) => (fields: object, message: string) => void logged.push({ level, fields, message })
  const events = createMemoryLog()
  await events.ensureTopics(['dead-letters', 'pizza'].map((name) => ({ name, partitions: 2 })))
  const list = createDeadLetterList(events, 'dead-letters')
  const app = createOrdersApp({
    orders: fake.orders,
    deadLetters: createDeadLetterService(events, 'dead-letters', list),
    scrape,
    limits: { ...limits, waitMsMax },
    logger: { error: log('error'), warn: log('warn') },
    streams: { ...streamLimits, ...streams },
  })
  const listening = await listen(app, { host: '127.0.0.1', port: 0, drainMs })
  onTestFinished(() => listening.close())
  return { ...fake, log: events, url: listening.url, listening, logged }
}

/** What a problem answer says. */
export interface ProblemJson {
  type: string
  title: string
  status: number
  detail: string
  instance: string
}

/** The JSON of an answer, taken to be of the type the test expects; its assertions check that. */
export async function readJson<T = ProblemJson>(response: Response): Promise<T> {
  return (await response.json()) as T
}

export interface Raw {
  readonly socket: Socket
  /** Everything received so far. */
  text(): string
  /** Resolves when what was received matches. */
  until(pattern: RegExp): Promise<string>
  /** Resolves with everything when the other side has closed. */
  ended(): Promise<string>
}

/** A bare connection, for requests that no HTTP client would send and for readers that stop reading. */
export async function connectRaw(url: string, request: string): Promise<Raw> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  // Being cut off is an outcome the tests look at, not an error of theirs.
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  let received = ''
  const changed = createBell()
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    received += text
    changed.ring()
  })
  socket.on('close', changed.ring)
  await once(socket, 'connect')
  socket.write(request)
  return {
    socket,
    text: () => received,
    async until(pattern) {
      await changed.until(() => pattern.test(received) || socket.closed)
      if (!pattern.test(received)) throw new Error(`Closed before ${String(pattern)}; received:\n${received}`)
      return received
    },
    async ended() {
      await changed.until(() => socket.closed)
      return received
    },
  }
}
