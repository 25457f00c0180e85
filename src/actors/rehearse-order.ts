/**
 * Rehearsal of one order under a candidate: other machines than those that wrote its snapshot. Decides what becomes of the order.
 *
 * T1: the order is tried in both ways in which a program meets it: its snapshot is restored, and its journal is replayed from nothing.
 *     Either must then take the toppings it still misses and become ready.
 * T2: what an order has shown is taken from its journal, which no machine wrote; where that is not whole, from its snapshot.
 * T3: a candidate gets copies, and what it emits goes nowhere: nothing it does reaches the shop.
 */
import { createActor, type AnyActorRef, type InspectionEvent } from 'xstate'
import type { MachineVersions } from '../machines/migrations.ts'
import { pizzaKey as ourPizzaKey, type OrderMachineEvent } from '../machines/order.machine.ts'
import type { Recipe } from '../menu.ts'
import type { OrderActor, OrderMachine } from './live-order.ts'
import {
  parseEnvelope,
  toMachineEvent,
  toXStateSnapshot,
  type JournalEntry,
  type OrderSnapshot,
} from './order-envelope.ts'
import type { StoredOrder } from './order-store.ts'
import { toOrderView } from './order-view.ts'
import type { OrderView } from './orders.ts'
import { findDifferences, toPlain, type AnySnapshot, type SnapshotDifference } from './snapshot-difference.ts'

/** The machines to try, with what belongs to them. */
export interface Candidate extends MachineVersions {
  readonly machine: OrderMachine
  readonly recipe: Recipe
  /** The name under which its orders spawn a pizza. */
  readonly pizzaKey: (pizza_id: number) => string
}

/**
 * `same`: nothing differs. `changed`: something does, and the order becomes ready with all it has shown. `rebuild`: so it does, but
 * only from its journal. `lost`: it does not.
 */
export type Fate = 'same' | 'changed' | 'rebuild' | 'lost'

export type FindingKind =
  | SnapshotDifference['kind']
  | 'refused-event'
  | 'threw'
  | 'unreadable'
  | 'stuck'
  | 'takes-back'
  | 'silent'
  | 'no-journal'

export interface Finding {
  readonly kind: FindingKind
  readonly text: string
}

export interface Rehearsal {
  readonly fate: Fate
  /** What is different from the stored snapshot once it has been restored, and on the way to ready. */
  readonly restored: readonly Finding[]
  /** What is different from the restored one once the journal has been replayed, and on the way to ready. */
  readonly replayed: readonly Finding[]
}

const losses: ReadonlySet<FindingKind> = new Set(['threw', 'stuck', 'takes-back'])

/** Tries a stored order and its whole journal under a candidate. Never throws for what the candidate does. */
export function rehearseOrder(candidate: Candidate, stored: StoredOrder, journal: readonly JournalEntry[]): Rehearsal {
  const before = attempt(() => (JSON.parse(stored.envelope) as { snapshot: AnySnapshot }).snapshot).value ?? {}
  const isWhole = journal.length === stored.version
  const shown = isWhole ? shownByJournal(journal) : shownBySnapshot(before)
  const order: Order = { candidate, stored, shown, finished: finishedIn(before) }
  const restored = restore(order, before)
  const replayed = isWhole
    ? replay(order, journal, restored.snapshot ?? before)
    : [finding('no-journal', `its journal has ${journal.length} of ${stored.version} events: it cannot be replayed`)]
  return { fate: decide(restored.findings, replayed), restored: restored.findings, replayed }
}

type Toppings = Readonly<Record<string, string>>

interface Order {
  readonly candidate: Candidate
  readonly stored: StoredOrder
  /** Toppings by pizza. */
  readonly shown: ReadonlyMap<number, Toppings>
  /** Pizzas that were shown as finished. */
  readonly finished: ReadonlySet<number>
}

function decide(restored: readonly Finding[], replayed: readonly Finding[]): Fate {
  const isLoss = ({ kind }: Finding) => losses.has(kind)
  if (restored.some(isLoss) || replayed.some(isLoss)) return 'lost'
  if (restored.some(({ kind }) => kind === 'unreadable')) {
    return replayed.some(({ kind }) => kind === 'no-journal') ? 'lost' : 'rebuild'
  }
  return restored.length + replayed.length === 0 ? 'same' : 'changed'
}

