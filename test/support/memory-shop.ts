/**
 * Memory shop. Roles on one shared MemoryStorage with real state stores in a temp folder: what survives a crash is the storage
 * and the folder, and a started role stands for one process.
 *
 * W1: `crash` abandons a role as kill -9 would: its log handle is gone, its store is closed and writes nothing any more.
 * W2: whatever a test leaves running is crashed when the test ends, and its folder is removed.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { startCheeseReporter } from '../../src/actors/cheese-reporter.ts'
import { startOrderHost, type OrderHost } from '../../src/actors/order-host.ts'
import { createOrderService } from '../../src/actors/order-service.ts'
import { createOrderStore, type OrderStore } from '../../src/actors/order-store.ts'
import type { Orders } from '../../src/actors/orders.ts'
import { createReportStore, type ReportStore } from '../../src/actors/report-store.ts'
import type { Report } from '../../src/actors/report.ts'
import type { Role } from '../../src/actors/role.ts'
import { startToppingService } from '../../src/actors/topping-service.ts'
import { verify, type Verdict } from '../../src/actors/verify.ts'
import type { AppendRecord, EventLog, LogRecord } from '../../src/log/event-log.ts'
import { createMemoryLog, createMemoryStorage, type MemoryLog, type MemoryStorage } from '../../src/log/memory-log.ts'
import { createLogger, type Logger } from '../../src/logger.ts'
import { recipe as ourRecipe, type Recipe } from '../../src/menu.ts'
import { createTopics, type Topics } from '../../src/topics.ts'

export interface MemoryShopOptions {
  readonly partitions?: number
  readonly recipe?: Recipe
  /** Whether order hosts hand partitions over (default: there is one). */
  readonly hasSnapshots?: boolean
  /** What the order host is told unless a start says otherwise. */
  readonly host?: Partial<HostSettings>
}

export interface HostSettings {
  readonly liveActorsMax: number
  readonly checkpointMs: number
  readonly checkpointOrdersMax: number
  readonly behindRecordsMax: number
  readonly readyOrdersHours?: number
  readonly standbyMs?: number
  /** Puts something between the role and its log, or its store. */
  readonly wrapLog: (log: EventLog) => EventLog
  readonly wrapStore: (store: OrderStore) => OrderStore
  /** Names the file of the state store: each host has its own. */
  readonly name: string
  /** Where other hosts reach it (default: its name). */
  readonly address?: string
}

/** A line some role logged. */
export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly [field: string]: unknown
}

interface Running {
  /** Ends it as kill -9 would. Safe to call twice. */
  crash(): void
  stop(): Promise<void>
}

export interface RunningHost extends Running {
  readonly host: OrderHost
  readonly orders: Orders
  readonly store: OrderStore
}

export interface RunningReporter extends Running {
  readonly report: Role & Report
  readonly store: ReportStore
}

export interface RunningTopping extends Running {
  readonly role: Role
}

export interface MemoryShop {
  readonly storage: MemoryStorage
  readonly topics: Topics
  readonly recipe: Recipe
  readonly dir: string
  readonly orderFile: string
  readonly reportFile: string
  readonly logger: Logger
  readonly logged: LogLine[]
  /** A handle for the test itself. */
  readonly log: MemoryLog
  append(...records: AppendRecord[]): Promise<void>
  /** Every record of a topic, by partition, then offset. */
  records(topic: string): LogRecord[]
  startHost(settings?: Partial<HostSettings>): Promise<RunningHost>
  startTopping(topping: string, wrapLog?: (log: EventLog) => EventLog): Promise<RunningTopping>
  startToppings(): Promise<RunningTopping[]>
  startReporter(options?: ReporterOptions): Promise<RunningReporter>
  /** Compares the store of a host (default: of the only one) with the log. */
  verify(options?: { ordersPerPart?: number; name?: string }): Promise<Verdict>
}

export interface ReporterOptions {
  readonly wrapLog?: (log: EventLog) => EventLog
  readonly wrapStore?: (store: ReportStore) => ReportStore
  readonly checkpointMs?: number
  /** Names the file of the store (default `report`): each reporter has its own. */
  readonly name?: string
  /** Where other reporters reach it (default: its name). */
  readonly address?: string
}

const hostDefaults: HostSettings = {
  liveActorsMax: 20_000,
  checkpointMs: 1,
  checkpointOrdersMax: 1_000,
  behindRecordsMax: 1_000_000,
  wrapLog: (log) => log,
  wrapStore: (store) => store,
  name: 'orders',
}

/** Opens the storage and the folder, with every topic and no role. */
export async function openMemoryShop(options: MemoryShopOptions = {}): Promise<MemoryShop> {
  const { partitions = 2, recipe = ourRecipe, hasSnapshots = false } = options
  const dir = mkdtempSync(join(tmpdir(), 'pizza-actors-'))
  const running = new Set<Running>()
  onTestFinished(() => {
    for (const one of running) one.crash()
    rmSync(dir, { recursive: true })
  })
  const storage = createMemoryStorage()
  const topics = createTopics(recipe, { prefix: '', partitions, hasSnapshots })
  const log = createMemoryLog({ storage })
  await log.ensureTopics(topics.specs)
  const logged: LogLine[] = []
  const destination = { write: (line: string) => void logged.push(JSON.parse(line) as LogLine) }
  const logger = await createLogger({ level: 'debug', destination, format: 'json' })
  const files = { orderFile: join(dir, 'orders.sqlite'), reportFile: join(dir, 'report.sqlite') }
  const starter: Starter = { storage, topics, recipe, logger, running, dir, ...files }
  return {
    storage,
    topics,
    recipe,
    dir,
    ...files,
    logger,
    logged,
    log,
    async append(...records) {
      await log.append(records)
    },
    records: (topic) => storage.topics.get(topic)!.flatMap(({ records }) => records),
    startHost: (settings) => startHost(starter, { ...hostDefaults, ...options.host, ...settings }),
    startTopping: (topping, wrapLog) => startTopping(starter, topping, wrapLog),
    startToppings: () => Promise.all(recipe.map(({ topping }) => startTopping(starter, topping))),
    startReporter: (reporter) => startReporter(starter, reporter),
    async verify({ name = 'orders', ...parts } = {}) {
      const orderStore = createOrderStore(join(dir, `${name}.sqlite`), { readOnly: true })
      try {
        return await verify({ log, recipe, topics, orderStore, ...parts })
      } finally {
        orderStore.close()
      }
    },
  }
}

