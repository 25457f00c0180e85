/**
 * Order service. Answers what HTTP asks (orders.ts) from the order host's memory and store, and puts new orders on the log.
 *
 * Q1: an unknown id is looked for again after the host has applied the end of `orders` as of the question (read your writes).
 * Q2: after a start, answers wait until the host has applied what an earlier process may have shown (start-gate.ts).
 * Q3: reading never wakes a passivated order, but for one whose snapshot cannot be read: it is rebuilt, and written anew.
 * Q4: it answers for the partitions that its host owns; the store may hold others, as of an earlier time (order-store.ts S3).
 */
import { LogError, type Coordinates, type EventLog, type Positions } from '../log/event-log.ts'
import { placeKey } from '../log/placement.ts'
import { printOrder, RecordError } from '../records.ts'
import type { Topics } from '../topics.ts'
import { systemClock, type Clock } from './clock.ts'
import { createFeed } from './feed.ts'
import { entriesAfter } from './live-order.ts'
import { createOrderId, toKeyedOrderId } from './order-id.ts'
import { parseEnvelope, toSnapshot, type JournalEntry } from './order-envelope.ts'
import type { OrderHost } from './order-host.ts'
import type { OrderStore, StoredOrder } from './order-store.ts'
import { toHistory, toOrderSummary, toOrderView, toStep } from './order-view.ts'
import { OrdersError, type HistoryStep, type Orders, type OrderView } from './orders.ts'
import { toPositions } from './positions.ts'
import { readRecord } from './read-record.ts'

export interface OrderServiceOptions {
  readonly log: EventLog
  readonly host: OrderHost
  readonly store: OrderStore
  readonly topics: Topics
  /** How long a reader waits for the host to catch up, in milliseconds (default 5,000). */
  readonly catchUpMs?: number
  readonly clock?: Clock
}

