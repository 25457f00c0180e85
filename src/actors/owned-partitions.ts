/**
 * Owned partitions: what the order host does when partitions come and go. Between the two, all it has of them is its own.
 *
 * W1: a partition that comes is taken over from its last owner before anything of it is read; what was held of it is held again in the turn in which its
 *     positions are known, because a checkpoint of these positions would forget what they pass.
 * W2: a partition that goes is checkpointed first, so that the next owner has nothing to replay, and then leaves nothing in memory.
 * W3: one that another owner has taken already is dropped at once, and given back to the group. That may come too early for the consumer,
 *     so whoever watches over it asks for `orphans` as well.
 * W4: a take-over that is overtaken, because its partitions went while it was under way, comes to nothing: it answers for none of them.
 */
import type { Assignment, Consumer, EventLog, LogRecord, Positions } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import type { Topics } from '../topics.ts'
import type { Applied } from './applied.ts'
import { systemClock, type Clock } from './clock.ts'
import { keptHere, type Handover } from './handover.ts'
import type { HeldRecords } from './held-records.ts'
import type { OrderRouter } from './order-router.ts'
import type { OrderStore } from './order-store.ts'
import { toPositions, toReadPositions } from './positions.ts'
import type { RoleIo } from './role-io.ts'
import { createSnapshotTopic } from './snapshot-topic.ts'
import type { StartGate } from './start-gate.ts'
import type { Tallies } from './tallies.ts'

export interface OwnedPartitionsOptions {
  readonly log: EventLog
  readonly logger: Logger
  readonly store: OrderStore
  readonly topics: Topics
  readonly groupId: string
  /** How often partitions of other owners are followed, in milliseconds (default 2,000); 0 is never. */
  readonly standbyMs?: number
  readonly clock?: Clock
  readonly applied: Applied
  readonly held: HeldRecords
  readonly router: OrderRouter
  readonly gate: StartGate
  readonly hooks: RoleIo['hooks']
  readonly tallies: Tallies
  /** The topics the host reads. */
  readonly read: readonly string[]
  readonly consumerRef: { readonly consumer?: Consumer }
  /** Lets those look again who wait for an order. */
  readonly wakeReaders: () => void
  /** Resolves when everything applied so far is written. */
  readonly checkpoint: () => Promise<void>
  /** Something was applied that is to be written soon. */
  readonly checkpointSoon: () => void
}

export interface OwnedPartitions {
  readonly handover: Handover
  /** Whether the pizzas of this record of `orders` were asked for before the partition came. */
  isRequested(record: LogRecord): boolean
  /** For the consumer, when partitions come. */
  takeOver(partitions: readonly number[]): Promise<Assignment>
  /** For the consumer, when they go. */
  giveBack(partitions: readonly number[]): Promise<void>
  /** Partitions that the group counts on this host for, and that it does not work on. */
  orphans(): readonly number[]
  /** Settles toppings whose order should be known by now. */
  settleHeld(): Promise<void>
}