function restore(order: Order, before: AnySnapshot): { findings: Finding[]; snapshot?: AnySnapshot } {
  const { candidate, stored } = order
  const { value: walk, error } = attempt(() => {
    const { snapshot } = parseEnvelope(stored.envelope, stored.order_id, candidate)
    const walk = startWalk(order, snapshot)
    return { ...walk, snapshot: walk.persist() }
  })
  if (walk === undefined) return { findings: [finding('unreadable', `its snapshot cannot be read: ${error}`)] }
  const findings = [...findDifferences(before, walk.snapshot), ...finish(order, walk, stored.status === 'ready')]
  return { findings, snapshot: walk.snapshot }
}

function replay(order: Order, journal: readonly JournalEntry[], before: AnySnapshot): Finding[] {
  const { stored } = order
  const findings = new Map<string, Finding>()
  const { error } = attempt(() => {
    const walk = startWalk(order)
    const put = (found: Finding) => void findings.set(found.text, found)
    for (const entry of journal) {
      const event = toMachineEvent(entry)
      const state = walk.actor.getSnapshot().value
      if (!walk.send(event)) put(finding('refused-event', `${nameOf(event)} is refused in ${state}`))
    }
    const requested = walk.emitted.filter(({ type }) => type === 'pizza.requested').map(({ count }) => Number(count))
    const asked = requested.reduce((sum, count) => sum + count, 0)
    if (asked < stored.count) put(finding('stuck', `it asks for ${asked === 0 ? 'no' : 'too few'} pizzas`))
    findDifferences(before, walk.persist()).forEach(put)
    finish(order, walk, false).forEach(put)
  })
  if (error !== undefined) findings.set(error, finding('threw', `the machine throws: ${error}`))
  return [...findings.values()]
}

/** Sends what the order still misses, and looks at what it shows before and after. */
function finish(order: Order, walk: Walk, wasReady: boolean): Finding[] {
  const findings = new Map<string, Finding>()
  const put = (found: Finding) => void findings.set(found.text, found)
  const { error } = attempt(() => {
    const view = showAgain(order, walk, put)
    if (view === undefined) return
    const missing = missingEvents(order)
    for (const event of missing) walk.send(event)
    const last = missing.length === 0 ? view : showAgain(order, walk, put)
    const { value } = walk.actor.getSnapshot()
    const isFull = last?.pizzas.length === order.stored.count
    if (value !== 'ready') put(finding('stuck', `with every topping it stays ${value} and is never ready (P1)`))
    else if (!isFull) put(finding('stuck', 'it is ready with too few finished pizzas (P1)'))
    else if (!wasReady && !walk.emitted.some(({ type }) => type === 'order.ready'))
      put(finding('silent', 'it does not say that it is ready'))
  })
  if (error !== undefined) put(finding('threw', `the machine throws: ${error}`))
  return [...findings.values()]
}

/** What GET would answer, held against what it has answered: nothing of that may be gone (P2). */
function showAgain(
  { shown, finished, stored }: Order,
  walk: Walk,
  put: (found: Finding) => void,
): OrderView | undefined {
  const { value: view, error } = attempt(walk.show)
  if (view === undefined) {
    put(finding('takes-back', `it cannot be shown any more: ${error} (P2)`))
    return undefined
  }
  const done = new Map<unknown, Readonly<Record<string, unknown>>>(view.pizzas.map((pizza) => [pizza.pizza_id, pizza]))
  const open = new Map(view.in_progress.map(({ pizza_id, toppings }) => [pizza_id, toppings]))
  const gone = new Set<string>()
  for (const [pizza_id, toppings] of shown) {
    const has = done.get(pizza_id) ?? open.get(pizza_id) ?? {}
    for (const [topping, choice] of Object.entries(toppings)) if (has[topping] !== choice) gone.add(topping)
  }
  if (gone.size > 0) put(finding('takes-back', `toppings it has shown are gone: ${[...gone].join(', ')} (P2)`))
  if ([...finished].some((pizza_id) => !done.has(pizza_id)))
    put(finding('takes-back', 'pizzas it has shown as finished are not finished any more (P2)'))
  if (stored.status === 'ready' && view.status !== 'ready')
    put(finding('takes-back', 'it was shown as ready and is not any more (P2)'))
  return view
}

function missingEvents({ candidate, stored, shown }: Order): OrderMachineEvent[] {
  const at = Math.max(stored.placedAt, stored.readyAt) + 1
  const events: OrderMachineEvent[] = []
  for (let pizza_id = 1; pizza_id <= stored.count; pizza_id++) {
    for (const { topping } of candidate.recipe) {
      if (shown.get(pizza_id)?.[topping] !== undefined) continue
      events.push({ type: 'pizza.topped', pizza_id, toppings: { [topping]: `some ${topping}` }, at })
    }
  }
  return events
}

