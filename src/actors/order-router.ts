/**
 * Order router. Takes records in the order of each partition and decides what each becomes: an event for an order's actor,
 * nothing (a duplicate), a wait (its order is not known yet), or a dead letter. Does no I/O itself.
 *
 * U1: within one batch orders go first, so that a topping that was read together with its order finds it.
 * U2: the toppings of one pizza that sit in one batch reach its actor as one event.
 * U3: nothing a record holds can stop the router: what it throws becomes a dead letter.
 */
import type { LogRecord, Positions } from '../log/event-log.ts'
import { parseOrder, parseTopped, RecordError } from '../records.ts'
import type { Topics } from '../topics.ts'
import type { Applied } from './applied.ts'
import type { HeldRecords } from './held-records.ts'
import { sendTopped, takePlaced, takeTopped, type LiveOrder, type OrderEffects } from './live-order.ts'
import type { OrderCache } from './order-cache.ts'
import type { JournalEntry } from './order-envelope.ts'

export interface OrderRouterOptions {
  readonly topics: Topics
  readonly applied: Applied
  readonly held: HeldRecords
  readonly createCache: (effects: OrderEffects) => OrderCache
  readonly requestPizzas: (orderId: string, count: number) => void
  /** Whether the pizzas of this record of `orders` were asked for before a rebuild. */
  readonly isRequested: (record: LogRecord) => boolean
  readonly announceReady: (orderId: string) => void
  readonly refuse: (record: LogRecord, error: unknown) => void
  /** An order's machine threw at this record and was repaired. */
  readonly repaired: (orderId: string, error: unknown, record: LogRecord) => void
}

export interface OrderRouter {
  readonly cache: OrderCache
  /** Applies a batch to the actors, as far as there is room for them. @returns what is left, to be applied after a checkpoint. */
  apply(records: readonly LogRecord[]): readonly LogRecord[]
  /** Takes the records that were held when the last checkpoint was written. */
  holdAgain(records: readonly LogRecord[]): void
  /** Asks where `orders` ends for records that came since the last call, and settles those whose wait is over. */
  settleHeld(readEnds: () => Promise<Positions>): Promise<void>
}

/** Creates a router with an empty cache. */
export function createOrderRouter(options: OrderRouterOptions): OrderRouter {
  const { topics, applied, held, refuse } = options
  let isSilent = false
  const broken = new Map<string, unknown>()
  const cache = options.createCache({
    requestPizzas: (orderId, count) => {
      if (!isSilent) options.requestPizzas(orderId, count)
    },
    announceReady: options.announceReady,
    reportError: (orderId, error) => void broken.set(orderId, error),
  })
  /** Orders the running batch has toppings for, with the records they came from. */
  const touched = new Map<LiveOrder, [LogRecord, ...LogRecord[]]>()

  const applyOrder = (record: LogRecord): void => {
    const { order_id, count, placed_at } = parseOrder(record.value)
    const order = cache.get(order_id) ?? cache.create({ order_id, partition: record.partition, count })
    const at = placed_at === undefined ? record.timestampMs : Date.parse(placed_at)
    isSilent = options.isRequested(record)
    const entry: JournalEntry = { ...coordinatesOf(record), at, pizza: null, count }
    const isTaken = takePlaced(order, entry)
    isSilent = false
    if (!isTaken) return
    cache.markDirty(order)
    const error = mend(order, [record])
    if (error !== undefined) return refuse(record, error)
    for (const early of held.takeOf(order_id)) attempt(early, () => applyTopped(early, false))
  }

  const applyTopped = (record: LogRecord, isLast: boolean): void => {
    const topping = topics.toppingOf.get(record.topic)!
    const topped = parseTopped(record.value, topping)
    const order = cache.get(topped.order_id)
    if (order === undefined) {
      if (isLast) throw new RecordError('unknown-order', `No order ${topped.order_id} was placed`)
      held.hold(topped.order_id, record)
      return
    }
    const at = { ...coordinatesOf(record), at: record.timestampMs }
    if (!takeTopped(order, topped, topping, at)) return
    cache.markDirty(order)
    const records = touched.get(order)
    if (records === undefined) touched.set(order, [record])
    else records.push(record)
  }

  const attempt = (record: LogRecord, work: () => void): void => {
    try {
      work()
    } catch (error) {
      refuse(record, error)
    }
  }

  /** Repairs an order whose machine threw. @returns what it threw. */
  const mend = (order: LiveOrder, records: readonly [LogRecord, ...LogRecord[]]): unknown => {
    const error = broken.get(order.order_id)
    if (error === undefined) return undefined
    broken.delete(order.order_id)
    // The events it takes again have had their effects.
    isSilent = true
    cache.repair(order, records)
    isSilent = false
    options.repaired(order.order_id, error, records[0])
    return error
  }

  const send = (): void => {
    for (const [order, records] of touched) {
      sendTopped(order)
      const error = mend(order, records)
      if (error !== undefined) for (const record of records) refuse(record, error)
    }
    touched.clear()
  }

  return {
    cache,
    apply(records) {
      // A batch whose handler failed after this comes again.
      const fresh = records.filter(({ topic, partition, offset }) => offset >= applied.position(topic, partition))
      const isOrder = ({ topic }: LogRecord): boolean => topic === topics.orders
      const inTurn = [...fresh.filter(isOrder), ...fresh.filter((record) => !isOrder(record))]
      let taken = 0
      for (const record of inTurn) {
        // One at least, so that a limit below the size of an order stops nothing.
        if (cache.isFull && taken > 0) break
        attempt(record, () => (isOrder(record) ? applyOrder(record) : applyTopped(record, false)))
        taken++
      }
      send()
      for (const { topic, partition, offset } of inTurn.slice(0, taken)) applied.pass(topic, partition, offset)
      return inTurn.slice(taken)
    },
    holdAgain(records) {
      for (const record of records) attempt(record, () => applyTopped(record, false))
      send()
    },
    async settleHeld(readEnds) {
      if (held.hasFresh) held.wait(await readEnds())
      for (const record of held.release((ends) => applied.hasReached(ends)))
        attempt(record, () => applyTopped(record, true))
      send()
    },
  }
}

function coordinatesOf({ topic, partition, offset }: LogRecord): { topic: string; partition: number; offset: number } {
  return { topic, partition, offset }
}
