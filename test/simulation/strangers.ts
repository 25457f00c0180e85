/**
 * Strangers. Other programs that write to the shop's topics: bad records, orders told twice, toppings that come before their order.
 * Remembers which role must leave a dead letter for which record.
 */
import type { AppendRecord, Coordinates } from '../../src/log/event-log.ts'
import type { MemoryLog } from '../../src/log/memory-log.ts'
import { recipe } from '../../src/menu.ts'
import type { Topics } from '../../src/topics.ts'
import type { Random } from '../support/random.ts'
import type { Cluster } from './cluster.ts'

/** Somebody who must refuse a record, by name and by the record's coordinates. */
export interface Refusal {
  readonly role: string
  readonly at: Coordinates
}

export interface Strangers {
  readonly refusals: readonly Refusal[]
  /** Orders they placed, and their counts. */
  readonly orders: ReadonlyMap<string, number>
  readonly areDone: boolean
}

export interface StrangersOptions {
  readonly cluster: Cluster
  readonly log: MemoryLog
  readonly topics: Topics
  readonly random: Random
}

/** Who reads a topic, and so refuses what nobody can read. */
function readersOf(topics: Topics, topic: string): string[] {
  const next = [...topics.stages].filter(([, { from }]) => from === topic).map(([topping]) => topping)
  const host = topic === topics.orders || topics.toppingOf.has(topic) ? ['orders'] : []
  const reporter = topic === topics.stages.get('cheese')!.to ? ['cheese-reporter'] : []
  return [...host, ...next, ...reporter]
}

/** Lets them write for a while. */
export function startStrangers({ cluster, log, topics, random }: StrangersOptions): Strangers {
  const refusals: Refusal[] = []
  const orders = new Map<string, number>()
  const write = async (record: AppendRecord, roles: readonly string[]): Promise<void> => {
    await cluster.world.sleep(random.below(40))
    for (;;) {
      const at = await log.append([record]).catch(() => undefined)
      if (at !== undefined) return roles.forEach((role) => void refusals.push({ role, at: at[0]! }))
      await cluster.world.sleep(20)
    }
  }
  const stages = [...topics.toppingOf]
  const topped = (order_id: string, pizza_id: number | undefined, topping: string, choice: string): AppendRecord => ({
    topic: topics.stages.get(topping)!.to,
    key: order_id,
    value: JSON.stringify({ order_id, pizza_id, [topping]: choice }),
  })

  const writeBad = async (): Promise<void> => {
    const topic = random.pick([topics.orders, topics.pizza, ...topics.toppingOf.keys()])
    const value = random.pick(['no json', null, '[]', '{"order_id":7}', '{"order_id":"a b"}', '{"__proto__":{}}'])
    await write({ topic, key: 'bad', value }, readersOf(topics, topic))
  }
  const writeUnknown = async (): Promise<void> => {
    const [, topping] = random.pick(stages)
    await write(topped('nobody', 1, topping, 'some'), ['orders'])
  }
  const writeEarly = async (name: string): Promise<void> => {
    const count = 1 + random.below(2)
    for (const { topping } of recipe) {
      if (random.oneIn(2)) continue
      const pizza_id = random.oneIn(3) ? undefined : 1 + random.below(count)
      await write(topped(name, pizza_id, topping, `strange ${topping}`), [])
    }
    await write({ topic: topics.orders, key: name, value: JSON.stringify({ order_id: name, count }) }, [])
    orders.set(name, count)
    // A second word about an order that stands changes nothing, whatever it says.
    await write({ topic: topics.orders, key: name, value: JSON.stringify({ order_id: name, count: 9 }) }, [])
    await write(topped(name, count + 1, 'meats', 'some'), ['orders'])
  }

  const all = async (): Promise<void> => {
    for (let index = 0; index < 3; index++) {
      await writeBad()
      await writeUnknown()
      await writeEarly(`stranger-${index}`)
    }
  }
  let areDone = false
  void all().then(() => (areDone = true))
  return {
    refusals,
    orders,
    get areDone() {
      return areDone
    },
  }
}
