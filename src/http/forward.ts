/**
 * Forward: sends a request about one order to the host that owns it and passes the answer on, so that every host can be asked about
 * every order.
 *
 * W1: a request is forwarded once (Via, RFC 9110): a host that gets it and is not the owner answers 421, and the one that sent it looks
 *     up the owner again.
 * W2: it is tried until an owner answers, for `patienceMs`; a partition that moves is without an owner for a moment. Then 503.
 * W3: nothing is forwarded twice that has begun to be answered, and a caller that leaves takes the forwarded request along.
 * W4: an owner that does not answer, because it is paused or gone, is waited for only until the group has another one.
 */
import {
  Agent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Peers } from '../actors/peers.ts'
import { createExchangeSignal } from './exchange.ts'
import { parseWait } from './parse.ts'
import { ProblemError, stopping } from './problem.ts'

export interface Forward {
  /** Whether this host answers for the order, without asking anybody. */
  isHere(orderId: string): boolean
  /**
   * Lets the owner answer. @returns false when it is this host after all.
   * @throws ProblemError `misdirected` for a request that was forwarded to the wrong host, `moving` when there is no owner in time.
   */
  answer(orderId: string, req: IncomingMessage, res: ServerResponse): Promise<boolean>
}

export interface ForwardOptions {
  readonly peers: Peers
  /** Longest `Prefer: wait`, in milliseconds. */
  readonly waitMsMax: number
  /** Aborts when the server closes. */
  readonly closing: AbortSignal
  /** How long an owner is looked for (default 5,000). */
  readonly patienceMs?: number
  /** How long an owner may take to begin its answer, beyond what the request allows it to wait (default 10,000). */
  readonly timeoutMs?: number
}

/** Names this program in Via. */
const pseudonym = 'pizza-actors'
const againMs = 50
/** How often the owner is looked up while it has not answered. */
const lookMs = 1_000
const hasMoved = new Error('The order has another owner')
/** What the owner needs of a request; the rest is between the caller and this host. */
const passedOn = ['accept', 'prefer', 'if-none-match', 'last-event-id', 'idempotency-key', 'traceparent', 'user-agent']
/** Between two hosts only (RFC 9110, 7.6.1). */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'proxy-connection',
])

/** Creates the forwarder of one app. */
export function createForward({
  peers,
  waitMsMax,
  closing,
  patienceMs = 5_000,
  timeoutMs = 10_000,
}: ForwardOptions): Forward {
  const agent = new Agent({ keepAlive: true, maxSockets: 512 })
  closing.addEventListener('abort', () => agent.destroy(), { once: true })

  /** Calls back when the group has another owner. @returns a function that ends the watch. */
  const watchOwner = (partition: number, owner: string, moved: () => void): (() => void) => {
    const look = async (): Promise<void> => {
      const now = await peers.ownerOf(partition)
      if (peers.isHere(partition) || (now !== undefined && now !== owner)) moved()
    }
    const timer = setInterval(() => void look(), lookMs)
    return () => clearInterval(timer)
  }

  const ask = (
    { owner, partition }: { owner: string; partition: number },
    req: IncomingMessage,
    signal: AbortSignal,
  ): Promise<IncomingMessage> => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const headers: OutgoingHttpHeaders = { via: `1.1 ${pseudonym}` }
    for (const name of passedOn) if (req.headers[name] !== undefined) headers[name] = req.headers[name]
    const timeout = timeoutMs + (parseWait(req.headers['prefer'] as string | undefined, waitMsMax) ?? 0)
    const sent = httpRequest(new URL(req.url ?? '/', owner), { method: req.method ?? 'GET', agent, headers, signal })
    const timer = setTimeout(() => sent.destroy(new Error('The owner did not answer in time')), timeout)
    const unwatch = watchOwner(partition, owner, () => sent.destroy(hasMoved))
    const settle = (): void => {
      clearTimeout(timer)
      unwatch()
    }
    sent.once('response', (answer) => {
      settle()
      resolve(answer)
    })
    sent.once('error', (error) => {
      settle()
      reject(error)
    })
    sent.end()
    return promise
  }

  const isHere = (orderId: string): boolean => peers.isHere(peers.partitionOf(orderId))

  return {
    isHere,
    async answer(orderId, req, res) {
      const isForwarded = wasForwarded(req)
      const partition = peers.partitionOf(orderId)
      const signal = createExchangeSignal(res, closing)
      let dueAt = performance.now() + patienceMs
      for (let fresh = false; performance.now() < dueAt; fresh = true) {
        if (peers.isHere(partition)) return false
        const owner = await peers.ownerOf(partition, { fresh: fresh || isForwarded })
        if (owner === peers.self) return false
        if (isForwarded) throw misdirected(orderId)
        const failed = (error: unknown): undefined => {
          // The time an owner was waited for is not the time it takes to find another.
          if (error === hasMoved) dueAt = performance.now() + patienceMs
        }
        const answer = owner && (await ask({ owner, partition }, req, signal).catch(failed))
        if (closing.aborted) throw stopping()
        if (signal.aborted) return true
        if (answer && answer.statusCode !== 421) {
          await pass(answer, res)
          return true
        }
        if (answer) answer.resume()
        await sleep(againMs)
      }
      throw moving(orderId)
    },
  }
}

/** Whether another host of this program sent it: then it goes no further. */
function wasForwarded(req: IncomingMessage): boolean {
  return req.headers['via']?.includes(pseudonym) ?? false
}

async function pass(answer: IncomingMessage, res: ServerResponse): Promise<void> {
  const headers = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !hopByHop.has(name)))
  res.writeHead(answer.statusCode ?? 502, headers)
  // Nothing is to be said any more to a caller that left, or whose owner broke off.
  await pipeline(answer, res).catch(() => res.destroy())
}

function misdirected(orderId: string): ProblemError {
  return new ProblemError(
    'misdirected',
    `Order ${orderId} is not with this instance; ask any other way than with this Via header.`,
  )
}

function moving(orderId: string): ProblemError {
  const detail = `Order ${orderId} is moving from one instance to another. Try again shortly.`
  return new ProblemError('moving', detail, { 'retry-after': '1' })
}
