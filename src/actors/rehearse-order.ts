/**
 * Rehearsal of one order under a candidate: other machines than those that wrote its snapshot. Decides what becomes of the order.
 *
 * T1: the order is tried in both ways in which a program meets it: its snapshot is restored, and its journal is replayed from nothing.
 *     Either must then take the toppings it still misses, all of a pizza at once or one by one, and become ready.
 * T2: what an order has shown is taken from its journal, which no machine wrote; where that is not whole, from its snapshot.
 */
import type { OrderMachineEvent } from '../machines/order.machine.ts'
import { parseEnvelope, toMachineEvent, type JournalEntry } from './order-envelope.ts'
import type { StoredOrder } from './order-store.ts'
import type { OrderView } from './orders.ts'
import { startWalk, type Candidate, type Walk } from './rehearse-walk.ts'
import { findDifferences, type AnySnapshot, type SnapshotDifference } from './snapshot-difference.ts'

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

/** What keeps an order from being rebuilt from its journal, as it would be where `rehearseOrder` says `rebuild`; empty when nothing does. */
export function findObstacles(candidate: Candidate, stored: StoredOrder, journal: readonly JournalEntry[]): Finding[] {
  const { replayed } = rehearseOrder(candidate, stored, journal)
  return replayed.filter(({ kind }) => kind === 'no-journal' || losses.has(kind))
}

/** Tries a stored order and its whole journal under a candidate. Never throws for what the candidate does. */
export function rehearseOrder(candidate: Candidate, stored: StoredOrder, journal: readonly JournalEntry[]): Rehearsal {
  const before = attempt(() => (JSON.parse(stored.envelope) as { snapshot: AnySnapshot }).snapshot).value ?? {}
  const isWhole = journal.length === stored.version
  const shown = isWhole ? shownByJournal(journal) : (attempt(() => shownBySnapshot(before)).value ?? new Map())
  const finished = attempt(() => finishedIn(before)).value ?? new Set()
  const order: Order = { candidate, stored, shown, finished }
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
    const walk = startWalk(candidate, stored, snapshot)
    return { ...walk, snapshot: walk.persist() }
  })
  if (walk === undefined) return { findings: [finding('unreadable', `its snapshot cannot be read: ${error}`)] }
  const findings = [...findDifferences(before, walk.snapshot), ...finish(order, walk, 'restored')]
  return { findings, snapshot: walk.snapshot }
}

function replay(order: Order, journal: readonly JournalEntry[], before: AnySnapshot): Finding[] {
  const { candidate, stored } = order
  const findings = new Map<string, Finding>()
  const { error } = attempt(() => {
    const walk = startWalk(candidate, stored)
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
    finish(order, walk, 'replayed').forEach(put)
  })
  if (error !== undefined) findings.set(error, finding('threw', `the machine throws: ${error}`))
  return [...findings.values()]
}

/** Sends what the order still misses, and looks at what it shows before and after. */
function finish(order: Order, walk: Walk, way: 'restored' | 'replayed'): Finding[] {
  const wasReady = way === 'restored' && order.stored.status === 'ready'
  const findings = new Map<string, Finding>()
  const put = (found: Finding) => void findings.set(found.text, found)
  const { error } = attempt(() => {
    const view = showAgain(order, walk, put)
    if (view === undefined) return
    const missing = missingEvents(order, way)
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

/** What a host may send for the toppings that are missing: those of a pizza at once, as from one batch, or one after the other. */
function missingEvents({ candidate, stored, shown }: Order, way: 'restored' | 'replayed'): OrderMachineEvent[] {
  const at = Math.max(stored.placedAt, stored.readyAt) + 1
  const events: OrderMachineEvent[] = []
  for (let pizza_id = 1; pizza_id <= stored.count; pizza_id++) {
    const names = candidate.recipe.map(({ topping }) => topping)
    const missing = names
      .filter((name) => shown.get(pizza_id)?.[name] === undefined)
      .map((name) => [name, `some ${name}`])
    const batches = way === 'restored' && missing.length > 0 ? [missing] : missing.map((one) => [one])
    for (const batch of batches) {
      events.push({ type: 'pizza.topped', pizza_id, toppings: Object.fromEntries(batch) as Toppings, at })
    }
  }
  return events
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
