/**
 * Order host. Runs the order actors: reads orders and toppings from the log, sends them to the actors as events, turns what
 * the machines emit into records, and writes checkpoints. The only writer of the order store.
 *
 * O1: outputs are durable before a checkpoint moves the positions past the records that caused them; a crash between repeats
 *     work and changes nothing, because outputs are deterministic and actors ignore duplicates.
 * O2: a checkpoint is a cut: the snapshots of all dirty orders and the positions of all topics at one moment, in one transaction.
 * O3: after a start, toppings wait until topic `orders` has been read to where it ended at the start.
 * O4: a rebuild (no store, but a committed position of `orders`) asks for no pizza again that was asked for before that position.
 * O5: a bad record becomes a dead letter and stops nothing.
 * O6: records are applied of partitions that were taken over and not lost since; a lost one leaves nothing behind in memory (P9).
 */
import type { ConsumeOptions, Consumer, EventLog, LogRecord, Positions } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import type { Recipe } from '../menu.ts'
import { createOrderMachine } from '../machines/order.machine.ts'
import { printPizza } from '../records.ts'
import type { Topics } from '../topics.ts'
import { createAgeOut, keepAll, type AgeOut } from './age-out.ts'
import { createApplied, type Applied } from './applied.ts'
import { systemClock, type Clock } from './clock.ts'
import { createBacklog, type Backlog } from './backlog.ts'
import { toLogFields } from './dead-letters.ts'
import { createHeldRecords } from './held-records.ts'
import type { OrderMachine } from './live-order.ts'
import { createOrderCache, type OrderCache } from './order-cache.ts'
import { createCommits, createOrderCheckpointer, type OrderCheckpointer } from './order-checkpoints.ts'
import { createRebuildLog } from './order-rebuild.ts'
import { createOrderRouter } from './order-router.ts'
import { createOrderStats } from './order-stats.ts'
import type { OrderStore } from './order-store.ts'
import type { Outbox } from './outbox.ts'
import { createOwnedPartitions } from './owned-partitions.ts'
import { pickPartitions } from './positions.ts'
import { createRoleIo } from './role-io.ts'
import { atDeadline, type Role, type RoleReadiness, type RoleStats } from './role.ts'
import { createStartGate, type StartGate } from './start-gate.ts'
import { consumeSupervised } from './supervisor.ts'

export interface OrderHostOptions {
  readonly log: EventLog
  readonly logger: Logger
  readonly store: OrderStore
  readonly recipe: Recipe
  readonly topics: Topics
  readonly groupId: string
  readonly liveActorsMax: number
  readonly checkpointMs: number
  readonly checkpointOrdersMax: number
  /** How far the host may be behind before it takes no order (default 50,000 records). */
  readonly behindRecordsMax?: number
  /** How long ready orders stay in the store, in hours (default: for ever). */
  readonly readyOrdersHours?: number
  /** How often this host reads what others checkpoint of their partitions, in milliseconds (default 2,000); 0 is never. */
  readonly standbyMs?: number
  /** Where other hosts of the group send the requests that this one answers. */
  readonly address?: string
  readonly clock?: Clock
}

/** The running host, as the query side (order-service.ts) uses it. */
export interface OrderHost extends Role {
  readonly machine: OrderMachine
  readonly cache: OrderCache
  readonly applied: Applied
  readonly checkpointer: OrderCheckpointer
  readonly backlog: Backlog
  /** Readers wait for it: what an earlier owner showed must not go back. */
  readonly gate: Pick<StartGate, 'has' | 'partitions' | 'isCurrent' | 'whenCurrent'>
  /** Whether nobody else can own this host's partitions yet (event-log.ts). */
  isConfirmed(): boolean
  stats(): RoleStats & Required<Pick<RoleStats, 'handover'>>
  /**
   * Calls back once: in the turn in which the order's actor becomes ready, or when partitions went to another owner.
   * @returns a function that withdraws.
   */
  onReady(orderId: string, listener: () => void): () => void
}

/** Records of one batch: the host's work between two looks at the network. */
const batchRecordsMax = 500
/** Outputs that may wait for the log before the host stops reading. */
const outboxRecordsMax = 10_000

