/**
 * Cheese reporter. Counts pizzas by their cheese, from the records the cheese service writes. Stands on its own: it needs the
 * log and its store, and answers from memory whatever else is down.
 *
 * N1: a pizza counts once, by the first record of it on the topic, however often records are repeated (P7). Records without a
 *     pizza id cannot be told apart and count once for each offset.
 * N2: counts and positions are written together; what is in memory and not written is read again after a crash.
 */
import type { Consumer, EventLog, LogRecord } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import { parseTopped } from '../records.ts'
import { createApplied } from './applied.ts'
import { createCheckpointer } from './checkpointer.ts'
import { systemClock, type Clock } from './clock.ts'
import { toReadPositions } from './positions.ts'
import type { Report } from './report.ts'
import type { ReportStore } from './report-store.ts'
import { createRoleIo } from './role-io.ts'
import { atDeadline, type Role } from './role.ts'

export interface CheeseReporterOptions {
  readonly log: EventLog
  readonly logger: Logger
  readonly store: ReportStore
  /** The topic the cheese service writes to. */
  readonly topic: string
  readonly deadLetters: string
  readonly groupId: string
  /** How soon counts are written after a change, in milliseconds. */
  readonly checkpointMs: number
  readonly clock?: Clock
}

/** Orders whose counted pizzas are kept in memory. */
const cachedOrdersMax = 20_000

/** Starts the reporter. The store stays the caller's to close. */
export async function startCheeseReporter(options: CheeseReporterOptions): Promise<Role & Report> {
  const { log, logger, store, topic, deadLetters, groupId, checkpointMs, clock = systemClock } = options
  const applied = createApplied(clock)
  applied.load(store.positions())
  const counts = store.counts()
  const counted = createCounted(store)
  const changedCounts = new Set<string>()
  const about = { role: 'cheese-reporter', reads: 'pizzas', appends: 'dead letters' }
  const { outbox, refuse, tallies, hooks } = createRoleIo({ log, logger, clock, deadLetters, ...about })

  const count = (record: LogRecord): void => {
    try {
      const { order_id, pizza_id, choice } = parseTopped(record.value, 'cheese')
      if (pizza_id !== undefined && !counted.add(order_id, pizza_id)) return
      counts.set(choice, (counts.get(choice) ?? 0) + 1)
      changedCounts.add(choice)
    } catch (error) {
      refuse(record, error)
    }
  }

  const checkpointer = createCheckpointer({
    role: 'cheese-reporter',
    logger,
    clock,
    checkpointMs,
    checkpointDirtyMax: cachedOrdersMax,
    cut() {
      const changed = new Map([...changedCounts].map((choice) => [choice, counts.get(choice)!]))
      changedCounts.clear()
      return { counts: changed, counted: counted.takeDirty(), positions: applied.snapshot() }
    },
    settled: () => outbox.synced(),
    write: (cut) => store.checkpoint(cut),
    // The group's positions only show others how far it is: the store's are the truth.
    written: ({ positions }) => void consumerRef.consumer?.commit(positions).catch(() => {}),
  })

  const consumerRef: { consumer?: Consumer } = {}
  const consumer = (consumerRef.consumer = await log.consume({
    groupId,
    topics: [topic],
    startFrom: 'earliest',
    positions: 'own',
    async onAssigned(partitions) {
      tallies.rebalances++
      const positions = toReadPositions(store.positions(), await log.starts([topic]), partitions)
      applied.load(positions)
      return { positions }
    },
    ...hooks,
    async onBatch(records) {
      for (const record of records) {
        if (record.offset >= applied.position(topic, record.partition)) count(record)
        applied.pass(topic, record.partition, record.offset)
      }
      tallies.recordsTaken += records.length
      await outbox.settled()
      checkpointer.soon(counted.dirtyCount)
      if (counted.dirtyCount > 2 * cachedOrdersMax) await checkpointer.now()
    },
  }))

  return {
    name: 'cheese-reporter',
    counts: () => Object.fromEntries([...counts].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    readiness() {
      const isFailing = checkpointer.failingSince !== undefined
      const reasons = isFailing ? ['The cheese reporter cannot write its store'] : []
      return { ready: reasons.length === 0, reasons }
    },
    stats: () => ({
      tallies,
      outboxRecords: outbox.size,
      partitions: consumer.assigned(),
      checkpoints: checkpointer.stats(),
    }),
    async stop(deadline) {
      atDeadline(deadline, () => outbox.stop())
      await consumer.stop()
      await checkpointer.stop()
      outbox.stop()
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

function createCounted(store: ReportStore): Counted {
  const cache = new Map<string, Uint8Array>()
  let dirty = new Map<string, Uint8Array>()
  /** Taken, and on its way into the store. */
  let taken: ReadonlyMap<string, Uint8Array> = new Map()

  const load = (orderId: string): Uint8Array => {
    const bits =
      cache.get(orderId) ??
      dirty.get(orderId) ??
      taken.get(orderId)?.slice() ??
      store.counted(orderId) ??
      new Uint8Array(0)
    if (cache.size >= cachedOrdersMax) cache.delete(cache.keys().next().value!)
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
