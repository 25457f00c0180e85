/**
 * Rebuild of one order. What becomes of an order whose snapshot cannot be read: not JSON, of newer machines, without a migration, or
 * overwritten by another program. Its journal is complete, so the machine is led through it once more.
 *
 * B1: an order is rebuilt only where its rehearsal says so (rehearse-order.ts): with every event, and with all it has shown (P2).
 * B2: any other is left as it is, and alone: who asks for it is told why, its records become dead letters, and the rest of its
 *     partition goes on. A program that can read it finds it as it was.
 */
import { machineVersion, migrations } from '../machines/migrations.ts'
import { pizzaKey } from '../machines/order.machine.ts'
import type { Logger } from '../logger.ts'
import type { Recipe } from '../menu.ts'
import { RecordError } from '../records.ts'
import type { OrderMachine } from './live-order.ts'
import { printEnvelope } from './order-envelope.ts'
import type { OrderStore, StoredOrder } from './order-store.ts'
import { foldJournal } from './order-view.ts'
import { findObstacles } from './rehearse-order.ts'

export interface RebuildOptions {
  readonly machine: OrderMachine
  readonly recipe: Recipe
  readonly store: Pick<OrderStore, 'journal'>
  readonly rebuilds: RebuildLog
}

/** Told of orders whose snapshots cannot be read. */
export interface RebuildLog {
  rebuilt(orderId: string, cause: unknown): void
  /** The order is not available, and why. */
  refused(orderId: string, error: RecordError): void
}

/** Unavailable orders that are told of: everyone who asks for one tries it again. */
const refusedMax = 1_000

/** Creates what logs the rebuilds of the order host. */
export function createRebuildLog(logger: Logger): RebuildLog {
  const refused = new Set<string>()
  return {
    rebuilt(order_id, cause) {
      const fields = { err: cause, role: 'orders', order_id }
      logger.warn(fields, 'The snapshot of an order cannot be read; the order was rebuilt from its journal')
    },
    refused(order_id, error) {
      if (refused.has(order_id) || refused.size >= refusedMax) return
      refused.add(order_id)
      logger.error({ err: error, role: 'orders', order_id }, 'An order is not available: it cannot be read')
    },
  }
}

/** For who only looks. */
export const silentRebuilds: RebuildLog = { rebuilt() {}, refused() {} }

/**
 * Rebuilds a stored order from its journal.
 * @param cause why its snapshot cannot be read.
 * @throws RecordError `unreadable-order` that says what to do, when the journal does not bring it back.
 */
export function rebuildOrder(
  { machine, recipe, store, rebuilds }: RebuildOptions,
  stored: StoredOrder,
  cause: unknown,
): StoredOrder {
  const { order_id, partition } = stored
  const obstacles: string[] = []
  try {
    const journal = store.journal(order_id).flatMap(({ entries }) => entries)
    const candidate = { machine, recipe, pizzaKey, machineVersion, migrations }
    obstacles.push(...findObstacles(candidate, stored, journal).map(({ text }) => text))
    if (obstacles.length === 0) {
      const envelope = printEnvelope(order_id, partition, foldJournal(machine, order_id, journal))
      rebuilds.rebuilt(order_id, cause)
      return { ...stored, envelope }
    }
  } catch (error) {
    obstacles.push(`its journal cannot be read: ${toText(error)}`)
  }
  const why = `It cannot be rebuilt from its journal either: ${obstacles.join('; ')}.`
  const error = new RecordError('unreadable-order', `${toText(cause)} ${why}`)
  rebuilds.refused(order_id, error)
  throw error
}

function toText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