/** Creates the service of a running host. */
export function createOrderService(options: OrderServiceOptions): Orders {
  const { log, host, store, topics, catchUpMs = 5_000, clock = systemClock } = options
  const feed = createFeed(store, host, topics.partitions)

  const load = (orderId: string): StoredOrder | undefined => {
    const stored = store.load(orderId)
    return stored && host.gate.has(stored.partition) ? stored : undefined
  }

  const view = (orderId: string): OrderView | undefined => {
    const live = host.cache.peek(orderId)
    if (live !== undefined) return live.version === 0 ? undefined : toOrderView(toSnapshot(live.actor), live.version)
    const stored = load(orderId)
    if (stored === undefined) return undefined
    try {
      return toOrderView(parseEnvelope(stored.envelope, orderId).snapshot, stored.version)
    } catch {
      return viewRebuilt(host, orderId)
    }
  }

  /** Tries until it works or the time is up: partitions may go and come while somebody waits. @throws OrdersError `behind` */
  const patiently = async (what: string, attempt: (leftMs: number) => Promise<boolean>, signal?: AbortSignal) => {
    const dueAt = clock.elapsed() + catchUpMs
    for (let leftMs = catchUpMs; leftMs > 0; leftMs = dueAt - clock.elapsed()) {
      if (await attempt(leftMs)) return
      if (signal?.aborted === true) break
    }
    throw behind(what, signal)
  }

  /** Waits until nothing is missing that an earlier owner may have shown of these partitions. */
  const current = async (partitions: readonly number[], signal?: AbortSignal): Promise<void> => {
    if (host.gate.isCurrent(partitions) || (await host.gate.whenCurrent(partitions, catchUpMs, signal))) return
    throw behind('Cannot tell yet how far the orders are', signal)
  }

  /** What `look` finds of an order; `undefined` only when every order is known that was on the log at the call (Q1). */
  const lookUp = async <T>(
    orderId: string,
    look: () => T | undefined,
    signal?: AbortSignal,
  ): Promise<T | undefined> => {
    const partition = placeKey(orderId, topics.partitions)
    let found: T | undefined
    await patiently(
      `Cannot tell yet whether order ${orderId} exists`,
      async (leftMs) => {
        await current([partition], signal)
        found = look()
        if (found !== undefined) return true
        const target = host.backlog.targetOf(orderId) ?? (await readEnds(partition))
        if (!(await host.applied.whenReached(target, leftMs, signal))) return false
        // In one turn: had the partition gone while this waited, nothing of it would be known here.
        found = look()
        return found !== undefined || host.gate.isCurrent([partition])
      },
      signal,
    )
    return found
  }

  /** Waits until the store holds every order placed here, and everything that was shown of these partitions. */
  const stored = (partitions: readonly number[]): Promise<void> =>
    patiently('Cannot tell yet which orders there are', async (leftMs) => {
      if (!(await host.gate.whenCurrent(partitions, leftMs))) return false
      for (const target of host.backlog.targets()) {
        if (!(await host.applied.whenReached(target, leftMs))) return false
      }
      // While a checkpoint runs, its orders are neither dirty nor stored.
      const isWritten = host.cache.dirtyCount === 0 && !host.checkpointer.isRunning
      return (isWritten || (await written(leftMs))) && host.gate.isCurrent(partitions)
    })
  const everyPartition = Array.from({ length: topics.partitions }, (_, partition) => partition)

  /** Of the partitions that are here, and this one. */
  const readEnds = async (partition: number): Promise<Positions> => {
    try {
      return toPositions(await log.ends([topics.orders]), [...host.gate.partitions, partition])
    } catch (error) {
      throw toUnavailable(error)
    }
  }

  const find = async (orderId: string, signal?: AbortSignal): Promise<OrderView | undefined> => {
    // Nearly always there is nothing to wait for.
    const known = host.gate.isCurrent([placeKey(orderId, topics.partitions)]) ? view(orderId) : undefined
    return known ?? lookUp(orderId, () => view(orderId), signal)
  }

  /** The order as soon as it is ready, or as it is when the time is up or the signal aborts. */
  const findReady = async (orderId: string, waitMs: number, signal?: AbortSignal): Promise<OrderView | undefined> => {
    const dueAt = clock.elapsed() + waitMs
    for (;;) {
      const found = await find(orderId, signal)
      const leftMs = dueAt - clock.elapsed()
      if (found === undefined || found.status === 'ready' || leftMs <= 0 || signal?.aborted === true) return found
      // Once more, in the turn in which the listener is set: a batch may have been applied since.
      if (view(orderId)?.status !== 'ready') await whenReady(host, orderId, { waitMs: leftMs, clock, signal })
      // Told at once: whoever asked may ask the next owner, and need not wait here for what does not come.
      if (!host.gate.has(placeKey(orderId, topics.partitions))) throw behind(`Order ${orderId} is moving`, signal)
    }
  }

  /** Waits until the store holds what has been applied so far; while the log or the disk is away, it does not come to that. */
  const written = async (timeoutMs: number): Promise<boolean> => {
    const { promise: late, resolve } = Promise.withResolvers<boolean>()
    const cancel = clock.later(() => resolve(false), timeoutMs)
    const stored = host.checkpointer.now().then(
      () => true,
      () => false,
    )
    const isWritten = await Promise.race([stored, late])
    cancel()
    return isWritten
  }

  /** Every event the order took; `undefined` for an unknown order. */
  const journal = (orderId: string): Promise<JournalEntry[] | undefined> =>
    lookUp(orderId, () => {
      const live = host.cache.peek(orderId)
      if (live === undefined && load(orderId) === undefined) return undefined
      const entries = store.journal(orderId).flatMap((chunk) => chunk.entries)
      return live === undefined ? entries : [...entries, ...entriesAfter(live, entries.length)]
    })

  const append = async (orderId: string, count: number): Promise<void> => {
    host.backlog.enter(count, placeKey(orderId, topics.partitions))
    const value = printOrder({ order_id: orderId, count, placedAt: clock.now() })
    try {
      const [at] = await log.append([{ topic: topics.orders, key: orderId, value }])
      host.backlog.placed(orderId, at!, count)
    } catch (error) {
      throw toUnavailable(error)
    } finally {
      host.backlog.leave(count)
    }
  }

  const placeOnce = async (orderId: string, count: number): Promise<{ order_id: string; replayed: boolean }> => {
    let order = await find(orderId)
    const replayed = order !== undefined
    if (order === undefined) {
      await append(orderId, count)
      // Two requests with one key may race: the log decides which came first.
      order = await find(orderId)
    }
    if (order !== undefined && order.count !== count) {
      throw new OrdersError(
        'key-reused',
        `This Idempotency-Key was used for an order of ${order.count} pizzas (order ${orderId}); use another key for an order of ${count}.`,
      )
    }
    return { order_id: orderId, replayed }
  }

  return {
    async place({ count, idempotencyKey }) {
      if (idempotencyKey !== undefined) return placeOnce(toKeyedOrderId(idempotencyKey), count)
      const order_id = createOrderId()
      await append(order_id, count)
      return { order_id, replayed: false }
    },

    get: (orderId, { waitMs = 0, signal } = {}) =>
      waitMs === 0 ? find(orderId, signal) : findReady(orderId, waitMs, signal),

    async list({ status, after, limit, partitions = everyPartition }) {
      const from = after === undefined ? undefined : parseCursor(after)
      await stored(partitions)
      const isEvery = partitions.length === topics.partitions
      const query = { limit: limit + 1, ...(status && { status }), ...(from && { after: from }) }
      const found = store.list(isEvery ? query : { ...query, partitions })
      const orders = found.slice(0, limit)
      const last = orders.at(-1)
      const next = found.length > limit && last ? `${last.placedAt}-${last.order_id}` : null
      return { orders: orders.map(toOrderSummary), next }
    },

    async history(orderId) {
      const entries = await journal(orderId)
      return entries && toHistory(host.machine, orderId, entries)
    },

    async step(orderId, version) {
      const entries = await journal(orderId)
      const step = entries && toStep(host.machine, orderId, entries, version)
      return step && { ...step, record: await readText(log, step.event) }
    },

    watch: (query, signal) => feed.watch(query, signal),
    readiness: () => host.readiness(),
  }
}