/** Starts the order host. The store stays the caller's to close. */
export async function startOrderHost(options: OrderHostOptions): Promise<OrderHost> {
  const { log, logger, groupId, clock = systemClock } = options
  const parts = createParts(options)
  const { read, outbox, tallies, hooks, gate, partitions, checkpointer, consumerRef } = parts
  await partitions.handover.prepare()
  const consuming: ConsumeOptions = {
    groupId,
    topics: read,
    startFrom: 'earliest',
    positions: 'own',
    batchRecordsMax,
    ...(options.address !== undefined && { address: options.address }),
    ...hooks,
    onAssigned: partitions.takeOver,
    onRevoked: partitions.giveBack,
    onBatch: (records) => takeBatch(parts, records),
    onPassed: (positions) => pass(parts, positions),
  }
  const isExcused = () => outbox.failingSince !== undefined || checkpointer.failingSince !== undefined
  const { orphans } = partitions
  const supervisor = { log, logger, role: 'orders', tallies, isExcused, orphans, clock }
  const consumer = (consumerRef.consumer = await consumeSupervised(consuming, supervisor))
  gate.check()

  const { machine, cache, applied, backlog, ready, orderStats } = parts
  return {
    name: 'orders',
    machine,
    cache,
    applied,
    checkpointer,
    backlog,
    gate,
    isConfirmed: () => consumer.isConfirmed(),
    stats: () => ({
      tallies,
      outboxRecords: outbox.size,
      partitions: gate.partitions,
      checkpoints: checkpointer.stats(),
      orders: orderStats(),
      handover: partitions.handover.stats(),
    }),
    onReady: ready.listen,
    readiness: () => readinessOf(outbox, checkpointer, gate),
    stop: (deadline) => stop(parts, consumer, deadline),
  }
}

type Parts = ReturnType<typeof createParts>

/** Everything a host is made of, before it reads anything. */
function createParts(options: OrderHostOptions) {
  const { log, logger, store, recipe, topics, groupId, clock = systemClock } = options
  const machine = createOrderMachine(recipe)
  const applied = createApplied(clock)
  const held = createHeldRecords()
  const ready = createReadyListeners()
  const sums = { repaired: 0, snapshots: 0, snapshotBytes: 0 }
  const about = { role: 'orders', deadLetters: topics.deadLetters, reads: 'orders', appends: 'pizzas' }
  const { outbox, refuse, tallies, hooks } = createRoleIo({ log, logger, clock, ...about })
  const consumerRef: { consumer?: Consumer } = {}
  const toppings = [...topics.toppingOf.keys()]
  const read = [topics.orders, ...toppings]

  const rebuilds = createRebuildLog(logger)
  const router = createOrderRouter({
    topics,
    applied,
    held,
    createCache: (effects) => createOrderCache({ ...options, machine, effects, rebuilds }),
    requestPizzas: (orderId, count) => putPizzas(outbox, recipe, topics, orderId, count),
    isRequested: (record) => partitions.isRequested(record),
    announceReady: ready.announce,
    refuse,
    repaired(order_id, error, record) {
      sums.repaired++
      const fields = { err: error, role: 'orders', ...toLogFields(record), order_id }
      logger.error(fields, 'The order machine threw; the order goes on without that event')
    },
  })
  const { cache } = router
  const gate = createStartGate({ log, logger, topics, applied, consumerRef, clock })
  const owned = () => gate.partitions
  const checkpoint = () => checkpointer.now()
  const checkpointSoon = () => checkpointer.soon(cache.dirtyCount)
  const taking = { applied, held, router, gate, hooks, tallies, read, consumerRef }
  const partitions = createOwnedPartitions({
    ...options,
    ...taking,
    wakeReaders: ready.wakeAll,
    checkpoint,
    checkpointSoon,
  })
  const { handover } = partitions
  const commits = createCommits(consumerRef, read, logger)
  const { commit } = commits
  const cut = () => ({ positions: applied.snapshot(), held: held.all(), aged: ageOut.take() })
  const checkpointer = createOrderCheckpointer({ ...options, clock, cache, outbox, handover, sums, cut, commit })
  const ageOut = startAgeOut(options, { owned, cache, checkpointer })
  const waiting = () => outbox.size + held.size
  const recordsMax = options.behindRecordsMax ?? 50_000
  const reading = { log, groupId, orders: topics.orders, toppings }
  const backlog = createBacklog({ ...reading, applied, owned, waiting, recordsMax, clock })
  const orderStats = createOrderStats({ store, checkpointer, cache, held, backlog, ageOut, owned, sums })
  const state = { machine, applied, held, ready, cache, router, gate, partitions, backlog, orderStats }
  return { ...state, read, outbox, tallies, hooks, consumerRef, checkpointer, commits, ageOut }
}