/** Creates what owns nothing yet. */
export function createOwnedPartitions(options: OwnedPartitionsOptions): OwnedPartitions {
  const { log, logger, store, topics, groupId, applied, held, router, gate, tallies, read, consumerRef } = options
  const requested = new Map<number, number>()
  /** By partition, the take-over that is under way. */
  const taking = new Map<number, symbol>()

  const drop = (partitions: readonly number[]): void => {
    for (const partition of partitions) taking.delete(partition)
    gate.close(partitions)
    applied.drop(partitions)
    held.drop(partitions)
    router.cache.drop(partitions)
    handover.drop(partitions)
    options.wakeReaders()
  }

  const lose = (partition: number, error: unknown): void => {
    tallies.fenced++
    logger.warn({ err: error, role: 'orders', partition }, 'Another owner has the partition; giving it back')
    drop([partition])
    consumerRef.consumer?.renounce([partition])
  }
  const handover = createHandover(options, lose)
  const settleHeld = () => router.settleHeld(async () => toPositions(await log.ends([topics.orders]), gate.partitions))

  const take = async (partitions: readonly number[], isCurrent: () => boolean): Promise<Assignment> => {
    await handover.take(partitions)
    const asked = await log.committed(groupId, [topics.orders])
    const starts = await log.starts(read)
    // A consumer that hung was replaced meanwhile, or somebody else has claimed them.
    if (!isCurrent()) throw new Error(`Partitions ${partitions.join(', ')} went while they were taken over`)
    for (const [partition, position] of asked.get(topics.orders) ?? []) requested.set(partition, position)
    const stored = store.positions()
    const positions = toReadPositions(stored, starts, partitions)
    warnOfDeleted(options, { stored, positions })
    applied.load(positions)
    applied.notify()
    router.holdAgain(store.held().filter(({ partition }) => partitions.includes(partition)))
    const pausedTopics = await gate.open(partitions, isCurrent)
    await settleHeld()
    // What was held may have found its order, or gone to the dead letters.
    options.checkpointSoon()
    return { positions, pausedTopics }
  }

  return {
    handover,
    isRequested: ({ partition, offset }) => offset < (requested.get(partition) ?? 0),
    async takeOver(partitions) {
      tallies.rebalances++
      drop(partitions)
      const mine = Symbol('take-over')
      for (const partition of partitions) taking.set(partition, mine)
      const isCurrent = (): boolean => partitions.every((partition) => taking.get(partition) === mine)
      try {
        return await take(partitions, isCurrent)
      } catch (error) {
        // What was claimed is given up, but for what has been taken over once more since.
        drop(partitions.filter((partition) => (taking.get(partition) ?? mine) === mine && !gate.has(partition)))
        throw error
      } finally {
        for (const partition of partitions) if (taking.get(partition) === mine) taking.delete(partition)
      }
    },
    orphans() {
      const assigned = consumerRef.consumer?.assigned() ?? []
      return assigned.filter((partition) => !gate.has(partition) && !taking.has(partition))
    },
    async giveBack(partitions) {
      // Where another owner has them already this host is fenced, and nothing is written.
      await options.checkpoint().catch(() => {})
      drop(partitions)
      await options.hooks.onRevoked(partitions)
    },
    settleHeld,
  }
}

/**
 * Tells of records that the log deleted before this host's store had them. The embedded log waits for its groups, so there the store is an
 * older copy, or the group has another name; Kafka waits for nobody.
 */
function warnOfDeleted(
  { log, logger, topics }: OwnedPartitionsOptions,
  { stored, positions }: Record<'stored' | 'positions', Positions>,
): void {
  const isShared = log.claim !== undefined && topics.snapshots !== undefined
  const fix = isShared
    ? 'Set retention.ms=-1 and retention.bytes=-1 on the topic, so that it does not happen again'
    : 'Stop the shop and put a newer copy of orders.sqlite into its place; to delete it is no help, because a rebuild has only what the log has'
  for (const [topic, ofTopic] of positions) {
    for (const [partition, start] of ofTopic) {
      const from = stored.get(topic)?.get(partition)
      // Without any it is a rebuild, which has what the log has.
      if (from === undefined || from >= start) continue
      const what = `The log has deleted ${topic}/${partition} from ${from} to ${start}, and the state store has not seen it`
      const fields = { role: 'orders', topic, partition, from, to: start }
      logger.warn(fields, `${what}: orders may miss what was there for good. ${fix} (docs/operate.md, Old records)`)
    }
  }
}

/** Through the log where it can, else the store is the only copy. */
function createHandover(
  { log, logger, store, topics, standbyMs = 2_000, clock = systemClock }: OwnedPartitionsOptions,
  onLost: (partition: number, error: unknown) => void,
): Handover {
  const { claim } = log
  if (claim === undefined || topics.snapshots === undefined) return keptHere
  const { snapshots: topic, partitions } = topics
  return createSnapshotTopic({ log: { ...log, claim }, logger, store, topic, partitions, standbyMs, clock, onLost })
}
