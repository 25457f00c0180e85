/**
 * TCP proxy. Stands between a shop and its broker, and makes the network bad on request. Owns the connections through it.
 *
 * X1: bytes keep their order, and a connection that has lost bytes is cut before any come after them: what arrives is always a
 *     prefix of what was sent, as on a real network.
 * X2: in clear weather nothing is changed or delayed.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/**
 * `late`: everything comes `lateMs` later. `deaf`: requests reach the broker and answers reach nobody. `stuck`: connections stay
 * open and nothing passes. `away`: connections are cut and new ones end at once.
 */
export type Weather = 'clear' | 'late' | 'deaf' | 'stuck' | 'away'

export interface TcpProxy {
  readonly port: number
  /** Where connections lead from here on. */
  leadTo(port: number): void
  /** Changes the weather for the connections that `isHit` picks, open and new ones. */
  setWeather(weather: Weather, options?: { isHit?: () => boolean; lateMs?: number }): void
  /** Cuts the open connections that `isHit` picks. */
  cut(isHit?: () => boolean): void
  close(): Promise<void>
}

interface Pair {
  readonly client: Socket
  readonly broker: Socket
  isHit: boolean
  /** Whether it has lost bytes. */
  isTorn: boolean
}

/** Listens on a free port of 127.0.0.1. */
export async function createTcpProxy(): Promise<TcpProxy> {
  const pairs = new Set<Pair>()
  let targetPort: number | undefined
  let weather: Weather = 'clear'
  let lateMs = 0
  let isHit = (): boolean => true

  const end = (pair: Pair): void => {
    pairs.delete(pair)
    pair.client.destroy()
    pair.broker.destroy()
  }
  const weatherOf = (pair: Pair): Weather => (pair.isHit ? weather : 'clear')

  const lead = (pair: Pair, from: Socket, to: Socket): void => {
    /** What came late goes before what comes after it. */
    let sent = Promise.resolve()
    let waiting = 0
    from.on('data', (bytes) => {
      const now = weatherOf(pair)
      if (now === 'deaf' && from === pair.broker) {
        pair.isTorn = true
      } else if (now === 'late' || waiting > 0) {
        const at = performance.now() + (now === 'late' ? lateMs : 0)
        waiting++
        sent = sent
          .then(() => sleepUntil(at))
          .then(() => {
            waiting--
            if (!pair.isTorn || from === pair.client) to.write(bytes)
          })
      } else if (!to.write(bytes)) {
        from.pause()
        to.once('drain', () => weatherOf(pair) !== 'stuck' && from.resume())
      }
    })
    from.once('error', () => end(pair))
    from.once('close', () => void sent.then(() => end(pair)))
  }

  const server = createServer((client) => {
    client.setNoDelay(true)
    const pair: Pair = {
      client,
      broker: connect({ port: targetPort!, host: '127.0.0.1', noDelay: true }),
      isHit: isHit(),
      isTorn: false,
    }
    pairs.add(pair)
    lead(pair, pair.client, pair.broker)
    lead(pair, pair.broker, pair.client)
    if (weatherOf(pair) === 'away') end(pair)
    else settle(pair)
  })
  const settle = (pair: Pair): void => {
    for (const socket of [pair.client, pair.broker]) {
      if (weatherOf(pair) === 'stuck') socket.pause()
      else socket.resume()
    }
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = (chosen = (): boolean => true): void => {
    for (const pair of pairs) if (chosen()) end(pair)
  }
  return {
    port: (server.address() as AddressInfo).port,
    leadTo: (port) => void (targetPort = port),
    setWeather(next, options = {}) {
      weather = next
      lateMs = options.lateMs ?? 0
      isHit = options.isHit ?? (() => true)
      for (const pair of pairs) {
        pair.isHit = isHit()
        if (pair.isTorn || weatherOf(pair) === 'away') end(pair)
        else settle(pair)
      }
    },
    cut,
    async close() {
      cut()
      await new Promise((closed) => server.close(closed))
    },
  }
}

function sleepUntil(at: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, Math.max(0, at - performance.now())))
}