interface Walk {
  readonly actor: OrderActor
  readonly emitted: readonly { readonly type: string; readonly count?: number }[]
  /** @returns whether the event changed anything. @throws what the machine throws. */
  send(event: OrderMachineEvent): boolean
  persist(): AnySnapshot
  /** What GET would answer. */
  show(): OrderView
}

/** Timers never fire: a machine that needs one is stuck, which is what it would be after a restart. */
const noClock = { setTimeout: () => 0, clearTimeout() {} }

/** Events inside an order that one event from outside may cause, for each of its pizzas. */
const innerEventsMax = 100

/** @throws what the machine throws. */
function startWalk({ candidate, stored }: Order, snapshot?: OrderSnapshot): Walk {
  const { machine, pizzaKey } = candidate
  const { order_id, count } = stored
  const emitted: { type: string; count?: number }[] = []
  let innerEvents = 0
  // A machine that sends to a child that is not there sends to itself, and for ever.
  const inspect = ({ type }: InspectionEvent): void => {
    if (type !== '@xstate.event' && type !== '@xstate.microstep') return
    if (++innerEvents > innerEventsMax * (count + 1)) throw new Error('it never comes to rest')
  }
  const options = { input: { order_id }, logger() {}, clock: noClock, inspect }
  const actor = createActor(machine, { ...options, ...(snapshot && { snapshot: toXStateSnapshot(snapshot) }) })
  actor.on('*', (event) => void emitted.push(event))
  actor.subscribe({ error() {} })
  actor.start()
  const look = () => {
    const now = actor.getSnapshot()
    if (now.status === 'error') throw now.error
    return now
  }
  /** An error in a restored pizza stays with it. */
  const lookAtPizzas = () => {
    for (const child of Object.values(look().children)) {
      const pizza = (child as AnyActorRef).getSnapshot() as { status?: string; error?: unknown }
      if (pizza.status === 'error') throw pizza.error
    }
  }
  const childOf = (event: OrderMachineEvent): unknown => {
    if (event.type !== 'pizza.topped') return undefined
    return (look().children[pizzaKey(event.pizza_id)] as AnyActorRef | undefined)?.getSnapshot()
  }
  lookAtPizzas()
  return {
    actor,
    emitted,
    send(event) {
      const [order, pizza] = [look(), childOf(event)]
      innerEvents = 0
      actor.send(event)
      return look() !== order || childOf(event) !== pizza
    },
    persist: () => toPlain(actor.getPersistedSnapshot()),
    show() {
      const plain = actor.getPersistedSnapshot() as unknown as OrderSnapshot
      const children: Record<string, OrderSnapshot['children'][string]> = {}
      for (let pizza_id = 1; pizza_id <= count; pizza_id++) {
        const child = plain.children[pizzaKey(pizza_id)]
        if (child === undefined) throw new Error(`it has no child ${pizzaKey(pizza_id)}`)
        children[ourPizzaKey(pizza_id)] = child
      }
      return toOrderView({ ...plain, children }, 0)
    },
  }
}

function shownByJournal(journal: readonly JournalEntry[]): Map<number, Toppings> {
  const shown = new Map<number, Record<string, string>>()
  for (const { pizza } of journal) {
    if (pizza === null) continue
    const toppings = shown.get(pizza.pizza_id) ?? {}
    shown.set(pizza.pizza_id, toppings)
    toppings[pizza.topping] ??= pizza.choice
  }
  return shown
}

/** As far as the snapshot has the shape of today's. */
function shownBySnapshot(snapshot: AnySnapshot): Map<number, Toppings> {
  return new Map(
    Object.values(snapshot.children ?? {}).flatMap(({ snapshot: pizza }) => {
      const { pizza_id, toppings } = pizza?.context ?? {}
      return typeof pizza_id === 'number' && typeof toppings === 'object' ? [[pizza_id, toppings as Toppings]] : []
    }),
  )
}

function finishedIn(snapshot: AnySnapshot): Set<number> {
  const ready = Object.values(snapshot.children ?? {}).filter(({ snapshot: pizza }) => pizza?.value === 'ready')
  return new Set(ready.map(({ snapshot: pizza }) => Number(pizza?.context?.['pizza_id'])))
}

function nameOf(event: OrderMachineEvent): string {
  return event.type === 'pizza.topped' ? `${event.type} (${Object.keys(event.toppings).join()})` : event.type
}

function finding(kind: FindingKind, text: string): Finding {
  return { kind, text }
}

/** The message's first line, short enough for a report. */
function attempt<T>(work: () => T): { value: T; error?: undefined } | { value?: undefined; error: string } {
  try {
    return { value: work() }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { error: (message.split('\n')[0] || 'an error without a message').slice(0, 300) }
  }
}
