/**
 * What the HTTP side may ask of the order host. Everything it answers is plain JSON-ready data in the words of the HTTP API.
 *
 * O1: what `get` answers includes every order whose POST was answered before the call (design §7).
 * O2: no call changes state except `place`, and `place` only by a record on the log.
 */

export type OrderStatus = 'preparing' | 'ready'

/** A pizza as HTTP shows it: `order_id`, `pizza_id`, then each topping of the recipe that it has. */
export type PizzaView = { readonly order_id: string; readonly pizza_id: number } & Readonly<
  Record<string, string | number>
>

/** A pizza that still misses toppings. `state` is the first topping it waits for. */
export interface PizzaInProgress {
  readonly pizza_id: number
  readonly state: string
  readonly toppings: Readonly<Record<string, string>>
}

export interface OrderView {
  readonly id: string
  readonly count: number
  readonly status: OrderStatus
  /** ISO 8601, UTC. */
  readonly placed_at: string
  readonly ready_at: string | null
  /** Finished pizzas, by pizza_id. */
  readonly pizzas: readonly PizzaView[]
  readonly in_progress: readonly PizzaInProgress[]
  /** Grows with each event the order takes; the ETag comes from it. Not part of the JSON answer. */
  readonly version: number
}

export interface OrderSummary {
  readonly id: string
  readonly count: number
  readonly status: OrderStatus
  readonly placed_at: string
  readonly ready_at: string | null
}

export interface OrderPage {
  /** Newest first. */
  readonly orders: readonly OrderSummary[]
  /** Give as `after` for the next page; `null` on the last. */
  readonly next: string | null
}

/** One event an order took, where it stands in the log, and the state after it. */
export interface HistoryEntry {
  /** 1 for the order's first event, then one more each. */
  readonly version: number
  readonly event: 'order.placed' | 'pizza.topped'
  readonly pizza_id: number | null
  readonly topping: string | null
  readonly choice: string | null
  /** When the record was appended: ISO 8601, UTC. */
  readonly at: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** After the event: the order's state, and the pizza's when the event was about one. */
  readonly order_state: string
  readonly pizza_state: string | null
}

/** The order, and the pizza an event is about, at one moment: state and context of the machines. */
export interface Moment {
  readonly order: { readonly state: string; readonly context: object }
  readonly pizza: { readonly state: string; readonly context: object } | null
}

/** One event of an order's history with what it changed, and its record as the log stores it. */
export interface HistoryStep {
  readonly event: HistoryEntry
  readonly before: Moment
  readonly after: Moment
  /** `null` when the log does not hold it any more. Bytes that are no UTF-8 show as U+FFFD. */
  readonly record: {
    readonly key: string | null
    readonly value: string | null
    readonly headers: Readonly<Record<string, string>>
  } | null
}

/** Something happened to an order; `order.ready` follows the event that finished its last pizza. */
export interface OrderEvent {
  /** Resume after it by giving it back as `after`. Opaque. */
  readonly id: string
  readonly type: 'order.placed' | 'pizza.topped' | 'order.ready'
  readonly order_id: string
  readonly data: Readonly<Record<string, unknown>>
}

export interface Readiness {
  readonly ready: boolean
  /** Why not, a sentence each; empty when ready. */
  readonly reasons: readonly string[]
}

export interface Orders {
  /**
   * Puts a new order on the log and resolves when it is durable.
   * With `idempotencyKey`, the same key gives the same order (`replayed` true).
   * @throws OrdersError `key-reused` (same key, other count), `unavailable`, `behind` when the host has too much to do.
   */
  place(request: { count: number; idempotencyKey?: string }): Promise<{ order_id: string; replayed: boolean }>
  /**
   * The order as of now, `undefined` when no such order was placed. With `waitMs`, holds the answer until the order is ready
   * or the time is up, whichever comes first.
   * @throws OrdersError `behind` when the host cannot tell yet whether the order exists, `unreadable` when it does and cannot be read.
   */
  get(orderId: string, options?: { waitMs?: number; signal?: AbortSignal }): Promise<OrderView | undefined>
  /**
   * A page of orders, newest first, of some partitions (default: all).
   * @throws OrdersError `bad-cursor` for an `after` that is not one, `behind` while a partition is not here.
   */
  list(query: {
    status?: OrderStatus
    after?: string
    limit: number
    partitions?: readonly number[]
  }): Promise<OrderPage>
  /** Every event the order took, oldest first; `undefined` for an unknown order. @throws OrdersError `behind`. */
  history(orderId: string): Promise<readonly HistoryEntry[] | undefined>
  /** The event that made the order this version; `undefined` when there is none. @throws OrdersError `behind`, `unavailable`. */
  step(orderId: string, version: number): Promise<HistoryStep | undefined>
  /**
   * Events of one order from its first on, or live events of all. With `after`, what came since that event. Ends when `signal` aborts, when the host stops,
   * or when the reader is too slow (it then resumes by the last id it saw). For one order, ends after `order.ready`.
   * @throws OrdersError `bad-cursor`.
   */
  watch(query: { orderId?: string; after?: string }, signal: AbortSignal): AsyncIterable<OrderEvent>
  readiness(): Readiness
}

export type OrdersErrorCode = 'key-reused' | 'unavailable' | 'behind' | 'bad-cursor' | 'stopping' | 'unreadable'

export class OrdersError extends Error {
  readonly code: OrdersErrorCode
  /** When trying again makes sense, in seconds. */
  readonly retryAfterS: number | undefined
  constructor(code: OrdersErrorCode, message: string, options?: ErrorOptions & { retryAfterS?: number }) {
    super(message, options)
    this.name = 'OrdersError'
    this.code = code
    this.retryAfterS = options?.retryAfterS
  }
}
