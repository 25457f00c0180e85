/**
 * Dead letter order: the order a dead letter is about, as it was when the record was refused and as it is, and which events its
 * machine would take next.
 */
import { createActor } from 'xstate'
import type { EventLog } from '../log/event-log.ts'
import { createOrderMachine } from '../machines/order.machine.ts'
import type { Recipe } from '../menu.ts'
import type { DeadLetter } from './dead-letters.ts'
import { entriesAfter } from './live-order.ts'
import { toMachineEvent, toSnapshot, type JournalEntry } from './order-envelope.ts'
import type { OrderStore } from './order-store.ts'
import type { OrderTrial } from './order-trial.ts'
import { toOrderView } from './order-view.ts'
import type { PizzaInProgress } from './orders.ts'

/** An order at one moment. `new`: nobody had placed it. */
export interface OrderMoment {
  readonly state: 'new' | 'preparing' | 'ready'
  readonly count: number
  readonly pizzas_ready: number
  readonly in_progress: readonly PizzaInProgress[]
}

/** An event the order's machine would take. */
export type OpenEvent =
  | { readonly event: 'order.placed' }
  | { readonly event: 'pizza.topped'; readonly pizza_id: number; readonly toppings: readonly string[] }

export interface LetterOrder {
  readonly id: string
  /** When the record was refused; `null` when that cannot be told (`is_complete`). */
  readonly was: OrderMoment | null
  readonly now: OrderMoment
  /** Which events it would take now. */
  readonly takes: readonly OpenEvent[]
  /** Whether all that the order took is on this machine or on the log. */
  readonly is_complete: boolean
}

const unplaced: OrderMoment = { state: 'new', count: 0, pizzas_ready: 0, in_progress: [] }

export interface LetterOrderOptions {
  readonly log: EventLog
  readonly recipe: Recipe
  readonly trial: OrderTrial
  readonly store?: Pick<OrderStore, 'journal'>
}

/** Describes the order. Call it before anything is tried on the trial. */
export async function describeOrder(
  { log, recipe, trial, store }: LetterOrderOptions,
  orderId: string,
  letter: DeadLetter,
): Promise<LetterOrder> {
  const live = trial.find(orderId)
  const now = live === undefined ? unplaced : toMoment(live.actor, live.version)
  const stored = store?.journal(orderId).flatMap((chunk) => chunk.entries) ?? []
  const entries = [...stored, ...(live === undefined ? [] : entriesAfter(live, stored.length))]
  const is_complete = trial.isComplete(orderId)
  const was = is_complete ? foldUpTo(recipe, orderId, await entriesBefore(log, entries, letter)) : null
  return { id: orderId, was, now, takes: toOpenEvents(recipe, now), is_complete }
}

/** The events an order at this moment would change by. */
function toOpenEvents(recipe: Recipe, { state, in_progress }: OrderMoment): OpenEvent[] {
  if (state === 'new') return [{ event: 'order.placed' }]
  return in_progress.map(({ pizza_id, toppings: had }) => {
    const toppings = recipe.map(({ topping }) => topping).filter((topping) => had[topping] === undefined)
    return { event: 'pizza.topped', pizza_id, toppings }
  })
}

/**
 * The entries the order took before the record was refused: on the same partition of a topic the offset decides, elsewhere the time
 * at which the record came to the log. An order may say that it was placed long before it came there.
 */
async function entriesBefore(log: EventLog, entries: readonly JournalEntry[], { source, atMs }: DeadLetter) {
  const before: JournalEntry[] = []
  for (const entry of entries) {
    const isBeside = entry.topic === source?.topic && entry.partition === source.partition
    if (isBeside ? entry.offset < source.offset : (await appendedAt(log, entry)) <= atMs) before.push(entry)
  }
  return before
}

async function appendedAt(log: EventLog, { topic, partition, offset, at, pizza }: JournalEntry): Promise<number> {
  if (pizza !== null) return at
  for await (const [record] of log.read({ topic, partition }, { from: offset, to: offset + 1 })) {
    if (record?.offset === offset) return record.timestampMs
  }
  return at
}

function foldUpTo(recipe: Recipe, orderId: string, entries: readonly JournalEntry[]): OrderMoment {
  const actor = createActor(createOrderMachine(recipe), { input: { order_id: orderId } })
  actor.start()
  for (const entry of entries) actor.send(toMachineEvent(entry))
  return toMoment(actor, entries.length)
}

function toMoment(actor: Parameters<typeof toSnapshot>[0], version: number): OrderMoment {
  if (version === 0) return unplaced
  const { status, count, pizzas, in_progress } = toOrderView(toSnapshot(actor), version)
  return { state: status, count, pizzas_ready: pizzas.length, in_progress }
}
