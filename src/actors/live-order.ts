/**
 * Live order: one order's actor in memory, with the events it took since the last checkpoint.
 *
 * V1: only events that change something reach the actor; a topping that the pizza has is a duplicate and is not taken.
 * V2: an event is validated against the actor before it is sent, because a machine that throws is dead for good.
 * V3: version = how many events the order took = stored journal + pending journal.
 */
import { createActor, type Actor, type AnyActorRef } from 'xstate'
import { pizzaKey, type createOrderMachine, type OrderContext } from '../machines/order.machine.ts'
import type { PizzaContext } from '../machines/pizza.machine.ts'
import { RecordError } from '../records.ts'
import { parseEnvelope, printEnvelope, toSnapshot, toXStateSnapshot, type JournalEntry } from './order-envelope.ts'
import type { DirtyOrder, StoredOrder } from './order-store.ts'
import type { OrderStatus } from './orders.ts'

export type OrderMachine = ReturnType<typeof createOrderMachine>
export type OrderActor = Actor<OrderMachine>

/** What happens outside when an order's machine emits. */
export interface OrderEffects {
  requestPizzas(orderId: string, count: number): void
  announceReady(orderId: string): void
  /** The machine threw: a defect of this program, not of the record. */
  reportError(orderId: string, error: unknown): void
}

export interface LiveOrder {
  readonly order_id: string
  readonly partition: number
  readonly actor: OrderActor
  /** How many actors it is: itself and its pizzas. Each takes 2 to 4 KB of memory. */
  readonly actors: number
  version: number
  /** Events taken since the last cut. */
  journal: JournalEntry[]
  /** Events of the last cut: in the store, or on their way into it. */
  writing: JournalEntry[]
  /** Toppings of the running batch, by pizza; sent when the batch ends. */
  topped: Map<number, { toppings: Record<string, string>; at: number }> | undefined
}

/** Creates the actor of an order nobody has placed yet; it will have `count` pizzas. */
export function createLiveOrder(
  machine: OrderMachine,
  about: { order_id: string; partition: number; count: number },
  effects: OrderEffects,
): LiveOrder {
  const actor = createActor(machine, { input: { order_id: about.order_id } })
  return startLiveOrder(actor, { ...about, version: 0 }, effects)
}

/** Brings a stored order back into memory. @throws Error when its snapshot cannot be read. */
export function hydrateLiveOrder(machine: OrderMachine, stored: StoredOrder, effects: OrderEffects): LiveOrder {
  const { snapshot } = parseEnvelope(stored.envelope, stored.order_id)
  const actor = createActor(machine, { snapshot: toXStateSnapshot(snapshot), input: { order_id: stored.order_id } })
  assertRestored(actor)
  return startLiveOrder(actor, stored, effects)
}

/** XState says nothing of a child that it cannot restore, and keeps an error to itself. */
function assertRestored(actor: OrderActor): void {
  const { status, error, children, context } = actor.getSnapshot()
  if (status === 'error') throw error
  for (let pizza_id = 1; pizza_id <= context.count; pizza_id++) {
    const pizza = (children[pizzaKey(pizza_id)] as AnyActorRef | undefined)?.getSnapshot() as Restored | undefined
    if (pizza === undefined) throw new Error(`Cannot restore order ${context.order_id}: pizza ${pizza_id} is gone`)
    if (pizza.status === 'error') throw pizza.error
  }
}

interface Restored {
  readonly status: string
  readonly error?: unknown
}

function startLiveOrder(
  actor: OrderActor,
  { order_id, partition, version, count }: Pick<StoredOrder, 'order_id' | 'partition' | 'version' | 'count'>,
  effects: OrderEffects,
): LiveOrder {
  actor.on('pizza.requested', ({ count }) => effects.requestPizzas(order_id, count))
  actor.on('order.ready', () => effects.announceReady(order_id))
  actor.subscribe({ error: (error) => effects.reportError(order_id, error) })
  actor.start()
  return { order_id, partition, actor, actors: 1 + count, version, journal: [], writing: [], topped: undefined }
}

