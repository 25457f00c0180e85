/** Order views: what HTTP shows of an order, from a persisted snapshot and from a journal. Pure mappings. */
import { createActor } from 'xstate'
import { pizzaKey } from '../machines/order.machine.ts'
import type { OrderActor, OrderMachine } from './live-order.ts'
import { toMachineEvent, toSnapshot, type JournalEntry, type OrderSnapshot } from './order-envelope.ts'
import type { StoredOrder } from './order-store.ts'
import type {
  HistoryEntry,
  HistoryStep,
  Moment,
  OrderSummary,
  OrderView,
  PizzaInProgress,
  PizzaView,
} from './orders.ts'

/** An instant as the API writes it: ISO 8601, UTC; `null` for 0. */
export function toInstant(at: number): string | null {
  return at === 0 ? null : new Date(at).toISOString()
}

/** Maps a snapshot to the answer of `GET /order/{id}`. */
export function toOrderView({ value, context, children }: OrderSnapshot, version: number): OrderView {
  const { order_id, count, placedAt, readyAt } = context
  const pizzas: PizzaView[] = []
  const in_progress: PizzaInProgress[] = []
  for (let pizza_id = 1; pizza_id <= count; pizza_id++) {
    const { value: state, context: pizza } = children[pizzaKey(pizza_id)]!.snapshot
    if (state === 'ready') pizzas.push({ order_id, pizza_id, ...pizza.toppings })
    else in_progress.push({ pizza_id, state, toppings: pizza.toppings })
  }
  const status = value === 'ready' ? 'ready' : 'preparing'
  const ready_at = status === 'ready' ? toInstant(readyAt) : null
  return { id: order_id, count, status, placed_at: toInstant(placedAt)!, ready_at, pizzas, in_progress, version }
}

/** Maps a stored order to a line of `GET /orders`. */
export function toOrderSummary({ order_id, count, status, placedAt, readyAt }: StoredOrder): OrderSummary {
  return { id: order_id, count, status, placed_at: toInstant(placedAt)!, ready_at: toInstant(readyAt) }
}

/** Folds a journal through the machine and gives the state after each event. */
export function toHistory(machine: OrderMachine, orderId: string, entries: readonly JournalEntry[]): HistoryEntry[] {
  const actor = createActor(machine, { input: { order_id: orderId } })
  actor.start()
  return entries.map((entry, index) => {
    actor.send(toMachineEvent(entry))
    return toHistoryEntry(entry, index + 1, toMoment(actor, entry))
  })
}

/** Folds a journal up to the event that made the order this version, and shows the moments before and after it. */
export function toStep(
  machine: OrderMachine,
  orderId: string,
  entries: readonly JournalEntry[],
  version: number,
): Omit<HistoryStep, 'record'> | undefined {
  const entry = entries[version - 1]
  if (entry === undefined) return undefined
  const actor = createActor(machine, { input: { order_id: orderId } })
  actor.start()
  for (const earlier of entries.slice(0, version - 1)) actor.send(toMachineEvent(earlier))
  const before = toMoment(actor, entry)
  actor.send(toMachineEvent(entry))
  const after = toMoment(actor, entry)
  return { event: toHistoryEntry(entry, version, after), before, after }
}

function toMoment(actor: OrderActor, { pizza }: JournalEntry): Moment {
  const { value: state, context, children } = actor.getSnapshot()
  const child = pizza === null ? undefined : children[pizzaKey(pizza.pizza_id)]?.getSnapshot()
  return { order: { state, context }, pizza: child ? { state: child.value, context: child.context } : null }
}

function toHistoryEntry(entry: JournalEntry, version: number, { order, pizza: after }: Moment): HistoryEntry {
  const { topic, partition, offset, at, pizza } = entry
  return {
    version,
    event: pizza === null ? 'order.placed' : 'pizza.topped',
    pizza_id: pizza?.pizza_id ?? null,
    topping: pizza?.topping ?? null,
    choice: pizza?.choice ?? null,
    at: toInstant(at)!,
    topic,
    partition,
    offset,
    order_state: order.state,
    pizza_state: after?.state ?? null,
  }
}

/** Folds a journal through the machine to the snapshot it ends in. */
export function foldJournal(machine: OrderMachine, orderId: string, entries: readonly JournalEntry[]): OrderSnapshot {
  const actor = createActor(machine, { input: { order_id: orderId } })
  actor.start()
  for (const entry of entries) actor.send(toMachineEvent(entry))
  return toSnapshot(actor)
}
