/**
 * Systems. The shop in the two shapes that are measured: embedded (every role in one process on the embedded log) and Kafka
 * (every role a process of its own, and a real broker). Owns the processes and the folder of their data.
 */
import { rmSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { startBroker, type Broker } from '../scripts/kafka-broker.ts'
import { startShopProcess, type ShopProcess } from '../test/support/shop-process.ts'
import type { Pids } from './processes.ts'

export type Mode = 'embedded' | 'kafka'

export interface System {
  readonly url: string
  readonly reportUrl: string
  /** The shop's processes by role, and `broker`. */
  pids(): Pids
  /** Kills every process of the shop at once, as a crash does. The broker stays. */
  kill(): Promise<void>
  /** Starts the shop again on what it left behind. `onOrders` is told the address as soon as the orders role answers. */
  start(onOrders?: (url: string) => void): Promise<void>
  /** Ends everything and deletes the data. */
  stop(): Promise<void>
}

export interface SystemOptions {
  readonly mode: Mode
  /** A folder for the data is made in here and deleted at the end. */
  readonly dataIn: string
  /** Environment of the shop's processes by role (`all` when there is one process), for profiling. */
  readonly envOf?: (role: string) => Readonly<Record<string, string>>
  /** Further flags of the shop. */
  readonly args?: readonly string[]
}

const kafkaRoles = ['orders', 'sauce', 'cheese', 'meats', 'veggies', 'cheese-reporter']

/** Makes Ctrl-C and SIGTERM an exit like any other, so that what was started is ended and what was written is deleted. */
export function endOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]))
  }
}

/** Starts a shop with nothing in it. */
export async function startSystem({ mode, dataIn, envOf = () => ({}), args = [] }: SystemOptions): Promise<System> {
  const dir = await mkdtemp(join(dataIn, 'pizza-bench-'))
  // The processes end with this one whatever ends it (shop-process.ts, kafka-broker.ts); this is for what they leave behind.
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  let broker: Broker | undefined
  let shops: ShopProcess[] = []
  const stopAll = async (): Promise<void> => {
    await Promise.all(shops.map((shop) => shop.stop()))
    await broker?.stop()
    await rm(dir, { recursive: true, force: true })
  }

  const startOne = async (role: string, onOrders?: (url: string) => void): Promise<ShopProcess> => {
    const isWhole = role === 'all'
    const shop = await startShopProcess({
      dataDir: join(dir, isWhole ? 'data' : role),
      roles: isWhole ? [] : [role],
      ...(broker !== undefined && { configFile: join(dir, 'config.properties') }),
      args: ['--log-level', 'warn', ...args],
      env: envOf(role),
    })
    if (shop.url !== undefined) onOrders?.(shop.url)
    return shop
  }

  const start = async (onOrders?: (url: string) => void): Promise<void> => {
    const starts = await Promise.allSettled(
      (mode === 'embedded' ? ['all'] : kafkaRoles).map((role) => startOne(role, onOrders)),
    )
    shops = starts.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    const failed = starts.find((one) => one.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  try {
    if (mode === 'kafka') {
      broker = await startBroker({ dir: join(dir, 'broker') })
      await writeFile(join(dir, 'config.properties'), `bootstrap.servers=${broker.bootstrapServers}\n`)
    }
    await start()
  } catch (error) {
    await stopAll()
    throw error
  }
  return {
    get url() {
      return shops.find(({ url }) => url !== undefined)!.url!
    },
    get reportUrl() {
      return shops.find(({ reportUrl }) => reportUrl !== undefined)!.reportUrl!
    },
    pids() {
      const named = shops.map(({ roles, pid }) => [roles[0] ?? 'shop', pid] as const)
      return Object.fromEntries(broker?.pid === undefined ? named : [...named, ['broker', broker.pid]])
    },
    async kill() {
      await Promise.all(shops.map((shop) => shop.kill()))
    },
    start,
    stop: stopAll,
  }
}
