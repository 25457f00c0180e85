/**
 * Load: customers who place orders over HTTP and look at them, each waiting for its own answers (closed loop). They live through
 * what a shop under kill -9 does to its callers: connections that break, 503.
 *
 * O1: every 201 and every answer of GET goes to the witness.
 * O2: an order whose outcome is unknown is sent again with the same Idempotency-Key until there is an answer; one that was sent
 *     without a key is given up, as its customer does not know it.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createHttpClient, type Answer, type HttpClient } from './http-client.ts'
import type { Random } from './random.ts'
import type { OrderJson, Witness } from './witness.ts'

export interface LoadOptions {
  readonly witness: Witness
  readonly random: Random
  /** Where the orders role answers; waits while it is down. */
  readonly url: () => Promise<string>
  readonly clients: number
  /** All clients together; default: as fast as the shop answers. */
  readonly ordersPerSecond?: number
  /** Pizzas of the next order; default 1 to 3. */
  readonly countOf?: (random: Random) => number
  /** How long a customer waits for the order before the next one, in whole seconds (default 0: looks and goes on). */
  readonly patienceS?: number
}

export interface Load {
  /** Orders answered with 201. */
  readonly placed: number
  /** Requests whose outcome was unknown: the connection broke. */
  readonly broken: number
  /** Answers 503. */
  readonly refused: number
  /** Resolves when so many more orders were placed. */
  whenPlaced(more: number): Promise<void>
  /** Looks at the newest orders at once, as customers do who press reload. */
  lookAtNewest(): Promise<void>
  /** Resolves when every customer has the answers it waits for. The shop must be up. */
  stop(): Promise<void>
}

/** Orders that customers look at again. */
const recentOrdersMax = 200

/** What the clients of one load share. */
interface Crowd {
  readonly options: LoadOptions
  readonly http: HttpClient
  readonly counts: { placed: number; broken: number; refused: number }
  readonly recent: string[]
  readonly placed: () => void
}

/** Starts the customers. */
export function startLoad(options: LoadOptions): Load {
  const http = createHttpClient()
  const counts = { placed: 0, broken: 0, refused: 0 }
  const waiters = new Set<{ at: number; resolve: () => void }>()
  const placed = (): void => {
    counts.placed++
    for (const waiter of waiters) if (counts.placed >= waiter.at && waiters.delete(waiter)) waiter.resolve()
  }
  const crowd: Crowd = { options, http, counts, placed, recent: [] }
  const pace = createPace(options.ordersPerSecond)
  let isStopping = false
  const failed = Promise.withResolvers<never>()
  // Whoever waits for orders hears of it; without a waiter it must not end the test run.
  failed.promise.catch(() => {})
  const live = async (): Promise<void> => {
    while (!isStopping) {
      await pace()
      if (!isStopping) await order(crowd)
    }
  }
  const clients = Array.from({ length: options.clients }, () => live())
  const ended = Promise.all(clients)
  ended.catch(failed.reject)
  return {
    get placed() {
      return counts.placed
    },
    get broken() {
      return counts.broken
    },
    get refused() {
      return counts.refused
    },
    whenPlaced(more) {
      const { promise, resolve } = Promise.withResolvers<void>()
      if (more <= 0) resolve()
      else waiters.add({ at: counts.placed + more, resolve })
      return Promise.race([promise, failed.promise])
    },
    async lookAtNewest() {
      const url = await options.url()
      const newest = crowd.recent.map((_, age) => crowd.recent.at((counts.placed - 1 - age) % recentOrdersMax)!)
      await Promise.all(newest.slice(0, 30).map((orderId) => look(crowd, orderId, { url })))
    },
    async stop() {
      isStopping = true
      await ended.finally(() => http.close())
    },
  }
}

/** One order of one customer: place it, look at it, wait for it, look at an older one. */
async function order(crowd: Crowd): Promise<void> {
  const { options, recent } = crowd
  const { witness, random, patienceS = 0 } = options
  const count = options.countOf?.(random) ?? 1 + random.below(3)
  const key = random.oneIn(4) ? undefined : randomUUID()
  const orderId = await place(crowd, count, key)
  if (orderId === undefined) return
  witness.accept(orderId, count)
  recent[crowd.counts.placed % recentOrdersMax] = orderId
  crowd.placed()
  await look(crowd, orderId)
  if (patienceS > 0) await look(crowd, orderId, { headers: { prefer: `wait=${patienceS}` } })
  await look(crowd, random.pick(recent))
}

async function place(crowd: Crowd, count: number, key: string | undefined): Promise<string | undefined> {
  const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key }
  for (;;) {
    const answer = await ask(crowd, async (url) => crowd.http.post(`${url}/order/${count}`, headers))
    if (answer?.status === 201) return (JSON.parse(answer.text) as { order_id: string }).order_id
    if (answer !== undefined && answer.status !== 503) {
      throw new Error(`POST /order/${count} answered ${answer.status}: ${answer.text}`)
    }
    if (key === undefined) return undefined
  }
}

async function look(
  crowd: Crowd,
  orderId: string,
  { headers = {}, url }: { headers?: Record<string, string>; url?: string } = {},
): Promise<void> {
  const { witness } = crowd.options
  const answered = witness.look(orderId)
  const answer = await ask(crowd, async (at) => crowd.http.get(`${at}/order/${orderId}`, headers), url)
  if (answer?.status === 200) answered(JSON.parse(answer.text) as OrderJson)
  else if (answer?.status === 404) answered(undefined)
  else if (answer !== undefined && answer.status !== 503) {
    throw new Error(`GET /order/${orderId} answered ${answer.status}: ${answer.text}`)
  }
}

/** @returns the answer, or undefined when the connection broke before there was one. */
async function ask(
  { options, counts }: Crowd,
  send: (url: string) => Promise<Answer>,
  url?: string,
): Promise<Answer | undefined> {
  const answer = await send(url ?? (await options.url())).catch(() => undefined)
  if (answer === undefined) counts.broken++
  if (answer?.status === 503) counts.refused++
  // As a polite customer: the shop asked for a pause, or nobody answers there.
  if (answer === undefined || answer.status === 503) await sleep(50)
  return answer
}

/** Lets callers through at a steady rate, together. */
function createPace(perSecond: number | undefined): () => Promise<void> {
  if (perSecond === undefined) return () => Promise.resolve()
  let next = performance.now()
  return async () => {
    const at = (next = Math.max(next + 1_000 / perSecond, performance.now()))
    await sleep(Math.max(0, at - performance.now()))
  }
}
