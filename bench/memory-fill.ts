/**
 * Memory fill. Puts orders and their toppings on a shop's log as POST and the topping services would, in waves that have been
 * read before the next one comes. The orders left open are spread over all of them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import { readLags } from '../src/actors/lag.ts'
import type { AppendRecord, EventLog } from '../src/log/event-log.ts'
import { createSqliteLog } from '../src/log/sqlite-log.ts'
import { choose, recipe } from '../src/menu.ts'
import { printOrder } from '../src/records.ts'
import { createTopics, type Topics } from '../src/topics.ts'

export interface Fill {
  readonly orders: number
  /** One order in so many stays open. */
  readonly openEvery: number
  /** Pizzas in each order. */
  readonly count: number
  readonly onProgress: (orders: number) => void
}

const waveOrders = 1_000
/** Records the orders role may be behind before the next wave. */
const behindMax = 20_000
const pollMs = 20
/** So that the ids of a million orders need not be kept: of these many, evenly spread, the id is told. */
const idsTold = 20_000

/** The log to fill, and who has to have read it. */
export interface Filled {
  readonly log: EventLog
  readonly topics: Topics
  readonly groupId: string
  readonly roles: readonly string[]
}

/** Fills an embedded log and waits until the orders role has read it. @returns ids spread over all orders. */
export async function fillLog(file: string, fill: Fill): Promise<string[]> {
  const topics = createTopics(recipe, { prefix: '', partitions: 6 })
  const log = createSqliteLog({ file })
  try {
    return await fillOrders({ log, topics, groupId: 'pizza-actors', roles: ['orders'] }, fill)
  } finally {
    await log.close()
  }
}

/** Fills a log and waits until it has been read. @returns ids spread over all orders. */
export async function fillOrders(filled: Filled, fill: Fill): Promise<string[]> {
  const told: string[] = []
  const every = Math.max(1, Math.floor(fill.orders / idsTold))
  for (let from = 0; from < fill.orders; from += waveOrders) {
    const numbers = Array.from({ length: Math.min(waveOrders, fill.orders - from) }, (_, index) => from + index)
    const ids = numbers.map(() => BigInt(`0x${uuidv7().replaceAll('-', '')}`).toString())
    told.push(...ids.filter((_, index) => numbers[index]! % every === 0))
    await appendWave(filled, ids, { fill, isOpen: (index) => numbers[index]! % fill.openEvery === 0 })
    await behindAtMost(filled, behindMax)
    fill.onProgress(from + ids.length)
  }
  await behindAtMost(filled, 0)
  return told
}

async function appendWave(
  { log, topics }: Filled,
  ids: readonly string[],
  { fill: { count }, isOpen }: { fill: Fill; isOpen: (index: number) => boolean },
): Promise<void> {
  const placedAt = Date.now()
  const orders = ids.map((order_id) => ({
    topic: topics.orders,
    key: order_id,
    value: printOrder({ order_id, count, placedAt }),
  }))
  await log.append(orders, { durability: 'ordered' })
  for (const [step, { topping }] of recipe.entries()) {
    const topic = topics.stages.get(topping)!.to
    const records = ids.flatMap((id, index) => (isOpen(index) ? [] : toToppings(topic, id, count, step)))
    await log.append(records, { durability: 'ordered' })
  }
}

/** What the service of the topping `recipe[step]` appends for one order. */
function toToppings(topic: string, order_id: string, count: number, step: number): AppendRecord[] {
  return Array.from({ length: count }, (_, index) => {
    const pizza_id = index + 1
    const made = recipe.map(({ topping, menu }, at) => [
      topping,
      at > step ? '' : choose(menu, `${order_id}/${pizza_id}/${topping}`),
    ])
    return { topic, key: order_id, value: JSON.stringify({ order_id, pizza_id, ...Object.fromEntries(made) }) }
  })
}

async function behindAtMost({ log, topics, groupId, roles }: Filled, recordsMax: number): Promise<void> {
  for (;;) {
    const lags = await readLags(log, topics, groupId, roles)
    if (lags.reduce((sum, { lag }) => sum + lag, 0) <= recordsMax) return
    await sleep(pollMs)
  }
}
