/**
 * Check. Proves the promises of a simulated shop that has calmed down. P2 and P3 are the witness's; here are P1 and P4 to P8.
 */
import { verify } from '../../src/actors/verify.ts'
import type { Positions } from '../../src/log/event-log.ts'
import type { MemoryLog, MemoryStorage } from '../../src/log/memory-log.ts'
import { choose, recipe } from '../../src/menu.ts'
import type { Topics } from '../../src/topics.ts'
import type { Witness } from '../support/witness.ts'
import { groupOf, type Cluster } from './cluster.ts'
import { ask, toJson } from './customers.ts'
import { roles } from './plan.ts'
import type { Strangers } from './strangers.ts'

export interface CheckOptions {
  readonly cluster: Cluster
  readonly storage: MemoryStorage
  readonly topics: Topics
  readonly liveActorsMax: number
  /** A handle that nothing happens to. */
  readonly log: MemoryLog
  readonly witness: Witness
  readonly strangers: Strangers | undefined
}

/** Whether every role is up and ready, has read to the end of its topics and written that down. */
export function isCalm({ cluster, storage, topics }: CheckOptions): boolean {
  const instances = [...cluster.instances]
  const isUp = (name: string): boolean => instances.some(({ role }) => role === name)
  if (
    !roles.every(isUp) ||
    instances.some(({ isStopping, running }) => isStopping === true || running?.readiness().ready !== true)
  )
    return false
  const hasRead = (positions: Positions | undefined, names: readonly string[]): boolean =>
    names.every((name) =>
      storage.topics
        .get(name)!
        .every(({ records }, partition) => (positions?.get(name)?.get(partition) ?? 0) === records.length),
    )
  const orders = cluster.orderDisk.open()
  const reads = [topics.orders, ...topics.toppingOf.keys()]
  return (
    // A held record is still on its way to its order or to the dead letters.
    orders.held().length === 0 &&
    hasRead(orders.positions(), reads) &&
    hasRead(cluster.reportDisk.open().positions(), [topics.stages.get('cheese')!.to]) &&
    [...topics.stages].every(([topping, { from }]) => hasRead(storage.committed.get(groupOf(topping)), [from]))
  )
}

/** Looks at everything; what is wrong goes to the witness. */
export async function checkPromises(options: CheckOptions): Promise<void> {
  const { cluster, log, topics, witness, strangers } = options
  for (const [orderId, count] of witness.accepted) await checkOrder(options, orderId, count, true)
  for (const [orderId, count] of strangers?.orders ?? []) await checkOrder(options, orderId, count, false)
  await checkList(options)
  const stores = { orderStore: cluster.orderDisk.open(), reportStore: cluster.reportDisk.open() }
  const { differences } = await verify({ log, recipe, topics, ...stores })
  for (const { where, what } of differences) witness.blame(`${where === 'report' ? 'P7' : 'P4'}: ${where} ${what}`)
  checkMemory(options)
  checkReport(options)
  checkDeadLetters(options)
}

async function checkOrder(
  { cluster, witness }: CheckOptions,
  orderId: string,
  count: number,
  isOurs: boolean,
): Promise<void> {
  const answered = witness.look(orderId)
  const answer = await ask(cluster, async (shop) => ({ order: await shop.get(orderId) }))
  if (answer === undefined)
    return witness.blame(`P1: order ${orderId} cannot be asked for in a shop that has calmed down`)
  const { order } = answer
  answered(order && toJson(order))
  if (order === undefined) return witness.blame(`P1: order ${orderId} is not known`)
  if (order.status !== 'ready' || order.pizzas.length !== count || order.count !== count) {
    return witness.blame(
      `P1: order ${orderId} of ${count} is ${order.status} with ${order.pizzas.length} of ${order.count}`,
    )
  }
  for (const pizza of isOurs ? order.pizzas : []) {
    for (const { topping, menu } of recipe) {
      const chosen = choose(menu, `${orderId}/${pizza.pizza_id}/${topping}`)
      if (pizza[topping] !== chosen)
        witness.blame(
          `P1: order ${orderId} pizza ${pizza.pizza_id} has ${topping} ${String(pizza[topping])}, not ${chosen}`,
        )
    }
  }
}

/** Every order is in the list, once, page by page. */
async function checkList({ cluster, witness, strangers }: CheckOptions): Promise<void> {
  const listed: string[] = []
  let after: string | null | undefined
  while (after !== null) {
    const page = await ask(cluster, (shop) => shop.list({ limit: 3, ...(after !== undefined && { after: after! }) }))
    if (page === undefined) return witness.blame('P1: the list cannot be asked for in a shop that has calmed down')
    for (const { id, status } of page.orders) {
      listed.push(id)
      if (status !== 'ready') witness.blame(`P1: order ${id} is listed as ${status}`)
    }
    after = page.next
  }
  const expected = [...witness.accepted.keys(), ...(strangers?.orders.keys() ?? [])]
  if (listed.toSorted().join() !== expected.toSorted().join())
    witness.blame(`P1: listed are ${listed.join(', ')}, accepted were ${expected.join(', ')}`)
}

/** P8: what is not dirty is at most as much as was configured, and readers wake nothing. */
function checkMemory({ cluster, witness, liveActorsMax }: CheckOptions): void {
  const live = cluster.orders()?.countLive?.() ?? 0
  if (live > liveActorsMax) witness.blame(`P8: ${live} orders are in memory, at most ${liveActorsMax} may be`)
}

/** What the running reporter answers is what its store holds. */
function checkReport({ cluster, witness }: CheckOptions): void {
  const stored = Object.fromEntries([...cluster.reportDisk.open().counts()].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  cluster.each('cheese-reporter', ({ running }) => {
    const answer = JSON.stringify(running?.counts?.())
    if (answer !== JSON.stringify(stored))
      witness.blame(`P7: the report says ${answer}, its store ${JSON.stringify(stored)}`)
  })
}

function checkDeadLetters({ storage, topics, witness, strangers }: CheckOptions): void {
  const found = new Set<string>()
  for (const { headers, value } of storage.topics.get(topics.deadLetters)!.flatMap(({ records }) => records)) {
    const { role, topic, partition, offset, reason } = headers ?? {}
    if (reason === undefined || reason === 'machine-error')
      witness.blame(`P6: a dead letter of ${role} gives ${reason} as its reason: ${String(value)}`)
    found.add(`${role} ${topic}/${partition}/${offset}`)
  }
  for (const { role, at } of strangers?.refusals ?? []) {
    const name = `${role} ${at.topic}/${at.partition}/${at.offset}`
    if (!found.has(name)) witness.blame(`P6: no dead letter from ${name}`)
  }
}