async function takeBatch(parts: Parts, records: readonly LogRecord[]): Promise<void> {
  const { router, gate, outbox, tallies, checkpointer } = parts
  const isMine = ({ partition }: LogRecord): boolean => gate.has(partition)
  const apply = (some: readonly LogRecord[]) => router.apply(some.every(isMine) ? some : some.filter(isMine))
  for (let rest = apply(records); rest.length > 0; rest = apply(rest)) await checkpointer.now()
  tallies.recordsTaken += records.length
  await follow(parts)
  if (outbox.size > outboxRecordsMax) await outbox.settled()
}

/** Goes past what is no record: nothing is applied, and the end of a topic may be reached. */
function pass(parts: Parts, positions: Positions): Promise<void> {
  parts.applied.load(pickPartitions(positions, parts.gate.has))
  return follow(parts)
}

/** Does what may be due when positions have moved. */
async function follow({ applied, gate, partitions, checkpointer, cache }: Parts): Promise<void> {
  applied.notify()
  gate.check()
  await partitions.settleHeld()
  checkpointer.soon(cache.dirtyCount)
}

async function stop(parts: Parts, consumer: Consumer, deadline: AbortSignal): Promise<void> {
  const { read, outbox, checkpointer, commits, ageOut, partitions } = parts
  atDeadline(deadline, () => {
    outbox.stop()
    consumer.abandon()
    void checkpointer.stop()
  })
  consumer.pause(read)
  // Before leaving the group, because only a member may commit; the checkpoint after it takes what the last batch changed.
  await checkpointer.now().catch(() => {})
  await commits.settled()
  await consumer.stop()
  await checkpointer.stop()
  outbox.stop()
  ageOut.stop()
  partitions.handover.stop()
}

interface AgeOutParts {
  readonly owned: () => readonly number[]
  readonly cache: OrderCache
  readonly checkpointer: OrderCheckpointer
}

function startAgeOut({ store, readyOrdersHours: hours, clock }: OrderHostOptions, parts: AgeOutParts): AgeOut {
  if (hours === undefined) return keepAll
  const { owned, cache, checkpointer } = parts
  const isLive = (orderId: string): boolean => cache.peek(orderId) !== undefined
  return createAgeOut({ store, hours, owned, isLive, ask: () => checkpointer.soon(0), ...(clock && { clock }) })
}

function putPizzas(outbox: Outbox, recipe: Recipe, topics: Topics, orderId: string, count: number): void {
  const toppings = recipe.map(({ topping }) => topping)
  for (let pizza_id = 1; pizza_id <= count; pizza_id++) {
    outbox.put({ topic: topics.pizza, key: orderId, value: printPizza(orderId, pizza_id, toppings) })
  }
}

/** Who waits for which order to become ready. */
function createReadyListeners() {
  const listeners = new Map<string, Set<() => void>>()
  const announce = (orderId: string): void => {
    for (const listener of listeners.get(orderId) ?? []) listener()
    listeners.delete(orderId)
  }
  return {
    announce,
    wakeAll: (): void => [...listeners.keys()].forEach(announce),
    /** @returns a function that withdraws. */
    listen(orderId: string, listener: () => void): () => void {
      let ofOrder = listeners.get(orderId)
      if (ofOrder === undefined) listeners.set(orderId, (ofOrder = new Set()))
      ofOrder.add(listener)
      return () => {
        ofOrder.delete(listener)
        if (ofOrder.size === 0 && listeners.get(orderId) === ofOrder) listeners.delete(orderId)
      }
    },
  }
}

function readinessOf(outbox: Outbox, checkpointer: OrderCheckpointer, gate: StartGate): RoleReadiness {
  const reasons: string[] = []
  if (gate.partitions.length === 0) reasons.push('The orders role waits for its partitions')
  if (gate.isCatchingUp) reasons.push('The orders role is still reading orders placed before it started')
  if (outbox.failingSince !== undefined) reasons.push('The orders role cannot append to the log')
  if (checkpointer.failingSince !== undefined) reasons.push('The orders role cannot write its state store')
  return { ready: reasons.length === 0, reasons }
}
