/**
 * Check. Proves the promises of a simulated shop that has calmed down, over all its hosts together. P2 and P3 are the witness's; here
 * are P1 and P4 to P8; P9 is in check-snapshots.ts.
 */
import type { OrderStore } from '../../src/actors/order-store.ts'
import { verify } from '../../src/actors/verify.ts'
import type { Positions } from '../../src/log/event-log.ts'
import type { MemoryLog, MemoryStorage } from '../../src/log/memory-log.ts'
import { choose, recipe } from '../../src/menu.ts'
import type { Topics } from '../../src/topics.ts'
import type { Random } from '../support/random.ts'
import type { Witness } from '../support/witness.ts'
import { checkSnapshots } from './check-snapshots.ts'
import { groupOf, type Cluster, type HostInstance, type Instance } from './cluster.ts'
import { toJson } from './customers.ts'
import { isHost } from './plan.ts'
import type { Router } from './router.ts'
import type { Strangers } from './strangers.ts'

export interface CheckOptions {
  readonly cluster: Cluster
  readonly router: Router
  readonly random: Random
  readonly storage: MemoryStorage
  readonly topics: Topics
  readonly liveActorsMax: number
  /** How often hosts follow each other; 0 is never. */
  readonly standbyMs: number
  /** A handle that nothing happens to. */
  readonly log: MemoryLog
  readonly witness: Witness
  readonly strangers: Strangers | undefined
}

/** Whether every program is up and ready, has read to the end of its topics and written that down. */
export function isCalm(options: CheckOptions): boolean {
  const { cluster, storage, topics } = options
  const instances = [...cluster.instances]
  const isUp = (name: string): boolean => instances.some(({ unit }) => unit === name)
  if (![...cluster.units].every(isUp) || instances.some(({ isStopping }) => isStopping === true)) return false
  // A host without partitions is never ready: it waits for some to become free.
  const isReady = ({ unit, running }: Instance): boolean =>
    isHost(unit) ? running !== undefined : running?.readiness().ready === true
  if (!instances.every(isReady)) return false
  return (
    areHostsCalm(options) &&
    hasRead(storage, cluster.reportDisk.open().positions(), [topics.stages.get('cheese')!.to]) &&
    [...topics.stages].every(([topping, { from }]) => hasRead(storage, storage.committed.get(groupOf(topping)), [from]))
  )
}

/** Whether the hosts share the partitions evenly, and have read all of them and hold nothing back. */
function areHostsCalm({ cluster, storage, topics, standbyMs }: CheckOptions): boolean {
  const hosts = cluster.hosts()
  const counts = hosts.map(({ shop }) => shop.host.gate.partitions.length)
  // Else some are about to move.
  if (Math.max(...counts) - Math.min(...counts) > 1) return false
  const owners = cluster.owners()
  const isOwner = (host: HostInstance, partition: number): boolean => owners.get(partition) === host
  if (owners.size !== topics.partitions || counts.reduce((sum, count) => sum + count, 0) !== owners.size) return false
  if (!hosts.every((one) => one.shop.host.gate.partitions.every((partition) => isOwner(one, partition)))) return false
  const reads = [topics.orders, ...topics.toppingOf.keys()]
  return hosts.every(({ unit, shop: { host } }) => {
    const { partitions } = host.gate
    const disk = cluster.orderDisks.get(unit)!.open()
    // One that follows the others writes until it has caught up. In a partition of its own, somebody may have claimed it and written before
    // hearing that it is not his: the owner learns of it when it writes, and has nothing to write.
    const isFollowing = topics.snapshots !== undefined && standbyMs > 0
    const others = Array.from({ length: topics.partitions }, (_, p) => p).filter((p) => !partitions.includes(p))
    if (isFollowing && !hasRead(storage, disk.positions(), [topics.snapshots], others)) return false
    // More hosts than partitions: it waits for one of them to leave.
    if (partitions.length === 0) return true
    return (
      host.readiness().ready &&
      // Begun while the world was ill, a call may take seconds, and a list waits for the checkpoint that waits for it.
      !host.checkpointer.isRunning &&
      // A held record is still on its way to its order or to the dead letters.
      !disk.held().some(({ partition }) => partitions.includes(partition)) &&
      hasRead(storage, disk.positions(), reads, partitions)
    )
  })
}

/** Whether positions are at the end of these partitions (default: of all) of topics. */
function hasRead(
  storage: MemoryStorage,
  positions: Positions | undefined,
  names: readonly string[],
  partitions?: readonly number[],
): boolean {
  return names.every((name) =>
    storage.topics
      .get(name)!
      .every(
        ({ records }, partition) =>
          partitions?.includes(partition) === false || (positions?.get(name)?.get(partition) ?? 0) === records.length,
      ),
  )
}

/** Looks at everything; what is wrong goes to the witness. */
export async function checkPromises(options: CheckOptions): Promise<void> {
  const { cluster, log, topics, witness, strangers } = options
  for (const [orderId, count] of witness.accepted) await checkOrder(options, orderId, count, true)
  for (const [orderId, count] of strangers?.orders ?? []) await checkOrder(options, orderId, count, false)
  await checkList(options)
  const { differences } = await verify({ log, recipe, topics, reportStore: cluster.reportDisk.open() })
  for (const { where, what } of differences) witness.blame(`P7: ${where} ${what}`)
  for (const [unit, disk] of cluster.orderDisks) await checkDisk(options, unit, disk.open())
  if (topics.snapshots !== undefined) await checkSnapshots(options, topics.snapshots)
  checkMemory(options)
  checkReport(options)
  checkDeadLetters(options)
}

/** P4: every disk, that of a host that left long ago too, says what the log says up to its own positions. */
async function checkDisk({ log, topics, witness }: CheckOptions, unit: string, orderStore: OrderStore): Promise<void> {
  const { differences } = await verify({ log, recipe, topics, orderStore })
  for (const { where, what } of differences) witness.blame(`P4: on the disk of ${unit}, ${where} ${what}`)
}

async function checkOrder(
  { router, witness }: CheckOptions,
  orderId: string,
  count: number,
  isOurs: boolean,
): Promise<void> {
  const answered = witness.look(orderId)
  const answer = await router.askOwner(orderId, async (shop) => ({ order: await shop.get(orderId) }))
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
async function checkList({ router, witness, strangers }: CheckOptions): Promise<void> {
  const listed: string[] = []
  let after: string | null | undefined
  while (after !== null) {
    const page = await router.list({ limit: 3, ...(after !== undefined && { after }) })
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
  for (const { unit, shop } of cluster.hosts()) {
    const live = shop.host.cache.size
    if (live > liveActorsMax) witness.blame(`P8: ${unit} has ${live} orders in memory, at most ${liveActorsMax} may be`)
  }
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
