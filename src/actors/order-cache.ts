/**
 * Order cache: which orders are in memory. Hydrates an order from the store when an event or a reader needs it, and
 * passivates idle ones, so that memory is bounded by `liveActorsMax` and not by the number or the size of orders (P8).
 *
 * C1: an order that is dirty, or that a running batch touches, stays in memory; everything in memory and not dirty equals its
 *     stored copy.
 * C2: a passivated actor is dropped, not stopped: it holds nothing outside itself, and stopping is quadratic in its pizzas.
 * C3: an order whose partition went to another owner is dropped, dirty or not; a copy of it that comes later is another one.
 * C4: the limit counts actors, pizzas included, because an order of 1,000 pizzas weighs as much as 300 of 2.
 * C5: an order whose snapshot cannot be read is rebuilt from its journal, and dirty, so that the next checkpoint mends its stored copy.
 */
import type { LogRecord } from '../log/event-log.ts'
import type { Recipe } from '../menu.ts'
import {
  createLiveOrder,
  entriesAfter,
  hydrateLiveOrder,
  statusOf,
  type LiveOrder,
  type OrderEffects,
  type OrderMachine,
} from './live-order.ts'
import { toMachineEvent, type JournalEntry } from './order-envelope.ts'
import { rebuildOrder, type RebuildLog } from './order-rebuild.ts'
import type { OrderStore, StoredOrder } from './order-store.ts'

export interface OrderCache {
  /** The order if it is in memory; does not wake it. */
  peek(orderId: string): LiveOrder | undefined
  /**
   * The order, hydrated when it is passivated; `undefined` when it is unknown.
   * @throws RecordError `unreadable-order` when it can neither be read nor rebuilt.
   */
  get(orderId: string): LiveOrder | undefined
  /** An order nobody has placed yet, put into memory. */
  create(order: { order_id: string; partition: number; count: number }): LiveOrder
  /** Notes that an order differs from its stored copy. */
  markDirty(order: LiveOrder): void
  /** The dirty orders; they count as clean from here on. */
  takeDirty(): LiveOrder[]
  readonly dirtyCount: number
  /** Actors in memory: orders and their pizzas. */
  readonly size: number
  /** Whether a checkpoint should come before any more orders do, because only then can some be passivated. */
  readonly isFull: boolean
  /** Passivates clean orders: those that are ready, then the longest idle ones above the limit. */
  passivate(candidates: Iterable<LiveOrder>): void
  /** Forgets every order of these partitions. */
  drop(partitions: readonly number[]): void
  /** Replaces an order whose machine threw by its stored copy and the events it took since, without those of these records. */
  repair(order: LiveOrder, withoutRecords: readonly LogRecord[]): void
  readonly hydrations: number
  readonly passivations: number
}

export interface OrderCacheOptions {
  readonly machine: OrderMachine
  readonly recipe: Recipe
  readonly store: Pick<OrderStore, 'load' | 'journal'>
  readonly effects: OrderEffects
  readonly liveActorsMax: number
  readonly rebuilds: RebuildLog
}

/** Actors there may be beyond the limit until the next checkpoint. */
const unwrittenMax = 10_000

/** Creates an empty cache. */
export function createOrderCache(options: OrderCacheOptions): OrderCache {
  const { machine, store, effects, liveActorsMax } = options
  // Insertion order is idle order: an order that is used is put in again at the end.
  const live = new Map<string, LiveOrder>()
  let dirty = new Set<LiveOrder>()
  let size = 0
  let hydrations = 0
  let passivations = 0

  const add = (order: LiveOrder): LiveOrder => {
    live.set(order.order_id, order)
    size += order.actors
    return order
  }

  /** @returns whether it was there, and not another copy that came after this one was dropped. */
  const remove = (order: LiveOrder): boolean => {
    if (live.get(order.order_id) !== order) return false
    live.delete(order.order_id)
    size -= order.actors
    return true
  }

  const passivate = (order: LiveOrder): void => {
    if (remove(order)) passivations++
  }

  const markDirty = (order: LiveOrder): void => {
    if (dirty.has(order)) return
    dirty.add(order)
    if (remove(order)) add(order)
  }

  const hydrate = (stored: StoredOrder): LiveOrder => {
    try {
      return add(hydrateLiveOrder(machine, stored, effects))
    } catch (error) {
      const rebuilt = add(hydrateLiveOrder(machine, rebuildOrder(options, stored, error), effects))
      markDirty(rebuilt)
      return rebuilt
    }
  }

  return {
    peek: (orderId) => live.get(orderId),
    get(orderId) {
      const found = live.get(orderId)
      if (found !== undefined) return found
      const stored = store.load(orderId)
      if (stored === undefined) return undefined
      hydrations++
      return hydrate(stored)
    },
    create: (order) => add(createLiveOrder(machine, order, effects)),
    markDirty,
    takeDirty() {
      const taken = [...dirty]
      dirty = new Set()
      return taken
    },
    get dirtyCount() {
      return dirty.size
    },
    get size() {
      return size
    },
    get isFull() {
      return size > liveActorsMax + unwrittenMax
    },
    passivate(candidates) {
      for (const order of candidates) {
        if (!dirty.has(order) && statusOf(order.actor) === 'ready') passivate(order)
      }
      for (const order of live.values()) {
        if (size <= liveActorsMax) return
        if (!dirty.has(order)) passivate(order)
      }
    },
    drop(partitions) {
      for (const order of live.values()) {
        if (!partitions.includes(order.partition)) continue
        remove(order)
        dirty.delete(order)
      }
    },
    repair(order, withoutRecords) {
      const { order_id, partition, actors } = order
      remove(order)
      dirty.delete(order)
      const repaired = this.get(order_id) ?? this.create({ order_id, partition, count: actors - 1 })
      const isKept = ({ topic, partition: p, offset }: JournalEntry): boolean =>
        !withoutRecords.some((record) => record.topic === topic && record.partition === p && record.offset === offset)
      // The last cut may still be on its way into the store: its events are written with it and not once more.
      const writing = new Set(order.writing)
      for (const entry of entriesAfter(order, repaired.version).filter(isKept)) {
        repaired.actor.send(toMachineEvent(entry))
        const entries = writing.has(entry) ? repaired.writing : repaired.journal
        entries.push(entry)
        repaired.version++
      }
      if (repaired.version === 0) remove(repaired)
      if (repaired.journal.length > 0) markDirty(repaired)
    },
    get hydrations() {
      return hydrations
    },
    get passivations() {
      return passivations
    },
  }
}