interface Starter {
  readonly storage: MemoryStorage
  readonly topics: Topics
  readonly recipe: Recipe
  readonly logger: Logger
  readonly running: Set<Running>
  readonly dir: string
  readonly reportFile: string
}

async function startHost(starter: Starter, settings: HostSettings): Promise<RunningHost> {
  const { storage, topics, recipe, logger, running, dir } = starter
  const log = createMemoryLog({ storage })
  const file = join(dir, `${settings.name}.sqlite`)
  const { store, ...end } = createEnd(log, createOrderStore(file), running)
  const wrapped = { log: settings.wrapLog(log), store: settings.wrapStore(store) }
  const groupId = 'pizza-actors.orders'
  const { address = settings.name } = settings
  const host = await startOrderHost({ ...settings, ...wrapped, logger, recipe, topics, groupId, address })
  const orders = createOrderService({ ...wrapped, host, topics })
  return { host, orders, store: wrapped.store, ...end.of(host) }
}

async function startTopping(
  starter: Starter,
  topping: string,
  wrapLog = (log: EventLog) => log,
): Promise<RunningTopping> {
  const { storage, topics, recipe, logger, running } = starter
  const log = createMemoryLog({ storage, commitMs: 1 })
  const end = createEnd(log, { close() {} }, running)
  const role = await startToppingService({
    log: wrapLog(log),
    logger,
    step: recipe.find((step) => step.topping === topping)!,
    ...topics.stages.get(topping)!,
    deadLetters: topics.deadLetters,
    groupId: `pizza-actors.${topping}`,
    startFrom: 'earliest',
  })
  return { role, ...end.of(role) }
}

async function startReporter(starter: Starter, options: ReporterOptions = {}): Promise<RunningReporter> {
  const { wrapLog = (log: EventLog) => log, wrapStore = (store: ReportStore) => store, checkpointMs = 1 } = options
  const { name = 'report', address = name } = options
  const { storage, topics, logger, running, dir } = starter
  const log = createMemoryLog({ storage })
  const { store, ...end } = createEnd(log, createReportStore(join(dir, `${name}.sqlite`)), running)
  const { to: topic } = topics.stages.get('cheese')!
  const { deadLetters } = topics
  const wrapped = wrapStore(store)
  const groupId = 'pizza-actors.cheese-reporter'
  const report = await startCheeseReporter({
    log: wrapLog(log),
    logger,
    store: wrapped,
    topic,
    deadLetters,
    groupId,
    checkpointMs,
    address,
  })
  return { report, store: wrapped, ...end.of(report) }
}

/** How a role ends. A crashed process reads and writes no file: its store answers nothing and keeps nothing. */
function createEnd<Store extends { close(): void; checkpoint?(checkpoint: never): unknown }>(
  log: MemoryLog,
  opened: Store,
  running: Set<Running>,
) {
  let isCrashed = false
  const guarded = { checkpoint: (checkpoint: never) => (isCrashed ? [] : opened.checkpoint?.(checkpoint)) }
  const store: Store = { ...opened, ...guarded }
  return {
    store,
    of(role: Role): Running {
      const one: Running = {
        crash() {
          running.delete(one)
          if (isCrashed) return
          isCrashed = true
          log.crash()
          opened.close()
        },
        async stop() {
          await role.stop(new AbortController().signal)
          await log.close()
          opened.close()
          isCrashed = true
          running.delete(one)
        },
      }
      running.add(one)
      return one
    },
  }
}

/** A condition that has not come true by then never will: the test has its reason before its own time is up. */
const patienceMs = 8_000

/** Resolves when the condition holds. It is looked at in every turn of the event loop, so nothing depends on time. */
export async function until(isTrue: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + patienceMs
  while (!isTrue()) {
    if (performance.now() > giveUpAt) throw new Error(`This never became true: ${isTrue.toString()}`)
    await nextTurn()
  }
}

/** A record of topic `orders`. */
export function orderRecord(topics: Topics, order_id: string, count: number, placed_at?: string): AppendRecord {
  return { topic: topics.orders, key: order_id, value: JSON.stringify({ order_id, count, placed_at }) }
}

/** A record of a topping's topic with that topping only; without a pizza id when it is `undefined`. */
export function toppedRecord(
  topics: Topics,
  topping: string,
  pizza: { order_id: string; pizza_id: number | undefined; choice: string },
): AppendRecord {
  const { order_id, pizza_id, choice } = pizza
  const value = JSON.stringify({ order_id, pizza_id, [topping]: choice })
  return { topic: topics.stages.get(topping)!.to, key: order_id, value }
}
