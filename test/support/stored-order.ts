/** Stored orders with their journals, without a host and a log. */
import { createActor } from 'xstate'
import { printEnvelope, toMachineEvent, toSnapshot, type JournalEntry } from '../../src/actors/order-envelope.ts'
import type { Candidate } from '../../src/actors/rehearse-walk.ts'
import type { DirtyOrder, OrderStore, StoredOrder } from '../../src/actors/order-store.ts'
import { machineVersion, migrations } from '../../src/machines/migrations.ts'
import { createOrderMachine, pizzaKey } from '../../src/machines/order.machine.ts'
import { recipe } from '../../src/menu.ts'

const machine = createOrderMachine(recipe)

/** This program's machines, or those with something else about them. */
export function createCandidate(changed: Partial<Candidate> = {}): Candidate {
  return { machine, recipe, pizzaKey, machineVersion, migrations, ...changed }
}

export interface StoredOrderOptions {
  readonly order_id?: string
  readonly count: number
  /** The first so many toppings of each pizza have come; default: all of them. */
  readonly toppings?: number
}

/** An order whose pizzas have their first toppings, as a checkpoint writes it. */
export function createStoredOrder(options: StoredOrderOptions): DirtyOrder {
  const { order_id = '7', count, toppings = recipe.length } = options
  const placedAt = 1_000
  const entries: JournalEntry[] = [{ topic: 'orders', partition: 0, offset: 0, at: placedAt, pizza: null, count }]
  for (const { topping } of recipe.slice(0, toppings)) {
    for (let pizza_id = 1; pizza_id <= count; pizza_id++) {
      const pizza = { pizza_id, topping, choice: `${topping} ${pizza_id}` }
      const at = { topic: `pizza-with-${topping}`, partition: 0, offset: pizza_id - 1, at: placedAt + entries.length }
      entries.push({ ...at, pizza, count: null })
    }
  }
  const actor = createActor(machine, { input: { order_id } }).start()
  for (const entry of entries) actor.send(toMachineEvent(entry))
  const { value, context } = actor.getSnapshot()
  const envelope = printEnvelope(order_id, 0, toSnapshot(actor))
  const status = value === 'ready' ? 'ready' : 'preparing'
  const readyAt = status === 'ready' ? context.readyAt : 0
  return { order_id, partition: 0, count, status, placedAt, readyAt, version: entries.length, envelope, entries }
}

/** What rehearse needs of a store. */
export function createStoreOf(orders: readonly DirtyOrder[]): Pick<OrderStore, 'all' | 'journal' | 'counts' | 'hold'> {
  return {
    *all(): Generator<StoredOrder> {
      yield* orders
    },
    journal(orderId) {
      const { order_id, entries, status } = orders.find(({ order_id }) => order_id === orderId)!
      return entries.length === 0 ? [] : [{ seq: 1, order_id, firstVersion: 1, entries, status }]
    },
    counts: () => ({
      preparing: orders.filter(({ status }) => status === 'preparing').length,
      ready: orders.filter(({ status }) => status === 'ready').length,
    }),
    hold: () => ({ release() {} }),
  }
}
