/**
 * Observer. Places small orders at a steady rate whatever becomes of the earlier ones, waits for each, and knows from that alone how long
 * a partition stood still.
 *
 * V1: a partition stands still while an order is open on it and none becomes ready: from the last one that became ready, or from the
 *     201 of the oldest open one if that came later, until the next becomes ready. Time in which nothing was ordered does not count.
 * V2: orders are placed without a key, by whichever host is asked; that is to work as long as any of them is up.
 * V3: every answer goes to the witness; a 503 that does not say when to come again is blamed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { placeKey } from '../../src/log/placement.ts'
import { createHttpClient, type Answer } from './http-client.ts'
import type { OrderJson, Witness } from './witness.ts'

export interface ObserverOptions {
  readonly witness: Witness
  /** The host to ask next. */
  readonly url: () => string
  readonly partitions: number
  readonly ordersPerSecond: number
}

export interface Standstill {
  readonly partition: number
  readonly ms: number
}

export interface Observer {
  readonly placed: number
  /** POST answered with 503. */
  readonly refusedPosts: number
  /** GET answered with 503, as it may be while an order moves. */
  readonly refusedGets: number
  /** Requests without an answer: the host died or was paused. */
  readonly broken: number
  /** The longest standstill that ended since, one still under way included; of these partitions (default: of all). */
  longestSince(at: number, partitions?: readonly number[]): Standstill
  /** Resolves when every partition has finished an order that was placed after the call. */
  everyPartitionFinished(): Promise<void>
  /** Places no more; resolves when every order is ready. */
  stop(): Promise<void>
}

/** How long one GET waits for the order. Short, because a host that is paused keeps its callers for as long. */
const waitS = 3
const answerMsMax = 4_000
const againMs = 20

interface Lane {
  readonly open: Map<string, number>
  readonly ended: { readonly at: number; readonly ms: number }[]
  finishedAt: number
}

/** Starts to place orders. Times are of `performance.now()`. */
export function startObserver({ witness, url, partitions, ordersPerSecond }: ObserverOptions): Observer {
  const http = createHttpClient()
  const sums = { placed: 0, refusedPosts: 0, refusedGets: 0, broken: 0 }
  const lanes = Array.from({ length: partitions }, (): Lane => ({ open: new Map(), ended: [], finishedAt: 0 }))
  const listeners = new Set<(partition: number, placedAt: number) => void>()
  const following = new Set<Promise<void>>()
  let isStopping = false

  const standstill = ({ open, finishedAt }: Lane, now: number): number => {
    const [oldest = now] = open.values()
    return now - Math.max(oldest, finishedAt)
  }

  const finish = (orderId: string, partition: number): void => {
    const lane = lanes[partition]!
    const now = performance.now()
    lane.ended.push({ at: now, ms: standstill(lane, now) })
    lane.finishedAt = now
    const placedAt = lane.open.get(orderId)!
    lane.open.delete(orderId)
    for (const listener of listeners) listener(partition, placedAt)
  }

  const mustSayWhen = ({ headers }: Answer, what: string): void => {
    if (headers['retry-after'] === undefined) witness.blame(`${what} answered 503 without Retry-After`)
  }

  const place = async (): Promise<string | undefined> => {
    const answer = await http.post(`${url()}/order/1`).catch(() => undefined)
    if (answer === undefined) sums.broken++
    else if (answer.status === 503) {
      sums.refusedPosts++
      mustSayWhen(answer, 'POST')
    } else if (answer.status !== 201) witness.blame(`POST /order/1 answered ${answer.status}: ${answer.text}`)
    else return (JSON.parse(answer.text) as { order_id: string }).order_id
    return undefined
  }

  const isReady = async (orderId: string): Promise<boolean> => {
    const answered = witness.look(orderId)
    const headers = { prefer: `wait=${waitS}` }
    const answer = await http.get(`${url()}/order/${orderId}`, headers, answerMsMax).catch(() => undefined)
    if (answer === undefined) sums.broken++
    else if (answer.status === 503) {
      sums.refusedGets++
      mustSayWhen(answer, `GET of order ${orderId}`)
    } else if (answer.status === 404) answered(undefined)
    else if (answer.status !== 200) witness.blame(`GET of order ${orderId} answered ${answer.status}: ${answer.text}`)
    else {
      const order = JSON.parse(answer.text) as OrderJson
      answered(order)
      return order.status === 'ready'
    }
    await sleep(againMs)
    return false
  }

  const follow = async (): Promise<void> => {
    const orderId = await place()
    if (orderId === undefined) return
    witness.accept(orderId, 1)
    sums.placed++
    const partition = placeKey(orderId, partitions)
    lanes[partition]!.open.set(orderId, performance.now())
    while (!(await isReady(orderId)));
    finish(orderId, partition)
  }

  const run = async (): Promise<void> => {
    for (let at = performance.now(); !isStopping; at += 1_000 / ordersPerSecond) {
      await sleep(Math.max(0, at - performance.now()))
      const one = follow().finally(() => following.delete(one))
      following.add(one)
    }
  }
  const running = run()

  return {
    get placed() {
      return sums.placed
    },
    get refusedPosts() {
      return sums.refusedPosts
    },
    get refusedGets() {
      return sums.refusedGets
    },
    get broken() {
      return sums.broken
    },
    longestSince(since, of = lanes.keys().toArray()) {
      const now = performance.now()
      const all = of.map((partition): Standstill => {
        const lane = lanes[partition]!
        const ended = lane.ended.filter(({ at }) => at >= since).map(({ ms }) => ms)
        return { partition, ms: Math.round(Math.max(standstill(lane, now), ...ended)) }
      })
      return all.reduce((a, b) => (b.ms > a.ms ? b : a))
    },
    everyPartitionFinished() {
      const { promise, resolve } = Promise.withResolvers<void>()
      const since = performance.now()
      const missing = new Set(lanes.keys())
      const listener = (partition: number, placedAt: number): void => {
        if (placedAt >= since) missing.delete(partition)
        if (missing.size > 0) return
        listeners.delete(listener)
        resolve()
      }
      listeners.add(listener)
      return promise
    },
    async stop() {
      isStopping = true
      await running
      await Promise.all(following)
      http.close()
    },
  }
}
