/**
 * Rehearse. Tries every stored order under other machines before they are let at the shop (P10): what would become of each is decided
 * by rehearse-order.ts; here orders of the same shape and the same findings become one group, so that a million give a short report.
 *
 * R1: it reads one cut of a read-only store, beside a running shop, and writes nothing.
 * R2: memory is bounded: an order at a time, and at most `groupsMax` groups; what comes after those is only counted.
 */
import { rehearseOrder, type Fate, type Finding, type Rehearsal } from './rehearse-order.ts'
import type { Candidate } from './rehearse-walk.ts'
import type { OrderStore, StoredOrder } from './order-store.ts'
import type { OrderStatus } from './orders.ts'

/** Orders of one status with the same findings. */
export interface Group {
  readonly fate: Fate
  readonly status: OrderStatus
  /** The version of the machines that wrote their snapshots; `null` where that cannot be read. */
  readonly machineVersion: number | null
  orders: number
  /** How many pizzas they have. */
  pizzasMin: number
  pizzasMax: number
  /** One of them. */
  readonly example: string
  /** As found in the example (rehearse-order.ts). */
  readonly restored: readonly Finding[]
  readonly replayed: readonly Finding[]
}

export interface Report {
  readonly orders: number
  /** How many orders have each fate. */
  readonly fates: Readonly<Record<Fate, number>>
  /** The worst fate first, then the largest. */
  readonly groups: readonly Group[]
  /** Orders with other findings than these groups. */
  readonly ungrouped: number
}

export interface RehearseOptions {
  /** A read-only handle. */
  readonly store: Pick<OrderStore, 'all' | 'journal' | 'counts' | 'hold'>
  readonly candidate: Candidate
  readonly groupsMax?: number
  /** Told every few orders how many of how many have been tried. */
  readonly onProgress?: (tried: number, total: number) => void
}

const progressOrders = 250
const fatesWorstFirst: readonly Fate[] = ['lost', 'rebuild', 'changed', 'same']

/** Tries every stored order under a candidate. */
export function rehearse({ store, candidate, groupsMax = 1_000, onProgress }: RehearseOptions): Report {
  const fates: Record<Fate, number> = { same: 0, changed: 0, rebuild: 0, lost: 0 }
  const groups = new Map<string, Group>()
  let orders = 0
  let ungrouped = 0
  const held = store.hold()
  try {
    const { preparing, ready } = store.counts()
    for (const stored of store.all()) {
      const journal = store.journal(stored.order_id).flatMap(({ entries }) => entries)
      const rehearsal = rehearseOrder(candidate, stored, journal)
      fates[rehearsal.fate]++
      if (!addToGroup(groups, groupsMax, stored, rehearsal)) ungrouped++
      if (++orders % progressOrders === 0) onProgress?.(orders, preparing + ready)
    }
  } finally {
    held.release()
  }
  const sorted = [...groups.values()].toSorted(
    (a, b) => fatesWorstFirst.indexOf(a.fate) - fatesWorstFirst.indexOf(b.fate) || b.orders - a.orders,
  )
  return { orders, fates, groups: sorted, ungrouped }
}

/** @returns false when there is no room for another group. */
function addToGroup(groups: Map<string, Group>, groupsMax: number, stored: StoredOrder, rehearsal: Rehearsal): boolean {
  const { order_id, status, count } = stored
  const machineVersion = readVersion(stored)
  const findings = [rehearsal.restored, rehearsal.replayed].map((found) => found.map(({ text }) => text).join('\n'))
  const shape = [rehearsal.fate, status, machineVersion, ...findings].join('\t')
  // What is said of one order only must not make a group of its own.
  const key = shape.replaceAll(order_id, '').replace(/\d+/g, 'N')
  const group = groups.get(key)
  if (group !== undefined) {
    group.orders++
    group.pizzasMin = Math.min(group.pizzasMin, count)
    group.pizzasMax = Math.max(group.pizzasMax, count)
    return true
  }
  if (groups.size >= groupsMax) return false
  const pizzas = { pizzasMin: count, pizzasMax: count }
  groups.set(key, { ...rehearsal, status, machineVersion, orders: 1, ...pizzas, example: order_id })
  return true
}

function readVersion({ envelope }: StoredOrder): number | null {
  const version = /^\{"schema":\d+,"machine":"order","version":(\d+),/.exec(envelope)?.[1]
  return version === undefined ? null : Number(version)
}
