/**
 * Report fold: what the records of one partition come to, in memory, with what has changed since the last checkpoint.
 *
 * F1: it is a function of the records below a position. Whoever folds the same records has the same counts, so nothing has to be
 *     handed over with a partition.
 * F2: a pizza counts once in each partition. One order's records share a key, and with it the partition.
 */
import type { ReportStore } from './report-store.ts'

export interface ReportFold {
  readonly counts: ReadonlyMap<string, number>
  /** Counts a pizza; one that was counted before changes nothing. Without a pizza id it counts each time. */
  count(pizza: { order_id: string; pizza_id?: number | undefined; choice: string }): void
  /** Orders with pizzas that no checkpoint has. */
  readonly dirtyOrders: number
  /** What has changed since the last call, as copies. */
  takeDirty(): { counts: ReadonlyMap<string, number>; counted: ReadonlyMap<string, Uint8Array> }
}

export interface ReportFoldOptions {
  readonly store: ReportStore
  readonly partition: number
  /** How many orders' counted pizzas may be kept in memory. */
  readonly cachedOrdersMax: () => number
}

/** Loads the fold of a partition, as the last checkpoint has it. */
export function createReportFold(options: ReportFoldOptions): ReportFold {
  const { store, partition } = options
  const counts = store.counts(partition)
  const counted = createCounted(options)
  const changed = new Set<string>()
  return {
    counts,
    count({ order_id, pizza_id, choice }) {
      if (pizza_id !== undefined && !counted.add(order_id, pizza_id)) return
      counts.set(choice, (counts.get(choice) ?? 0) + 1)
      changed.add(choice)
    },
    get dirtyOrders() {
      return counted.dirtyCount
    },
    takeDirty() {
      const dirty = new Map([...changed].map((choice) => [choice, counts.get(choice)!]))
      changed.clear()
      return { counts: dirty, counted: counted.takeDirty() }
    },
  }
}

/** Whether a pizza is among those that were counted (report-store.ts). */
export function isCounted(bits: Uint8Array, pizza_id: number): boolean {
  const { index, mask } = placeOf(pizza_id)
  return ((bits[index] ?? 0) & mask) !== 0
}

function placeOf(pizza_id: number): { index: number; mask: number } {
  return { index: (pizza_id - 1) >> 3, mask: 1 << ((pizza_id - 1) & 7) }
}

interface Counted {
  /** Notes a pizza. @returns false when it was noted before. */
  add(orderId: string, pizza_id: number): boolean
  readonly dirtyCount: number
  /** What was noted since the last call, as copies. */
  takeDirty(): ReadonlyMap<string, Uint8Array>
}

function createCounted({ store, partition, cachedOrdersMax }: ReportFoldOptions): Counted {
  const cache = new Map<string, Uint8Array>()
  let dirty = new Map<string, Uint8Array>()
  /** Taken, and on its way into the store. */
  let taken: ReadonlyMap<string, Uint8Array> = new Map()

  const load = (orderId: string): Uint8Array => {
    const bits =
      cache.get(orderId) ??
      dirty.get(orderId) ??
      taken.get(orderId)?.slice() ??
      store.counted(partition, orderId) ??
      new Uint8Array(0)
    while (cache.size >= cachedOrdersMax()) cache.delete(cache.keys().next().value!)
    return bits
  }

  return {
    add(orderId, pizza_id) {
      let bits = load(orderId)
      if (isCounted(bits, pizza_id)) return false
      const { index, mask } = placeOf(pizza_id)
      if (index >= bits.length) {
        // Doubling: an order of a thousand pizzas grows its bits ten times, not a thousand.
        const grown = new Uint8Array(Math.max(index + 1, bits.length * 2))
        grown.set(bits)
        bits = grown
      }
      bits[index]! |= mask
      cache.set(orderId, bits)
      dirty.set(orderId, bits)
      return true
    },
    get dirtyCount() {
      return dirty.size
    },
    takeDirty() {
      taken = new Map([...dirty].map(([orderId, bits]) => [orderId, bits.slice()]))
      dirty = new Map()
      return taken
    },
  }
}
