/**
 * Fold: what the orders must be, computed from the log alone and without the order host. Shared by nothing that runs the shop,
 * so that it can judge it; it uses the machines themselves for the last step.
 *
 * G1: of each pizza and topping the first record of the topping's topic counts; a record without pizza id tops the first pizza
 *     that misses the topping at that point.
 * G2: the same topping, or the same order placed otherwise, in two partitions (a foreign program with other keys) has no order in the
 *     log: such an order is ambiguous and only its shape can be judged.
 */
import { createActor } from 'xstate'
import type { LogRecord } from '../log/event-log.ts'
import type { Recipe } from '../menu.ts'
import { parseOrder, parseTopped } from '../records.ts'
import type { OrderMachine } from './live-order.ts'
import { toSnapshot, type OrderSnapshot } from './order-envelope.ts'

interface FoldedTopping {
  readonly choice: string
  readonly at: number
  readonly partition: number
}

interface FoldedOrder {
  readonly partition: number
  readonly count: number
  readonly placedAt: number
  /** By topping (place in the recipe), then by pizza (pizza_id - 1). */
  readonly toppings: (FoldedTopping | undefined)[][]
  isAmbiguous: boolean
}

export interface Fold {
  /** Takes a record of topic `orders`. Call for all of them before the first `top`. */
  place(record: LogRecord): void
  /** Takes a record of a topping's topic. */
  top(record: LogRecord, topping: string): void
  readonly orderIds: Iterable<string>
  has(orderId: string): boolean
  isAmbiguous(orderId: string): boolean
  /** The snapshot the order must have. */
  snapshot(orderId: string): OrderSnapshot
}

/** Creates a fold over the orders that `isMine` picks, so that a large log can be folded in parts. Unreadable records are passed over. */
export function createFold(recipe: Recipe, machine: OrderMachine, isMine: (orderId: string) => boolean): Fold {
  const orders = new Map<string, FoldedOrder>()
  const places = new Map(recipe.map(({ topping }, index) => [topping, index]))

  const top = (record: LogRecord, topping: string): void => {
    const topped = attempt(() => parseTopped(record.value, topping))
    const order = topped && orders.get(topped.order_id)
    if (topped === undefined || order === undefined) return
    const slots = order.toppings[places.get(topping)!]!
    const index = topped.pizza_id === undefined ? firstGap(slots, order.count) : topped.pizza_id - 1
    const { partition, timestampMs: at } = record
    // Had it come before those of the other partition, it would have topped another pizza.
    if (topped.pizza_id === undefined && slots.some((slot) => slot !== undefined && slot.partition !== partition))
      order.isAmbiguous = true
    if (index >= order.count) return
    const { choice } = topped
    const found = slots[index]
    if (found === undefined) slots[index] = { choice, at, partition }
    else if (found.partition !== partition) order.isAmbiguous = true
  }

  return {
    place(record) {
      const order = attempt(() => parseOrder(record.value))
      if (order === undefined || !isMine(order.order_id)) return
      const { partition } = record
      const { order_id, count, placed_at } = order
      const placedAt = placed_at === undefined ? record.timestampMs : Date.parse(placed_at)
      const found = orders.get(order_id)
      if (found === undefined)
        orders.set(order_id, { partition, count, placedAt, toppings: recipe.map(() => []), isAmbiguous: false })
      else if (found.partition !== partition && (found.count !== count || found.placedAt !== placedAt))
        found.isAmbiguous = true
    },
    top,
    orderIds: orders.keys(),
    has: (orderId) => orders.has(orderId),
    isAmbiguous: (orderId) => orders.get(orderId)?.isAmbiguous ?? false,
    snapshot: (orderId) => toFoldedSnapshot(recipe, machine, orderId, orders.get(orderId)!),
  }
}

function toFoldedSnapshot(recipe: Recipe, machine: OrderMachine, orderId: string, order: FoldedOrder): OrderSnapshot {
  const actor = createActor(machine, { input: { order_id: orderId } })
  actor.start()
  actor.send({ type: 'order.placed', count: order.count, at: order.placedAt })
  for (let index = 0; index < order.count; index++) {
    const toppings: Record<string, string> = {}
    let at = 0
    recipe.forEach(({ topping }, place) => {
      const found = order.toppings[place]![index]
      if (found === undefined) return
      toppings[topping] = found.choice
      at = Math.max(at, found.at)
    })
    if (at > 0) actor.send({ type: 'pizza.topped', pizza_id: index + 1, toppings, at })
  }
  return toSnapshot(actor)
}

function firstGap(slots: readonly unknown[], count: number): number {
  for (let index = 0; index < count; index++) if (slots[index] === undefined) return index
  return count
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch {
    return undefined
  }
}