/** The order's status in the words of the HTTP API. */
export function statusOf(actor: OrderActor): OrderStatus {
  return actor.getSnapshot().value === 'ready' ? 'ready' : 'preparing'
}

function contextOf(actor: OrderActor): OrderContext {
  return actor.getSnapshot().context
}

/** Takes the order's first event. A second `order.placed` is a duplicate. @returns whether the order took it. */
export function takePlaced(order: LiveOrder, entry: JournalEntry): boolean {
  if (order.actor.getSnapshot().value !== 'new') return false
  order.actor.send({ type: 'order.placed', count: entry.count ?? 0, at: entry.at })
  record(order, entry)
  return true
}

/**
 * Takes one topping; it reaches the actor with `sendTopped`, together with the other toppings of the batch.
 * Without a pizza id the topping goes to the first pizza that misses it.
 * @returns whether the order took it; false for a duplicate.
 * @throws RecordError `unknown-pizza` when the order has no such pizza.
 */
export function takeTopped(
  order: LiveOrder,
  topped: { pizza_id: number | undefined; choice: string },
  topping: string,
  at: Omit<JournalEntry, 'pizza' | 'count'>,
): boolean {
  const pizza_id = topped.pizza_id ?? firstPizzaMissing(order, topping)
  if (pizza_id === undefined) return false
  const { count } = contextOf(order.actor)
  if (pizza_id > count) {
    throw new RecordError('unknown-pizza', `Order ${order.order_id} has pizzas 1 to ${count}, not ${pizza_id}`)
  }
  if (hasTopping(order, pizza_id, topping)) return false
  order.topped ??= new Map()
  const pending = order.topped.get(pizza_id) ?? { toppings: {}, at: 0 }
  pending.toppings[topping] = topped.choice
  pending.at = Math.max(pending.at, at.at)
  order.topped.set(pizza_id, pending)
  record(order, { ...at, pizza: { pizza_id, topping, choice: topped.choice }, count: null })
  return true
}

/** Sends the toppings of the batch to the actor: one event a pizza. */
export function sendTopped(order: LiveOrder): void {
  const { topped } = order
  if (topped === undefined) return
  order.topped = undefined
  for (const [pizza_id, { toppings, at }] of topped) order.actor.send({ type: 'pizza.topped', pizza_id, toppings, at })
}

function record(order: LiveOrder, entry: JournalEntry): void {
  order.journal.push(entry)
  order.version++
}

function hasTopping(order: LiveOrder, pizza_id: number, topping: string): boolean {
  if (order.topped?.get(pizza_id)?.toppings[topping] !== undefined) return true
  return toppingsOf(order, pizza_id)[topping] !== undefined
}

function firstPizzaMissing(order: LiveOrder, topping: string): number | undefined {
  const { count } = contextOf(order.actor)
  for (let pizza_id = 1; pizza_id <= count; pizza_id++) if (!hasTopping(order, pizza_id, topping)) return pizza_id
  return undefined
}

function toppingsOf(order: LiveOrder, pizza_id: number): Readonly<Record<string, string>> {
  const pizza = order.actor.getSnapshot().children[pizzaKey(pizza_id)] as AnyActorRef
  return (pizza.getSnapshot() as { context: PizzaContext }).context.toppings
}

/** The events the order took after its first `storedVersion` ones, as far as they are in memory. */
export function entriesAfter(order: LiveOrder, storedVersion: number): JournalEntry[] {
  const entries = [...order.writing, ...order.journal]
  return entries.slice(Math.max(0, storedVersion - (order.version - entries.length)))
}

/** The order as the store keeps it. Printed at once, because a snapshot aliases live state. */
export function cutDirtyOrder(order: LiveOrder): DirtyOrder {
  const { actor, order_id, partition, version, journal } = order
  order.writing = journal
  order.journal = []
  const { count, placedAt, readyAt } = contextOf(actor)
  const status = statusOf(actor)
  const envelope = printEnvelope(order_id, partition, toSnapshot(actor))
  const readyAtOrZero = status === 'ready' ? readyAt : 0
  return { order_id, partition, count, status, placedAt, readyAt: readyAtOrZero, version, envelope, entries: journal }
}
