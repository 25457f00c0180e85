/**
 * Cheese reporter. Counts pizzas by their cheese, from the records the cheese service writes. Stands on its own: it needs the
 * log and its store, and answers from memory whatever else is down. Any number may run, each on its partitions.
 *
 * N1: a pizza counts once, by the first record of it on its partition, however often records are repeated (P7). Records without a
 *     pizza id cannot be told apart and count once for each offset.
 * N2: counts and positions are written together; what is in memory and not written is read again after a crash.
 * N3: a partition goes on from where this reporter's own fold of it stands, in memory or store, however long others had it since.
 *     Folds are not dropped with their partitions: they stay right as of their position, and are small.
 * N4: a partition is shown when it has been read to where it ended when it came: what its last owner showed does not go back.
 */
import type { ConsumeOptions, Consumer, EventLog, LogRecord, Positions } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import { parseTopped } from '../records.ts'
import { createApplied } from './applied.ts'
import { createCheckpointer } from './checkpointer.ts'
import { systemClock, type Clock } from './clock.ts'
import { pickPartitions, toReadPositions } from './positions.ts'
import { createReportFold, type ReportFold } from './report-fold.ts'
import { sumCounts, toCounts, type Report } from './report.ts'
import type { ReportCheckpoint, ReportStore } from './report-store.ts'
import { createRoleIo } from './role-io.ts'
import { atDeadline, type Role } from './role.ts'
import { consumeSupervised } from './supervisor.ts'

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
  /** Where other reporters of the group ask this one for its part. */
  readonly address?: string
  readonly clock?: Clock
}

/** A partition that this reporter owns. */
interface Owned {
  /** Where the topic ended when it came. */
  readonly end: number
  /** How far the owners before have counted, and refused what is bad. */
  readonly refusedBelow: number
}

/** Orders whose counted pizzas are kept in memory. */
const cachedOrdersMax = 20_000

