/**
 * Witness. Remembers what customers were told: every order answered with 201 and everything a GET showed. Says at once when two
 * answers contradict each other or an answer contradicts itself. Does no I/O.
 *
 * W1 (P1): an accepted order is never unknown, and its count never differs.
 * W2 (P2): a finished pizza is the same in every answer.
 * W3 (P3): a topping once shown stays, and a pizza's state never goes back. Answers that were under way at the same time may come
 *          in any order, so an answer is compared with what was known when it was asked for.
 */
import { recipe } from '../../src/menu.ts'

/** The answer of `GET /order/{id}`. */
export interface OrderJson {
  readonly id: string
  readonly count: number
  readonly status: string
  readonly pizzas: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly in_progress: ReadonlyArray<{
    readonly pizza_id: number
    readonly state: string
    readonly toppings: Readonly<Record<string, string>>
  }>
}

export interface Witness {
  /** Notes a 201. */
  accept(orderId: string, count: number): void
  /** Call it when a GET is sent, and what it returns when the answer is there (`undefined` for 404). */
  look(orderId: string): (order: OrderJson | undefined) => void
  /** Accepted orders and their counts. */
  readonly accepted: ReadonlyMap<string, number>
  /** How many answers of GET were compared. */
  readonly looks: number
  readonly violations: readonly string[]
  /** Notes what another checker found. */
  blame(violation: string): void
}

interface Seen {
  /** How many toppings along the recipe the state is past; `recipe.length` for a finished pizza. */
  readonly rank: number
  readonly toppings: Readonly<Record<string, string>>
  /** The finished pizza as it was shown. */
  readonly text?: string
}

type SeenPizzas = ReadonlyMap<number, Seen>

const toppingNames = recipe.map(({ topping }) => topping)

/** Creates a witness that knows nothing. */
export function createWitness(): Witness {
  const accepted = new Map<string, number>()
  const seenByOrder = new Map<string, SeenPizzas>()
  const violations = new Set<string>()
  let looks = 0
  const blame = (violation: string): void => void violations.add(violation)

  const see = (orderId: string, before: SeenPizzas, order: OrderJson): void => {
    const fresh = readPizzas(order, blame)
    const merged = new Map(seenByOrder.get(orderId))
    for (const [pizzaId, seen] of fresh) {
      const name = `order ${orderId} pizza ${pizzaId}`
      const known = merged.get(pizzaId)
      if (known !== undefined) compare(name, known, seen, blame)
      const floor = before.get(pizzaId)
      if (floor !== undefined && seen.rank < floor.rank) {
        const promise = floor.text === undefined ? 'P3' : 'P2 P3'
        blame(`${promise}: ${name} was ${stateName(floor.rank)}, and a later GET says ${stateName(seen.rank)}`)
      }
      if (known === undefined || seen.rank >= known.rank) merged.set(pizzaId, seen)
    }
    seenByOrder.set(orderId, merged)
  }

  return {
    accept(orderId, count) {
      const known = accepted.get(orderId)
      if (known !== undefined && known !== count)
        blame(`P1: order ${orderId} was accepted for ${known} and for ${count}`)
      accepted.set(orderId, count)
    },
    look(orderId) {
      const before: SeenPizzas = seenByOrder.get(orderId) ?? new Map<number, Seen>()
      const wasKnown = accepted.has(orderId)
      return (order) => {
        looks++
        if (order === undefined) {
          if (wasKnown) blame(`P1: order ${orderId} was accepted, and GET does not know it`)
          return
        }
        const count = accepted.get(orderId)
        if (count !== undefined && order.count !== count) {
          blame(`P1: order ${orderId} was accepted for ${count} pizzas, and GET says ${order.count}`)
        }
        see(orderId, before, order)
      }
    },
    accepted,
    get looks() {
      return looks
    },
    get violations() {
      return [...violations]
    },
    blame,
  }
}

/** Reads an answer, and checks that it agrees with itself. */
function readPizzas(order: OrderJson, blame: (violation: string) => void): Map<number, Seen> {
  const { id, count, status, pizzas, in_progress } = order
  const seen = new Map<number, Seen>()
  const add = (pizzaId: number, pizza: Seen): void => {
    if (seen.has(pizzaId)) blame(`P1: order ${id} shows pizza ${pizzaId} twice`)
    if (!(pizzaId >= 1 && pizzaId <= count)) blame(`P1: order ${id} of ${count} shows a pizza ${pizzaId}`)
    seen.set(pizzaId, pizza)
  }
  for (const pizza of pizzas) {
    const { order_id, pizza_id, ...toppings } = pizza
    if (order_id !== id) blame(`P1: order ${id} shows a pizza of order ${String(order_id)}`)
    const rank = toppingNames.length
    add(Number(pizza_id), { rank, toppings: toppings as Record<string, string>, text: JSON.stringify(pizza) })
  }
  for (const { pizza_id, state, toppings } of in_progress) {
    const missing = toppingNames.find((topping) => toppings[topping] === undefined)
    if (state !== missing) blame(`P3: order ${id} pizza ${pizza_id} is in ${state} and misses ${missing ?? 'nothing'}`)
    add(pizza_id, { rank: toppingNames.indexOf(state), toppings })
  }
  if (seen.size !== count) blame(`P1: order ${id} of ${count} shows ${seen.size} pizzas`)
  if ((status === 'ready') !== (pizzas.length === count)) {
    blame(`P1: order ${id} is ${status} with ${pizzas.length} of ${count} pizzas finished`)
  }
  return seen
}

/** Two answers about one pizza, in whichever order they came: what both show must be the same. */
function compare(name: string, one: Seen, other: Seen, blame: (violation: string) => void): void {
  if (one.text !== undefined && other.text !== undefined && one.text !== other.text) {
    blame(`P2: ${name} was finished as ${one.text} and as ${other.text}`)
  }
  for (const topping of toppingNames) {
    const [a, b] = [one.toppings[topping], other.toppings[topping]]
    if (a !== undefined && b !== undefined && a !== b) blame(`P3: ${name} was shown with ${topping} ${a} and with ${b}`)
  }
}

function stateName(rank: number): string {
  return toppingNames[rank] ?? 'finished'
}
