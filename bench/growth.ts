/**
 * Growth. What a pizza costs in CPU time when few and when many orders are stored, and in small and in large orders (P8): one shop for each number
 * of stored orders, compared in rounds.
 *
 * G1: before the rounds each shop is started again, so that no process has had more practice than another.
 * G2: the orders role is a process of its own on every log, so that its cost can be told from that of the others.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { EventLog } from '../src/log/event-log.ts'
import { createKafkaLog } from '../src/log/kafka-log.ts'
import { createSqliteLog } from '../src/log/sqlite-log.ts'
import { recipe } from '../src/menu.ts'
import { createTopics } from '../src/topics.ts'
import { runRounds, withShops, type Comparison, type Shop } from './compare.ts'
import { openConnection } from './http-connection.ts'
import { fillOrders } from './memory-fill.ts'
import type { Progress } from './progress.ts'
import type { LoadOptions } from './runs.ts'
import { roles, type LogPlace, type Mode, type ProcessPlan } from './systems.ts'

export interface GrowthPlan {
  /** Stored orders of each shop, fewest first. */
  readonly stored: readonly number[]
  /** Pizzas in an order, fewest first. */
  readonly counts: readonly number[]
  readonly rounds: number
  readonly warmUpS: number
}

export interface Growth extends Pick<GrowthPlan, 'stored' | 'counts'> {
  /** One shop for each number of stored orders, one load for each size of an order. */
  readonly comparison: Comparison
}

export interface GrowthOptions extends GrowthPlan {
  readonly mode: Mode
  readonly dataIn: string
  readonly progress: Progress
}

const partitions = 6
const pollMs = 100
/** A run is long enough for the clock of CPU time, which ticks in hundredths of a second, and leaves the store nearly as it was. */
const pizzasPerRun = 10_000
const pizzasInSmallRun = 4_000
const pizzasInFlight = 4_000
const clientsMax = 256

const processes: readonly ProcessPlan[] = [
  { name: 'orders', roles: ['orders'] },
  { name: 'others', roles: roles.filter((role) => role !== 'orders') },
]

/** Fills the shops and compares them. @throws Error when an order is missing or an answer is wrong. */
export async function runGrowth({ stored, counts, ...options }: GrowthOptions): Promise<Growth> {
  const plans = stored.map((orders) => ({ name: `${orders.toLocaleString('en-US')} stored`, processes }))
  const comparison = await withShops({ ...options, plans }, async (shops) => {
    for (const [index, shop] of shops.entries()) await fillShop(shop, stored[index]!)
    return runRounds(shops, { ...options, loads: counts.map(toLoad) })
  })
  return { stored, counts, comparison }
}

/** Orders of one size, about as many pizzas at a time in each, as far as orders can be divided. */
function toLoad(count: number): LoadOptions {
  return {
    name: `orders of ${count.toLocaleString('en-US')}`,
    count,
    clients: Math.min(clientsMax, Math.ceil(pizzasInFlight / count)),
    watch: { kind: 'wait' },
    warmUpS: 0,
    until: { orders: count === 1 ? pizzasInSmallRun : Math.max(20, Math.ceil(pizzasPerRun / count)) },
  }
}

/** Puts orders of one pizza on the log, which the shop then makes. */
async function fillShop(shop: Shop, orders: number): Promise<void> {
  const { system, progress } = shop
  const { at, topicPrefix: prefix, groupId } = system.logPlace
  const startedAt = performance.now()
  const log = openLog(at)
  try {
    const topics = createTopics(recipe, { prefix, partitions })
    const onProgress = (so: number) => progress.update(`${so} of ${orders} orders`)
    await fillOrders({ log, topics, groupId, roles }, { orders, openEvery: 1, count: 1, onProgress })
  } finally {
    await log.close()
  }
  await untilMade(system.urls[0]!)
  shop.filled = orders
  progress.done(`filled in ${Math.round((performance.now() - startedAt) / 1_000)} s`)
  await system.kill()
  await system.start()
}

async function untilMade(url: string): Promise<void> {
  const connection = await openConnection(url)
  const isMade = async () => {
    if ((await connection.request('GET', '/readyz')).status !== 200) return false
    const { body } = await connection.request('GET', '/orders?status=preparing&limit=1')
    return (JSON.parse(body) as { orders: unknown[] }).orders.length === 0
  }
  while (!(await isMade())) await sleep(pollMs)
  connection.close()
}

function openLog(at: LogPlace['at']): EventLog {
  if ('file' in at) return createSqliteLog(at)
  return createKafkaLog({ connection: { brokers: [at.bootstrapServers], clientId: 'bench', ssl: false } })
}
