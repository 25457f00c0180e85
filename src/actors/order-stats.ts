/**
 * Order stats: how the order host is doing, for metrics. Orders are counted in the store when somebody first asks, and whenever
 * partitions came or went, and along the journal from then on: a count over a million rows is no answer to every scrape.
 */
import type { AgeOut } from './age-out.ts'
import type { Backlog } from './backlog.ts'
import type { HeldRecords } from './held-records.ts'
import type { OrderCache } from './order-cache.ts'
import type { OrderCheckpointer } from './order-checkpoints.ts'
import type { JournalChunk, OrderStore } from './order-store.ts'
import type { OrderStatus } from './orders.ts'

export interface OrderStats {
  /** Orders in the store. */
  readonly byStatus: Readonly<Record<OrderStatus, number>>
  /** Actors in memory, orders and pizzas together. */
  readonly live: number
  readonly dirty: number
  readonly hydrations: number
  readonly passivations: number
  /** Toppings that wait for their order. */
  readonly held: number
  /** Orders whose machine threw. */
  readonly repaired: number
  /** Snapshots that checkpoints wrote, and their size together. */
  readonly snapshots: number
  readonly snapshotBytes: number
  /** Records the host still has to take or to append, as far as it knows. */
  readonly behind: number
  /** Orders that were refused because of that. */
  readonly refused: number
  /** Ready orders that have left the store. */
  readonly aged: number
}

export interface OrderStatsOptions {
  readonly store: OrderStore
  readonly checkpointer: OrderCheckpointer
  readonly cache: OrderCache
  readonly held: HeldRecords
  readonly backlog: Backlog
  readonly ageOut: AgeOut
  /** Partition numbers this host owns; another list each time that they change. */
  readonly owned: () => readonly number[]
  /** What the host adds up by itself. */
  readonly sums: Readonly<Pick<OrderStats, 'repaired' | 'snapshots' | 'snapshotBytes'>>
}

/** Creates the stats of a host. */
export function createOrderStats({
  store,
  checkpointer,
  cache,
  held,
  backlog,
  ageOut,
  owned,
  sums,
}: OrderStatsOptions): () => OrderStats {
  const count = createOrderCounts(store, checkpointer, ageOut, owned)
  return () => ({
    ...sums,
    byStatus: count(),
    live: cache.size,
    dirty: cache.dirtyCount,
    hydrations: cache.hydrations,
    passivations: cache.passivations,
    held: held.size,
    behind: backlog.records(),
    refused: backlog.refused,
    aged: ageOut.orders,
  })
}

function createOrderCounts(
  store: OrderStore,
  checkpointer: OrderCheckpointer,
  ageOut: AgeOut,
  owned: () => readonly number[],
): () => OrderStats['byStatus'] {
  let counts: Record<OrderStatus, number> | undefined
  let countedOf: readonly number[] | undefined
  let agedBefore = 0
  const follow = (chunks: readonly JournalChunk[]): void => {
    for (const { firstVersion, status } of chunks) {
      if (firstVersion === 1) counts![status]++
      else if (status === 'ready') {
        // An order takes no event after it is ready, so this is the chunk that made it so.
        counts!.preparing--
        counts!.ready++
      }
    }
  }
  return () => {
    if (counts === undefined) checkpointer.onWritten(follow)
    if (counts === undefined || countedOf !== owned()) {
      // What came from another owner stands in no journal that was told here.
      countedOf = owned()
      counts = store.counts(countedOf)
      agedBefore = ageOut.orders
    }
    return { ...counts, ready: counts.ready - (ageOut.orders - agedBefore) }
  }
}
