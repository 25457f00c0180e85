/**
 * An order host in memory that honours the interface `Orders` (O1, O2, the errors, the order of events), with handles for tests:
 * they top pizzas, push events and make the next call fail. It does no waiting of its own: everything happens when a test says so.
 */
import {
  OrdersError,
  type HistoryEntry,
  type OrderEvent,
  type Orders,
  type OrderView,
  type PizzaView,
  type Readiness,
} from '../../src/actors/orders.ts'
import { createBell } from './bell.ts'

export interface FakeOrders {
  readonly orders: Orders
  /** Options of every `place`, `get` with `waitMs`, and `watch`, as they came. */
  readonly calls: {
    place: unknown[]
    get: Array<{ waitMs?: number; signal?: AbortSignal } | undefined>
    watch: Array<{ orderId?: string; after?: string; signal: AbortSignal }>
  }
  /** Puts an order there without HTTP. @returns its id */
  add(count: number): string
  /** Takes an order to the end: every pizza, then `order.ready`. */
  finish(id: string): void
  /** Something happens to an order that changes nothing but the stream. */
  push(event: Omit<OrderEvent, 'id'>): OrderEvent
  /** The next call of `method` rejects with this. */
  failNext(method: 'place' | 'get' | 'list' | 'history' | 'step' | 'watch' | 'counts', error: Error): void
  setReadiness(readiness: Readiness): void
  /** Resolves when `n` streams are being watched. */
  watching(n: number): Promise<void>
  /** Resolves when `n` answers are being waited for. */
  waiting(n: number): Promise<void>
  /** Ends every watch, as a host that stops does. */
  stop(): void
}

interface Stored {
  view: OrderView
  idempotencyKey?: string
}

const toppings = { sauce: 'regular', cheese: 'goat cheese', meats: 'ham & salami', veggies: 'none' }
const at = '2026-11-01T12:00:00.000Z'

