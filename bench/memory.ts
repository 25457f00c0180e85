/**
 * Memory. How much the orders role holds when a million orders are stored and a fifth of them is open, because no topping service
 * runs: while it takes them, at rest, while customers read, and when it starts again on that store.
 */
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startShopProcess, type ShopProcess } from '../test/support/shop-process.ts'
import { openConnection, type Connection } from './http-connection.ts'
import { fillLog } from './memory-fill.ts'
import { readMemoryMb } from './processes.ts'
import type { Progress } from './progress.ts'

export interface MemoryPhase {
  readonly name: string
  readonly seconds: number
  /** Resident, at the end of the phase and at most during it. */
  readonly endMb: number
  readonly peakMb: number
  /** What V8 has of it for objects, and how much of that holds some, garbage included. */
  readonly heapMb: number
  readonly heapUsedMb: number
  readonly externalMb: number
  readonly liveActors: number
}

export interface Memory {
  readonly orders: number
  readonly open: number
  readonly phases: readonly MemoryPhase[]
}

export interface MemoryOptions {
  readonly orders: number
  /** A folder for the data is made in here and deleted at the end. */
  readonly dataIn: string
  readonly progress: Progress
}

const openEvery = 5
const count = 2
const restS = 15
const readS = 20
const readers = 16
const listRows = 50

/** Fills a shop and measures its orders role. @throws Error when an order is missing or an answer is wrong. */
export async function runMemory({ orders, dataIn, progress }: MemoryOptions): Promise<Memory> {
  const dataDir = await mkdtemp(join(dataIn, 'pizza-memory-'))
  const open = Math.ceil(orders / openEvery)
  const phases: MemoryPhase[] = []
  const start = () => startShopProcess({ roles: ['orders'], dataDir, args: ['--log-level', 'warn'] })
  let shop = await start()

  const phase = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    progress.update(name)
    const result = await measure(name, () => shop, work)
    phases.push(result.phase)
    const { seconds, endMb, peakMb, heapMb, heapUsedMb, liveActors } = result.phase
    progress.done(
      `${name}: ${endMb} MB (at most ${peakMb}, heap ${heapUsedMb} of ${heapMb}, ${liveActors} actors) after ${Math.round(seconds)} s`,
    )
    return result.value
  }

  try {
    await phase('started with nothing', () => sleep(2_000))
    const ids = await phase('filled', () =>
      fillLog(join(dataDir, 'log.sqlite'), {
        orders,
        openEvery,
        count,
        onProgress: (filled) => progress.update(`filled: ${filled} of ${orders} orders`),
      }),
    )
    await phase('at rest', () => sleep(restS * 1_000))
    await phase('read', () => readFor(shop.url!, ids, readS * 1_000))
    await shop.stop()
    await phase('started again', async () => {
      shop = await start()
      await untilReady(shop.url!)
    })
    await phase('read again', () => readFor(shop.url!, ids, readS * 1_000))
    return { orders, open, phases }
  } finally {
    await shop.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function measure<T>(
  name: string,
  shop: () => ShopProcess,
  work: () => Promise<T>,
): Promise<{ value: T; phase: MemoryPhase }> {
  resetPeak(shop().pid)
  const startedAt = performance.now()
  const value = await work()
  const seconds = (performance.now() - startedAt) / 1_000
  const pids = { shop: shop().pid }
  const endMb = readMemoryMb(pids, 'now')['shop'] ?? 0
  const peakMb = readMemoryMb(pids, 'peak')['shop'] ?? 0
  // After the reading, because the first scrape loads modules and counts every order.
  const metric = await scrape(shop().url!)
  const toMb = (bytes: number) => Math.round(bytes / 2 ** 20)
  const heapMb = toMb(metric('nodejs_heap_size_total_bytes'))
  const heapUsedMb = toMb(metric('nodejs_heap_size_used_bytes'))
  const externalMb = toMb(metric('nodejs_external_memory_bytes'))
  return {
    value,
    phase: { name, seconds, endMb, peakMb, heapMb, heapUsedMb, externalMb, liveActors: metric('pizza_live_actors') },
  }
}

/** Makes the kernel count the highest resident size anew. Elsewhere than on Linux peaks are since the process began. */
function resetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5')
  } catch {
    // Not Linux, or the process has ended.
  }
}

async function scrape(url: string): Promise<(name: string) => number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return (name) => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1] ?? NaN)
}

async function untilReady(url: string): Promise<void> {
  const connection = await openConnection(url)
  while ((await connection.request('GET', '/readyz')).status !== 200) await sleep(20)
  connection.close()
}

/** Customers who read: an order, its history, a page of the list, each from anywhere in the store. */
async function readFor(url: string, ids: readonly string[], ms: number): Promise<void> {
  const until = performance.now() + ms
  let next = 0
  const read = async (connection: Connection): Promise<void> => {
    let after = ''
    while (performance.now() < until) {
      // A stride that has no divisor in common with the number of ids comes to every one of them.
      const id = ids[(next++ * 7_919) % ids.length]!
      await get(connection, `/order/${id}`)
      await get(connection, `/order/${id}/history`)
      const page = await get(connection, `/orders?limit=${listRows}${after}`)
      const cursor = (JSON.parse(page) as { next: string | null }).next
      after = cursor === null ? '' : `&after=${cursor}`
    }
    connection.close()
  }
  const connections = await Promise.all(Array.from({ length: readers }, () => openConnection(url)))
  await Promise.all(connections.map(read))
}

async function get(connection: Connection, path: string): Promise<string> {
  const { status, body } = await connection.request('GET', path)
  if (status !== 200) throw new Error(`GET ${path} answered ${status}: ${body}`)
  return body
}
