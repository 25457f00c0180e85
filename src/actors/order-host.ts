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
 */
import type { Consumer, EventLog, LogRecord, Positions } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import type { Recipe } from '../menu.ts'
import { createOrderMachine } from '../machines/order.machine.ts'
import { printPizza } from '../records.ts'
import type { Topics } from '../topics.ts'
import { createApplied, type Applied } from './applied.ts'
import { createCheckpointer, type Checkpointer } from './checkpointer.ts'
import { systemClock, type Clock } from './clock.ts'
import { createBacklog, type Backlog } from './backlog.ts'
import { toLogFields } from './dead-letters.ts'
import { createHeldRecords } from './held-records.ts'
import { cutDirtyOrder, type OrderMachine } from './live-order.ts'
import { createOrderCache, type OrderCache } from './order-cache.ts'
import { createOrderRouter } from './order-router.ts'
import { createOrderStats } from './order-stats.ts'
import type { JournalChunk, OrderStore } from './order-store.ts'
import type { Outbox } from './outbox.ts'
import { toPositions, toReadPositions } from './positions.ts'
import { createRoleIo } from './role-io.ts'
import { atDeadline, type Role, type RoleReadiness } from './role.ts'
import { createStartGate, type StartGate } from './start-gate.ts'

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
  readonly clock?: Clock
}

/** Tells the journal chunks it wrote. */
export type OrderCheckpointer = Checkpointer<readonly JournalChunk[]>

/** The running host, as the query side (order-service.ts) uses it. */
export interface OrderHost extends Role {
  readonly machine: OrderMachine
  readonly cache: OrderCache
  readonly applied: Applied
  readonly checkpointer: OrderCheckpointer
  readonly backlog: Backlog
  /** Readers wait for it: what an earlier process showed must not go back. */
  readonly gate: Pick<StartGate, 'isCurrent' | 'whenCurrent'>
  /** Calls back once, in the turn in which the order's actor becomes ready. @returns a function that withdraws. */
  onReady(orderId: string, listener: () => void): () => void
}

/** Records of one batch: the host's work between two looks at the network. */
const batchRecordsMax = 500
/** Outputs that may wait for the log before the host stops reading. */
const outboxRecordsMax = 10_000

/** Starts the order host. The store stays the caller's to close. */
export async function startOrderHost(options: OrderHostOptions): Promise<OrderHost> {
  const { log, logger, store, recipe, topics, groupId, clock = systemClock } = options
  const machine = createOrderMachine(recipe)
  const applied = createApplied(clock)
  applied.load(store.positions())
  const held = createHeldRecords()
  const ready = createReadyListeners()
  const sums = { repaired: 0, snapshots: 0, snapshotBytes: 0 }
  const about = { role: 'orders', deadLetters: topics.deadLetters, reads: 'orders', appends: 'pizzas' }
  const { outbox, refuse, tallies, hooks } = createRoleIo({ log, logger, clock, ...about })

  const requested = await log.committed(groupId, [topics.orders])
  const router = createOrderRouter({
    topics,
    applied,
    held,
    createCache: (effects) => createOrderCache({ machine, store, effects, liveActorsMax: options.liveActorsMax }),
    requestPizzas: (orderId, count) => putPizzas(outbox, recipe, topics, orderId, count),
    isRequested: ({ partition, offset }) => offset < (requested.get(topics.orders)?.get(partition) ?? 0),
    announceReady: ready.announce,
    refuse,
    repaired(order_id, error, record) {
      sums.repaired++
      const fields = { err: error, role: 'orders', ...toLogFields(record), order_id }
      logger.error(fields, 'The order machine threw; the order goes on without that event')
    },
  })
  const { cache } = router
  router.holdAgain(store.held())

  const consumerRef: { consumer?: Consumer } = {}
  const commits = createCommits(consumerRef, logger)
  const cut = () => ({ positions: applied.snapshot(), held: held.all() })
  const checkpointer = createOrderCheckpointer({ ...options, clock, cache, outbox, sums, cut, commit: commits.commit })

  const toppings = [...topics.toppingOf.keys()]
  const read = [topics.orders, ...toppings]
  const owned = () => consumerRef.consumer?.assigned() ?? []
  const waiting = () => outbox.size + held.size
  const recordsMax = options.behindRecordsMax ?? 50_000
  const backlog = createBacklog({ log, orders: topics.orders, toppings, applied, owned, waiting, recordsMax, clock })
  const orderStats = createOrderStats({ store, checkpointer, cache, held, backlog, sums })
  const gate = createStartGate({ log, logger, topics, applied, consumerRef, clock })
  const settleHeld = () => router.settleHeld(async () => toPositions(await log.ends([topics.orders])))
  const onBatch = async (records: readonly LogRecord[]): Promise<void> => {
    router.apply(records)
    tallies.recordsTaken += records.length
    applied.notify()
    gate.check()
    await settleHeld()
    checkpointer.soon(cache.dirtyCount)
    if (outbox.size > outboxRecordsMax) await outbox.settled()
    if (cache.dirtyCount > options.liveActorsMax) await checkpointer.now()
  }

  consumerRef.consumer = await log.consume({
    groupId,
    topics: read,
    startFrom: 'earliest',
    positions: 'own',
    batchRecordsMax,
    async onAssigned(partitions) {
      tallies.rebalances++
      const positions = toReadPositions(store.positions(), await log.starts(read), partitions)
      applied.load(positions)
      const pausedTopics = await gate.open(partitions)
      await settleHeld()
      return { positions, pausedTopics }
    },
    ...hooks,
    onBatch,
  })
  gate.check()

  return {
    name: 'orders',
    machine,
    cache,
    applied,
    checkpointer,
    backlog,
    gate,
    stats: () => ({
      tallies,
      outboxRecords: outbox.size,
      partitions: owned(),
      checkpoints: checkpointer.stats(),
      orders: orderStats(),
    }),
    onReady: ready.listen,
    readiness: () => readinessOf(outbox, checkpointer, gate),
    async stop(deadline) {
      atDeadline(deadline, () => {
        outbox.stop()
        void checkpointer.stop()
      })
      const { consumer } = consumerRef
      consumer?.pause(read)
      // Before leaving the group, because only a member may commit; the checkpoint after it takes what the last batch changed.
      await checkpointer.now().catch(() => {})
      await commits.settled()
      await consumer?.stop()
      await checkpointer.stop()
      outbox.stop()
    },
  }
}