/** Starts the reporter. The store stays the caller's to close. */
export async function startCheeseReporter(options: CheeseReporterOptions): Promise<Role & Report> {
  const { log, logger, store, topic, deadLetters, groupId, checkpointMs, clock = systemClock } = options
  const applied = createApplied(clock)
  applied.load(store.positions())
  const folds = createFolds(store, topic)
  const owned = new Map<number, Owned>()
  const isOwned = (partition: number): boolean => owned.has(partition)
  const isCurrent = (partition: number): boolean => {
    const { end } = owned.get(partition) ?? {}
    return end !== undefined && applied.position(topic, partition) >= end
  }
  const about = { role: 'cheese-reporter', reads: 'pizzas', appends: 'dead letters' }
  const { outbox, refuse, tallies, hooks } = createRoleIo({ log, logger, clock, deadLetters, ...about })

  const count = (record: LogRecord): void => {
    const { partition, offset } = record
    try {
      folds.of(partition).count(parseTopped(record.value, 'cheese'))
    } catch (error) {
      // Another reporter has made it a dead letter.
      if (offset >= owned.get(partition)!.refusedBelow) refuse(record, error)
    }
  }

  const checkpointer = createCheckpointer({
    role: 'cheese-reporter',
    logger,
    clock,
    checkpointMs,
    checkpointDirtyMax: cachedOrdersMax,
    cut: () => ({ ...folds.takeDirty(), positions: applied.snapshot() }),
    settled: () => outbox.synced(),
    write: (cut: ReportCheckpoint) => store.checkpoint(cut),
    // The group's positions only show others how far it is: the store's are the truth.
    written: ({ positions }) => {
      void consumerRef.consumer?.commit(pickPartitions(positions, isOwned)).catch(() => {})
    },
  })

  const take = async (partitions: readonly number[]): Promise<Positions> => {
    const [starts, ends, committed] = await Promise.all([
      log.starts([topic]),
      log.ends([topic]),
      log.committed(groupId, [topic]),
    ])
    const positions = toReadPositions(applied.snapshot(), starts, partitions)
    for (const partition of partitions) {
      warnOfDeleted({ ...options, partition, from: applied.position(topic, partition), positions })
      const refusedBelow = committed.get(topic)?.get(partition) ?? 0
      // Loaded here, so that nobody who asks for a report waits for a disk.
      folds.of(partition)
      owned.set(partition, { end: ends.get(topic)?.[partition] ?? 0, refusedBelow })
    }
    applied.load(positions)
    // Tells the group how far this one is, although nothing may come for long.
    checkpointer.soon(folds.dirtyOrders())
    return positions
  }

  const consumerRef: { consumer?: Consumer } = {}
  const consuming: ConsumeOptions = {
    groupId,
    topics: [topic],
    startFrom: 'earliest',
    positions: 'own',
    ...(options.address !== undefined && { address: options.address }),
    ...hooks,
    async onAssigned(partitions) {
      tallies.rebalances++
      return { positions: await take(partitions) }
    },
    onRevoked(partitions) {
      for (const partition of partitions) owned.delete(partition)
      return hooks.onRevoked(partitions)
    },
    async onBatch(records) {
      for (const record of records) {
        const { partition, offset } = record
        if (!owned.has(partition)) continue
        if (offset >= applied.position(topic, partition)) count(record)
        applied.pass(topic, partition, offset)
      }
      tallies.recordsTaken += records.length
      await outbox.settled()
      const dirtyOrders = folds.dirtyOrders()
      checkpointer.soon(dirtyOrders)
      if (dirtyOrders > 2 * cachedOrdersMax) await checkpointer.now()
    },
    onPassed(positions) {
      applied.load(pickPartitions(positions, isOwned))
      checkpointer.soon(folds.dirtyOrders())
    },
  }
  const isExcused = () => outbox.failingSince !== undefined || checkpointer.failingSince !== undefined
  const supervisor = { log, logger, role: 'cheese-reporter', tallies, isExcused, clock }
  const consumer = (consumerRef.consumer = await consumeSupervised(consuming, supervisor))

  return {
    name: 'cheese-reporter',
    counts: () => sumCounts(folds.all().map(([, { counts }]) => toCounts(counts))),
    parts: () =>
      [...owned.keys()]
        .filter(isCurrent)
        .map((partition) => ({ partition, counts: toCounts(folds.of(partition).counts) })),
    isConfirmed: () => consumer.isConfirmed(),
    readiness() {
      const reasons: string[] = []
      if (![...owned.keys()].every(isCurrent))
        reasons.push('The cheese reporter is still reading pizzas made before it started')
      if (checkpointer.failingSince !== undefined) reasons.push('The cheese reporter cannot write its store')
      return { ready: reasons.length === 0, reasons }
    },
    stats: () => ({
      tallies,
      outboxRecords: outbox.size,
      partitions: consumer.assigned(),
      checkpoints: checkpointer.stats(),
    }),
    async stop(deadline) {
      atDeadline(deadline, () => {
        outbox.stop()
        consumer.abandon()
      })
      await consumer.stop()
      await checkpointer.stop()
      outbox.stop()
    },
  }
}

/** The fold of each partition that this reporter has ever had. */
function createFolds(store: ReportStore, topic: string) {
  const folds = new Map<number, ReportFold>()
  const share = (): number => Math.ceil(cachedOrdersMax / folds.size)
  const of = (partition: number): ReportFold => {
    let fold = folds.get(partition)
    if (fold === undefined)
      folds.set(partition, (fold = createReportFold({ store, partition, cachedOrdersMax: share })))
    return fold
  }
  for (const partition of store.positions().get(topic)?.keys() ?? []) of(partition)
  return {
    of,
    all: () => [...folds],
    dirtyOrders: () => folds.values().reduce((sum, { dirtyOrders }) => sum + dirtyOrders, 0),
    takeDirty(): Pick<ReportCheckpoint, 'counts' | 'counted'> {
      const dirty = [...folds].map(([partition, fold]) => [partition, fold.takeDirty()] as const)
      return {
        counts: new Map(dirty.map(([partition, { counts }]) => [partition, counts])),
        counted: new Map(dirty.map(([partition, { counted }]) => [partition, counted])),
      }
    },
  }
}

interface Taken extends Pick<CheeseReporterOptions, 'logger' | 'topic'> {
  readonly partition: number
  readonly from: number
  readonly positions: Positions
}

/** Records that retention has deleted are in no count but that of a reporter which read them. */
function warnOfDeleted({ logger, topic, partition, from, positions }: Taken): void {
  const to = positions.get(topic)?.get(partition) ?? 0
  if (to <= from) return
  const fields = { role: 'cheese-reporter', topic, partition, offset: from, deleted: to - from }
  logger.warn(fields, 'The log has deleted pizzas that this reporter had not counted; the report is without them')
}