/** @throws OrdersError `unreadable` */
function viewRebuilt(host: OrderHost, orderId: string): OrderView | undefined {
  try {
    const order = host.cache.get(orderId)
    host.checkpointer.soon(host.cache.dirtyCount)
    return order && toOrderView(toSnapshot(order.actor), order.version)
  } catch (error) {
    if (!(error instanceof RecordError)) throw error
    throw new OrdersError('unreadable', error.message, { cause: error })
  }
}

/** Neither may be answered from what is known so far: it is older than what was shown before, or misses what was promised. */
function behind(what: string, signal: AbortSignal | undefined): OrdersError {
  if (signal?.aborted === true)
    return new OrdersError('stopping', 'The shop is closing. Try again shortly.', { retryAfterS: 1 })
  return new OrdersError('behind', `${what}: the log is being read. Try again shortly.`, { retryAfterS: 1 })
}

interface Waiting {
  readonly waitMs: number
  readonly clock: Clock
  readonly signal: AbortSignal | undefined
}

function whenReady(host: OrderHost, orderId: string, { waitMs, clock, signal }: Waiting): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      cancel()
      signal?.removeEventListener('abort', settle)
      withdraw()
      resolve()
    }
    const cancel = clock.later(settle, waitMs)
    const withdraw = host.onReady(orderId, settle)
    signal?.addEventListener('abort', settle)
  })
}

/** The record at these coordinates, as text; `null` when the log has deleted it. */
async function readText(log: EventLog, at: Coordinates): Promise<HistoryStep['record']> {
  try {
    const found = await readRecord(log, at)
    if (found === undefined) return null
    const { key, value, headers = {} } = found
    return { key: key?.toString('utf8') ?? null, value: value?.toString('utf8') ?? null, headers }
  } catch (error) {
    throw toUnavailable(error)
  }
}

function parseCursor(cursor: string): { placedAt: number; orderId: string } {
  const match = /^(\d{1,16})-([\w.-]{1,64})$/.exec(cursor)
  if (match === null) {
    throw new OrdersError(
      'bad-cursor',
      'The value of `after` is not one this API gave: take it from `next` of the previous page.',
    )
  }
  return { placedAt: Number(match[1]), orderId: match[2]! }
}

function toUnavailable(error: unknown): unknown {
  if (!(error instanceof LogError)) return error
  if (error.code === 'closed')
    return new OrdersError('stopping', 'The shop is closing. Try again shortly.', { retryAfterS: 1, cause: error })
  const message =
    'The log cannot be reached, so whether the order was taken is not known. Try again with the same Idempotency-Key.'
  return new OrdersError('unavailable', message, { retryAfterS: 1, cause: error })
}