/** Moves the group's positions after each checkpoint, for lag and for O4 only: the store's are the truth. */
function createCommits(consumerRef: { readonly consumer?: Consumer }, logger: Logger) {
  let last: Promise<void> | undefined
  return {
    commit(positions: Positions): void {
      last = consumerRef.consumer
        ?.commit(positions)
        .catch((error: unknown) => logger.debug({ err: error, role: 'orders' }, 'Positions not committed'))
    },
    settled: async () => last,
  }
}

interface OrderCheckpointerOptions extends Pick<
  OrderHostOptions,
  'logger' | 'store' | 'checkpointMs' | 'checkpointOrdersMax'
> {
  readonly clock: Clock
  readonly cache: OrderCache
  readonly outbox: Outbox
  readonly sums: { snapshots: number; snapshotBytes: number }
  /** What belongs to the dirty orders of the same moment. */
  readonly cut: () => { positions: Positions; held: LogRecord[] }
  readonly commit: (positions: Positions) => void
}

function createOrderCheckpointer(options: OrderCheckpointerOptions): OrderCheckpointer {
  const { store, cache, outbox, sums } = options
  return createCheckpointer({
    ...options,
    role: 'orders',
    checkpointDirtyMax: options.checkpointOrdersMax,
    cut() {
      const orders = cache.takeDirty()
      return { orders, dirty: orders.map(cutDirtyOrder), ...options.cut() }
    },
    settled: () => outbox.synced(),
    write({ dirty, positions, held }) {
      const chunks = store.checkpoint({ orders: dirty, positions, held })
      sums.snapshots += dirty.length
      for (const { envelope } of dirty) sums.snapshotBytes += envelope.length
      return chunks
    },
    written({ orders, positions }) {
      cache.passivate(orders)
      options.commit(positions)
    },
  })
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
  return {
    announce(orderId: string): void {
      for (const listener of listeners.get(orderId) ?? []) listener()
      listeners.delete(orderId)
    },
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
  if (!gate.isAssigned) reasons.push('The orders role waits for its partitions')
  if (gate.isCatchingUp) reasons.push('The orders role is still reading orders placed before it started')
  if (outbox.failingSince !== undefined) reasons.push('The orders role cannot append to the log')
  if (checkpointer.failingSince !== undefined) reasons.push('The orders role cannot write its state store')
  return { ready: reasons.length === 0, reasons }
}
