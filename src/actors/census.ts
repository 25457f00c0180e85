/**
 * Census: in which state the pizzas of all open orders are, and how long pizzas stay in each. Counted along the journal while
 * somebody looks; nothing is counted, and no event costs more, while nobody does.
 *
 * N1: an order is counted from a stored copy or from its placing, then along the journal; an event that is told twice changes nothing.
 * N2: memory is bounded: above `pizzasMax` open pizzas further orders are left out, and the answer says so.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Recipe } from '../menu.ts'
import { parseEnvelope, type JournalEntry, type OrderSnapshot } from './order-envelope.ts'
import type { OrderCheckpointer } from './order-checkpoints.ts'
import type { JournalChunk, OrderStore, StoredOrder } from './order-store.ts'

export interface StateCount {
  readonly state: string
  /** Pizzas of open orders that are in it. */
  readonly pizzas: number
  /** How long pizzas were in it before they left, in milliseconds; `null` before the first left. */
  readonly p50_ms: number | null
  readonly p99_ms: number | null
}

export interface CensusView {
  readonly open_orders: number
  /** In the order of the recipe, then `ready`: pizzas that wait for the rest of their order. */
  readonly states: readonly StateCount[]
  /** False while stored orders are still being counted, or when there are too many. */
  readonly is_complete: boolean
}

export interface Census {
  start(): void
  /** Stops counting and forgets everything. */
  stop(): void
  view(): CensusView
}

export interface CensusOptions {
  readonly store: OrderStore
  readonly checkpointer: OrderCheckpointer
  readonly recipe: Recipe
  /** Partition numbers whose orders are counted; another list each time that they change (default: all, for ever). */
  readonly owned?: () => readonly number[]
  readonly pizzasMax?: number
}

interface OpenOrder {
  /** By pizza: a bit for each topping it has. */
  readonly taken: Uint32Array
  /** By pizza: when it came into its state, as far as the log says. */
  readonly since: Float64Array
}

const pageOrders = 200
const recentChunks = 500
const samplesMax = 4_096

/** Creates a census that counts nothing until `start`. */
export function createCensus({ owned = () => every, ...options }: CensusOptions): Census {
  let counting: ReturnType<typeof createCounting> | undefined
  let countedOf: readonly number[] | undefined
  const start = (): void => {
    if (counting !== undefined && countedOf === owned()) return
    counting?.stop()
    countedOf = owned()
    counting = createCounting(options, countedOf === every ? undefined : countedOf)
  }
  return {
    start,
    stop() {
      counting?.stop()
      counting = undefined
    },
    view() {
      if (counting === undefined) return { open_orders: 0, states: [], is_complete: false }
      // Orders came from another host, or went to one, and no journal told of it.
      start()
      return counting.view()
    },
  }
}

/** Stands for all partitions. */
const every: readonly number[] = []

function createCounting(
  { store, checkpointer, recipe, pizzasMax = 500_000 }: CensusOptions,
  partitions: readonly number[] | undefined,
) {
  const names = recipe.map(({ topping }) => topping)
  const preparing = { status: 'preparing', limit: pageOrders, ...(partitions && { partitions }) } as const
  const open = new Map<string, OpenOrder>()
  const counts = Array.from({ length: names.length + 1 }, () => 0)
  const stays = names.map(createSamples)
  let pizzas = 0
  /** Orders whose snapshots cannot be read. */
  let unread = 0
  let isComplete = false
  let isStopped = false

  const stateOf = (taken: number): number => {
    let state = 0
    while (state < names.length && (taken & (1 << state)) !== 0) state++
    return state
  }

  const add = (orderId: string, count: number): OpenOrder | undefined => {
    if (pizzas + count > pizzasMax) {
      isComplete = false
      return undefined
    }
    const order = { taken: new Uint32Array(count), since: new Float64Array(count) }
    open.set(orderId, order)
    pizzas += count
    return order
  }

  const load = ({ order_id, count, placedAt, envelope }: StoredOrder): void => {
    if (open.has(order_id)) return
    const children = readPizzas(envelope, order_id)
    if (children === undefined) return void unread++
    const order = add(order_id, count)
    if (order === undefined) return
    for (const { snapshot } of Object.values(children)) {
      const { pizza_id, toppings, toppedAt } = snapshot.context
      names.forEach((name, bit) => {
        if (toppings[name] !== undefined) order.taken[pizza_id - 1]! |= 1 << bit
      })
      order.since[pizza_id - 1] = toppedAt || placedAt
      counts[stateOf(order.taken[pizza_id - 1]!)]!++
    }
  }

  const take = (order: OpenOrder, { pizza, at }: JournalEntry): void => {
    if (pizza === null) return
    const index = pizza.pizza_id - 1
    const from = stateOf(order.taken[index]!)
    order.taken[index]! |= 1 << names.indexOf(pizza.topping)
    const to = stateOf(order.taken[index]!)
    if (from === to) return
    // A topping that came early lets its state pass in no time.
    for (let state = from; state < to; state++) stays[state]!.add(state === from ? at - order.since[index]! : 0)
    order.since[index] = at
    counts[from]!--
    counts[to]!++
  }

  const follow = ({ order_id, entries, status }: JournalChunk): void => {
    const first = entries[0]
    let order = open.get(order_id)
    if (order === undefined && first?.pizza === null) {
      order = add(order_id, first.count ?? 0)
      order?.since.fill(first.at)
      if (order) counts[0]! += order.taken.length
    }
    if (order === undefined) return
    for (const entry of entries) take(order, entry)
    if (status !== 'ready') return
    open.delete(order_id)
    pizzas -= order.taken.length
    for (const taken of order.taken) counts[stateOf(taken)]!--
  }

  const loadAll = async (): Promise<void> => {
    let page = store.list(preparing)
    while (page.length > 0) {
      for (const stored of page) load(stored)
      await nextTurn()
      if (isStopped) return
      const { placedAt, order_id: orderId } = page.at(-1)!
      page = store.list({ ...preparing, after: { placedAt, orderId } })
    }
    isComplete = pizzas < pizzasMax && unread === 0
  }

  // What happened just before somebody looked tells how long pizzas stay, without waiting for the next to move.
  for (const chunk of store.journalAfter(Math.max(0, store.lastSeq() - recentChunks), recentChunks)) follow(chunk)
  const withdraw = checkpointer.onWritten((chunks) => chunks.forEach(follow))
  // A store that is being closed answers nothing more; nobody is looking then.
  loadAll().catch(() => {})

  return {
    stop() {
      isStopped = true
      withdraw()
    },
    view: (): CensusView => ({
      open_orders: open.size,
      states: counts.map((count, state) => ({
        state: names[state] ?? 'ready',
        pizzas: count,
        ...(stays[state]?.quantiles() ?? { p50_ms: null, p99_ms: null }),
      })),
      is_complete: isComplete,
    }),
  }
}

function readPizzas(envelope: string, order_id: string): OrderSnapshot['children'] | undefined {
  try {
    return parseEnvelope(envelope, order_id).snapshot.children
  } catch {
    return undefined
  }
}

/** The newest durations, as many as are kept. */
function createSamples() {
  const ring = new Float64Array(samplesMax)
  let added = 0
  return {
    add(ms: number): void {
      ring[added++ % samplesMax] = Math.max(0, ms)
    },
    quantiles(): { p50_ms: number | null; p99_ms: number | null } {
      if (added === 0) return { p50_ms: null, p99_ms: null }
      const sorted = ring.slice(0, Math.min(added, samplesMax)).sort()
      const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
      return { p50_ms: at(0.5), p99_ms: at(0.99) }
    },
  }
}