export function createFakeOrders(): FakeOrders {
  const stored = new Map<string, Stored>()
  const events: OrderEvent[] = []
  const failures = new Map<string, Error>()
  const calls: FakeOrders['calls'] = { place: [], get: [], watch: [] }
  const changed = createBell()
  let watchers = 0
  let waiters = 0
  let stopped = false
  let readiness: Readiness = { ready: true, reasons: [] }

  const failIfAsked = (method: string) => {
    const error = failures.get(method)
    failures.delete(method)
    if (error) throw error
  }
  const push = (event: Omit<OrderEvent, 'id'>) => {
    const whole = { id: `e-${events.length + 1}`, ...event }
    events.push(whole)
    changed.ring()
    return whole
  }
  const add = (count: number, idempotencyKey?: string) => {
    const id = String(113_000_000_000_000_000_000_000_000_000_000_000_000n + BigInt(stored.size + 1))
    const in_progress = Array.from({ length: count }, (_, i) => ({ pizza_id: i + 1, state: 'sauce', toppings: {} }))
    const view: OrderView = {
      id,
      count,
      status: 'preparing',
      placed_at: at,
      ready_at: null,
      pizzas: [],
      in_progress,
      version: 1,
    }
    stored.set(id, { view, ...(idempotencyKey !== undefined && { idempotencyKey }) })
    push({ type: 'order.placed', order_id: id, data: { count } })
    return id
  }
  const finish = (id: string) => {
    const order = stored.get(id)!
    const { count } = order.view
    const pizzas = Array.from({ length: count }, (_, i): PizzaView => ({ order_id: id, pizza_id: i + 1, ...toppings }))
    order.view = { ...order.view, status: 'ready', ready_at: at, pizzas, in_progress: [], version: 1 + 4 * count }
    for (const { pizza_id } of pizzas) push({ type: 'pizza.topped', order_id: id, data: { pizza_id } })
    push({ type: 'order.ready', order_id: id, data: {} })
  }

  const orders: Orders = {
    async place(request) {
      calls.place.push(request)
      failIfAsked('place')
      const { count, idempotencyKey } = request
      const known = [...stored.values()].find(
        (order) => idempotencyKey !== undefined && order.idempotencyKey === idempotencyKey,
      )
      if (known && known.view.count !== count) {
        throw new OrdersError(
          'key-reused',
          `Cannot place ${count} pizzas: the key stands for ${known.view.count} pizzas.`,
        )
      }
      if (known) return { order_id: known.view.id, replayed: true }
      return { order_id: add(count, idempotencyKey), replayed: false }
    },
    async get(id, options) {
      calls.get.push(options)
      failIfAsked('get')
      const { waitMs = 0, signal } = options ?? {}
      const timeUp = Promise.withResolvers<void>()
      const timer = setTimeout(() => timeUp.resolve(), waitMs)
      waiters++
      changed.ring()
      let isUp = waitMs === 0
      void timeUp.promise.then(() => (isUp = true))
      while (stored.get(id)?.view.status === 'preparing' && !isUp && !signal?.aborted) {
        await Promise.race([changed.next(), timeUp.promise, aborted(signal)])
      }
      clearTimeout(timer)
      waiters--
      changed.ring()
      signal?.throwIfAborted()
      return stored.get(id)?.view
    },
    async list({ status, after, limit }) {
      failIfAsked('list')
      const all = [...stored.values()].map(({ view }) => view).toReversed()
      if (after !== undefined && !stored.has(after))
        throw new OrdersError('bad-cursor', `Cannot list orders after ${after}.`)
      const rest = all.filter(
        (view) => (after === undefined || view.id < after) && (status ?? view.status) === view.status,
      )
      const page = rest.slice(0, limit)
      const rows = page.map(({ id, count, status, placed_at, ready_at }) => ({
        id,
        count,
        status,
        placed_at,
        ready_at,
      }))
      return { orders: rows, next: rest.length > limit ? page.at(-1)!.id : null }
    },
    async history(id) {
      failIfAsked('history')
      const order = stored.get(id)
      return order && [toPlacedEntry()]
    },
    async step(id, version) {
      failIfAsked('step')
      if (!stored.has(id) || version !== 1) return undefined
      const order = (state: string) => ({ order: { state, context: {} }, pizza: null })
      const record = { key: id, value: '{}', headers: {} }
      return { event: toPlacedEntry(), before: order('new'), after: order('preparing'), record }
    },
    async *watch(query, signal) {
      calls.watch.push({ ...query, signal })
      failIfAsked('watch')
      const { orderId, after } = query
      // All orders from here on; one order from its beginning.
      let next = orderId === undefined ? events.length : 0
      if (after !== undefined) {
        next = events.findIndex(({ id }) => id === after) + 1
        if (next === 0) throw new OrdersError('bad-cursor', `Cannot continue after ${after}: there is no such event.`)
      }
      const isOver = () =>
        orderId !== undefined && next >= events.length && stored.get(orderId)?.view.status === 'ready'
      watchers++
      changed.ring()
      try {
        while (!signal.aborted && !stopped && !isOver()) {
          const event = events[next]
          if (event === undefined) await Promise.race([changed.next(), aborted(signal)])
          else next++
          if (event !== undefined && (orderId ?? event.order_id) === event.order_id) yield event
        }
      } finally {
        watchers--
        changed.ring()
      }
    },
    readiness: () => readiness,
  }

  return {
    orders,
    calls,
    add,
    finish,
    push,
    failNext: (method, error) => void failures.set(method, error),
    setReadiness: (next) => void (readiness = next),
    watching: (n) => changed.until(() => watchers === n),
    waiting: (n) => changed.until(() => waiters === n),
    stop() {
      stopped = true
      changed.ring()
    },
  }
}

function toPlacedEntry(): HistoryEntry {
  const where = { at, topic: 'orders', partition: 2, offset: 41 }
  const nothing = { pizza_id: null, topping: null, choice: null, pizza_state: null }
  return { version: 1, event: 'order.placed', ...nothing, ...where, order_state: 'preparing' }
}

function aborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve()
    else signal?.addEventListener('abort', () => resolve(), { once: true })
  })
}
