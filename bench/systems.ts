/**
 * Systems. The shop in the two shapes that are measured: embedded (every role in one process on the embedded log) and Kafka
 * (every role a process of its own, and a real broker), or in other processes where a run asks for them. Owns the processes and the
 * folder of their data.
 */
import { rmSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { basename, join } from 'node:path'
import { startBroker, type Broker } from '../scripts/kafka-broker.ts'
import { recipe } from '../src/menu.ts'
import { startShopProcess, type ShopProcess } from '../test/support/shop-process.ts'
import type { Pids } from './processes.ts'

export type Mode = 'embedded' | 'kafka'

/** One process of a shop. */
export interface ProcessPlan {
  /** What the figures call it; more processes of one role are told apart by a number (`orders 2`). */
  readonly name: string
  /** None means every role. */
  readonly roles: readonly string[]
}

export interface System {
  readonly mode: Mode
  /** Where orders are taken: one address for each process with the role. */
  readonly urls: readonly string[]
  readonly reportUrl: string
  /** What the shop's log is opened by, to put records on it beside the shop. */
  readonly logPlace: LogPlace
  /** The shop's processes by name, and `broker`. */
  pids(): Pids
  /** Kills every process of the shop at once, as a crash does. The broker stays. */
  kill(): Promise<void>
  /** Starts the shop again on what it left behind. `onOrders` is told the address as soon as the orders role answers. */
  start(onOrders?: (url: string) => void): Promise<void>
  /** Ends everything and deletes the data. */
  stop(): Promise<void>
}

export interface LogPlace {
  /** A file of the embedded log, or the brokers of a cluster. */
  readonly at: { readonly file: string } | { readonly bootstrapServers: string }
  readonly topicPrefix: string
  readonly groupId: string
}

export interface SystemOptions {
  readonly mode: Mode
  /** A folder for the data is made in here and deleted at the end. */
  readonly dataIn: string
  /** Default: one process on the embedded log, one for each role on Kafka. */
  readonly processes?: readonly ProcessPlan[]
  /** A broker that others use too and that stays (default: one of its own); the shop then has topics and groups of its own there. */
  readonly broker?: Broker
  /** Folder of the checkout to run (default: this one). */
  readonly projectDir?: string
  /** Environment of the shop's processes by name, for profiling. */
  readonly envOf?: (name: string) => Readonly<Record<string, string>>
  /** Further flags of the shop. */
  readonly args?: readonly string[]
}

export const roles = ['orders', ...recipe.map(({ topping }) => topping), 'cheese-reporter'] as const

/** Makes Ctrl-C and SIGTERM an exit like any other, so that what was started is ended and what was written is deleted. */
export function endOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]))
  }
}

/** A folder that is deleted when this process ends. */
export async function createDataDir(dataIn: string): Promise<string> {
  const dir = await mkdtemp(join(dataIn, 'pizza-bench-'))
  // The processes end with this one whatever ends it (shop-process.ts, kafka-broker.ts); this is for what they leave behind.
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Starts a shop with nothing in it. */
export async function startSystem(options: SystemOptions): Promise<System> {
  const { mode, dataIn } = options
  const dir = await createDataDir(dataIn)
  let ownBroker: Broker | undefined
  let shops: readonly Running[] = []
  const stopAll = async (): Promise<void> => {
    await Promise.all(shops.map(({ shop }) => shop.stop()))
    await ownBroker?.stop()
    await rm(dir, { recursive: true, force: true })
  }
  try {
    if (mode === 'kafka' && options.broker === undefined) ownBroker = await startBroker({ dir: join(dir, 'broker') })
    const broker = options.broker ?? ownBroker
    const logPlace = broker ? await placeOnKafka(broker, dir) : placeInFile(dir)
    const start = async (onOrders?: (url: string) => void): Promise<void> => {
      const started = await startAll({ ...options, dir, logPlace, onOrders })
      shops = started.shops
      if (started.failed) throw started.failed.reason
    }
    await start()
    const all = () => shops.map(({ shop }) => shop)
    return {
      mode,
      logPlace,
      get urls() {
        return all().flatMap(({ url }) => url ?? [])
      },
      get reportUrl() {
        return all().find(({ reportUrl }) => reportUrl !== undefined)!.reportUrl!
      },
      pids() {
        const named = shops.map(({ name, shop }) => [name, shop.pid] as const)
        return Object.fromEntries(broker?.pid === undefined ? named : [...named, ['broker', broker.pid]])
      },
      async kill() {
        await Promise.all(all().map((shop) => shop.kill()))
      },
      start,
      stop: stopAll,
    }
  } catch (error) {
    await stopAll()
    throw error
  }
}

interface Running {
  readonly name: string
  readonly shop: ShopProcess
}

interface StartOptions extends SystemOptions {
  readonly dir: string
  readonly logPlace: LogPlace
  readonly onOrders: ((url: string) => void) | undefined
}

/** Starts every process; those that did start are the caller's to end when one did not. */
async function startAll(options: StartOptions) {
  const { mode, processes = usualProcesses(mode) } = options
  const starts = await Promise.allSettled(processes.map((plan) => startOne(plan, options)))
  const shops = starts.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  return { shops, failed: starts.find((one) => one.status === 'rejected') }
}

async function startOne({ name, roles }: ProcessPlan, options: StartOptions): Promise<Running> {
  const { dir, logPlace, onOrders, projectDir, envOf = () => ({}), args = [] } = options
  const isKafka = 'bootstrapServers' in logPlace.at
  const shop = await startShopProcess({
    // On the embedded log the folder is what the processes of a shop share; on Kafka each has its own state.
    dataDir: join(dir, isKafka ? name.replaceAll(' ', '-') : 'data'),
    roles,
    ...(isKafka && { configFile: join(dir, 'config.properties') }),
    ...(projectDir !== undefined && { projectDir }),
    args: ['--log-level', 'warn', ...(isKafka ? ['--topic-prefix', logPlace.topicPrefix] : []), ...args],
    env: envOf(name),
  })
  if (shop.url !== undefined) onOrders?.(shop.url)
  return { name, shop }
}

function usualProcesses(mode: Mode): readonly ProcessPlan[] {
  return mode === 'embedded' ? [{ name: 'shop', roles: [] }] : roles.map((role) => ({ name: role, roles: [role] }))
}

function placeInFile(dir: string): LogPlace {
  return { at: { file: join(dir, 'data', 'log.sqlite') }, topicPrefix: '', groupId: 'pizza-actors' }
}

/** Topics and groups named after the shop's folder, so that shops on one broker have nothing in common. */
async function placeOnKafka({ bootstrapServers }: Broker, dir: string): Promise<LogPlace> {
  const groupId = basename(dir)
  await writeFile(join(dir, 'config.properties'), `bootstrap.servers=${bootstrapServers}\ngroup.id=${groupId}\n`)
  return { at: { bootstrapServers }, topicPrefix: `${groupId}-`, groupId }
}
