/** Moment: the order as it was after one of its events, folded from its history. Pure. */
import type { HistoryEntry } from '../../actors/orders.ts'

export interface OrderMoment {
  /** How many of the order's events have happened. */
  readonly version: number
  readonly orderState: string
  /** By pizza, pizza 1 first. Empty before the order was placed. */
  readonly pizzaStates: readonly string[]
}

/** Folds the first `version` events. A pizza without an event is in the first state of its machine. */
export function toMoment(
  history: readonly HistoryEntry[],
  { version, count, firstState }: { version: number; count: number; firstState: string },
): OrderMoment {
  const pizzaStates = Array.from({ length: version > 0 ? count : 0 }, () => firstState)
  for (const { pizza_id, pizza_state } of history.slice(0, version)) {
    if (pizza_id !== null && pizza_state !== null) pizzaStates[pizza_id - 1] = pizza_state
  }
  return { version, orderState: history[version - 1]?.order_state ?? 'new', pizzaStates }
}

export interface Change {
  readonly path: string
  readonly before: string | undefined
  readonly after: string | undefined
}

/** What differs between two values, leaf by leaf. */
export function findChanges(before: unknown, after: unknown): Change[] {
  const [old, fresh] = [toLeaves(before), toLeaves(after)]
  return [...new Set([...old.keys(), ...fresh.keys()])]
    .filter((path) => old.get(path) !== fresh.get(path))
    .map((path) => ({ path, before: old.get(path), after: fresh.get(path) }))
}

function toLeaves(value: unknown, path = ''): Map<string, string> {
  if (typeof value !== 'object' || value === null) return new Map(path === '' ? [] : [[path, JSON.stringify(value)]])
  const inner = Object.entries(value).flatMap(([key, part]) => [
    ...toLeaves(part, path === '' ? key : `${path}.${key}`),
  ])
  return new Map(inner)
}
