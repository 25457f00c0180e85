/**
 * Order checkpoints: what a checkpoint of the order host is made of, and where it goes: to the next owner (handover.ts), into the store,
 * and as positions to the group, in this order.
 */
import type { Consumer, Positions } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import { createCheckpointer, type Checkpointer } from './checkpointer.ts'
import type { Clock } from './clock.ts'
import type { Handover } from './handover.ts'
import { cutDirtyOrder, type LiveOrder } from './live-order.ts'
import type { OrderCache } from './order-cache.ts'
import type { Checkpoint, JournalChunk, OrderStore } from './order-store.ts'
import type { Outbox } from './outbox.ts'

/** Tells the journal chunks it wrote. */
export type OrderCheckpointer = Checkpointer<readonly JournalChunk[]>

/** Moves the group's positions after each checkpoint, for lag and for O4 only: the store's are the truth. */
export function createCommits(
  consumerRef: { readonly consumer?: Consumer },
  topics: readonly string[],
  logger: Logger,
) {
  let last: Promise<void> | undefined
  return {
    commit(positions: Positions): void {
      const ofGroup = new Map([...positions].filter(([topic]) => topics.includes(topic)))
      last = consumerRef.consumer
        ?.commit(ofGroup)
        .catch((error: unknown) => logger.debug({ err: error, role: 'orders' }, 'Positions not committed'))
    },
    settled: async () => last,
  }
}

interface OrderCheckpointerOptions {
  readonly logger: Logger
  readonly store: OrderStore
  readonly checkpointMs: number
  readonly checkpointOrdersMax: number
  readonly clock: Clock
  readonly cache: OrderCache
  readonly outbox: Outbox
  readonly handover: Handover
  readonly sums: { snapshots: number; snapshotBytes: number }
  /** What belongs to the dirty orders of the same moment. */
  readonly cut: () => Omit<Checkpoint, 'orders'>
  readonly commit: (positions: Positions) => void
}

/** Creates the checkpointer of a host. */
export function createOrderCheckpointer(options: OrderCheckpointerOptions): OrderCheckpointer {
  const { store, cache, outbox, handover, sums } = options
  return createCheckpointer({
    ...options,
    role: 'orders',
    checkpointDirtyMax: options.checkpointOrdersMax,
    cut(): Cut {
      const live = cache.takeDirty()
      const checkpoint = { orders: live.map(cutDirtyOrder), ...options.cut() }
      return { live, checkpoint, writable: () => checkpoint }
    },
    settled: () => outbox.synced(),
    async publish(cut) {
      cut.writable = await handover.publish(cut.checkpoint)
    },
    write(cut) {
      cut.checkpoint = cut.writable()
      const { orders } = cut.checkpoint
      const chunks = store.checkpoint(cut.checkpoint)
      sums.snapshots += orders.length
      for (const { envelope } of orders) sums.snapshotBytes += envelope.length
      return chunks
    },
    written({ live, checkpoint }) {
      cache.passivate(live)
      options.commit(checkpoint.positions)
    },
  })
}

interface Cut {
  readonly live: readonly LiveOrder[]
  checkpoint: Checkpoint
  /** What of it may still be written: partitions may be lost meanwhile. */
  writable: () => Checkpoint
}
