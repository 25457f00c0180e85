/**
 * Cluster. The processes of a simulated shop on one memory-log: starts the real roles, crashes, pauses and restarts them.
 *
 * L1: a crashed process does nothing more: its tasks are gone, its log handle and its disk take nothing from it.
 * L2: a program that ended for whatever reason is started again, as a supervisor would, unless it has left.
 * L3: an order host has a disk of its own, and finds it again when it comes back.
 */
import { startCheeseReporter } from '../../src/actors/cheese-reporter.ts'
import { startOrderHost, type OrderHost } from '../../src/actors/order-host.ts'
import { createOrderService } from '../../src/actors/order-service.ts'
import type { OrderStore } from '../../src/actors/order-store.ts'
import type { Orders } from '../../src/actors/orders.ts'
import type { Report } from '../../src/actors/report.ts'
import type { ReportStore } from '../../src/actors/report-store.ts'
import type { Role } from '../../src/actors/role.ts'
import { startToppingService } from '../../src/actors/topping-service.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { createMemoryLog, evictMember, type MemoryLog, type MemoryStorage } from '../../src/log/memory-log.ts'
import type { Logger } from '../../src/logger.ts'
import { recipe } from '../../src/menu.ts'
import type { Topics } from '../../src/topics.ts'
import type { Random } from '../support/random.ts'
import { createOrderDisk, createReportDisk, type Disk, type DiskHooks } from './disks.ts'
import type { Faults } from './faults.ts'
import type { Mutation } from './mutation.ts'
import { isHost, roleOf, unitsOf, type Plan, type Unit } from './plan.ts'
import type { Scheduler, SimProcess } from './scheduler.ts'
import { createSimLog } from './sim-log.ts'

export interface Instance {
  readonly unit: Unit
  readonly process: SimProcess
  readonly log: MemoryLog
  isStopping?: boolean
  /** There once it has started. */
  running?: Role & Partial<Report>
  /** Of the role orders, once it has started. */
  shop?: { readonly host: OrderHost; readonly orders: Orders }
}

/** An order host that is up. */
export type HostInstance = Instance & Required<Pick<Instance, 'shop'>>

export interface ClusterOptions {
  readonly plan: Plan
  readonly scheduler: Scheduler
  readonly storage: MemoryStorage
  readonly topics: Topics
  readonly logger: Logger
  readonly faults: Faults
  readonly random: Random
  readonly mutation: Mutation | undefined
  readonly say: (line: string) => void
}

export interface Cluster {
  /** Of every order host that ever was. */
  readonly orderDisks: ReadonlyMap<Unit, Disk<OrderStore>>
  readonly reportDisk: Disk<ReportStore>
  /** Programs whose disk takes nothing. */
  readonly fullDisks: Set<Unit>
  /** A process that nothing happens to: supervisor and customers live there. */
  readonly world: SimProcess
  readonly instances: ReadonlySet<Instance>
  /** The programs that belong to the shop, up or not. */
  readonly units: ReadonlySet<Unit>
  /** The order hosts that are up. */
  hosts(): HostInstance[]
  /** By partition, the order host that is up and owns it, as the group says; a lone host owns all. */
  owners(): Map<number, HostInstance>
  start(unit: Unit): void
  /** Ends every process of a program; they start again after `downMs`. The group hears of it after a while. */
  crash(unit: Unit, downMs: number): void
  stop(unit: Unit, downMs: number): void
  each(unit: Unit, act: (instance: Instance) => void): void
  /** One more order host, with a disk of its own; one that left may come back with what its disk says. */
  join(): void
  /** An order host stops for good, unless it is the last one. */
  leave(unit: Unit): void
  /** The group takes a member of a role for dead: any, or this one. */
  evict(role: string, instance?: Instance): void
  /** The next checkpoint of the program ends in a crash. */
  armCheckpoint(unit: Unit, when: 'before' | 'after'): void
}

export const groupOf = (role: string): string => `sim.${role}`

const stopDeadlineMs = 500
const stopPatienceMs = 5_000
const hostsMax = 4

export function createCluster(options: ClusterOptions): Cluster {
  const { plan, scheduler, storage, faults, random, say } = options
  const world = scheduler.createProcess('world')
  const instances = new Set<Instance>()
  const units = new Set(unitsOf(plan))
  const orderDisks = new Map([...units].filter(isHost).map((unit) => [unit, createOrderDisk()]))
  const armed = new Map<Unit, 'before' | 'after'>()
  let started = 0

  const ofUnit = (unit: Unit): Instance[] => [...instances].filter((instance) => instance.unit === unit)

  const startAgain = (unit: Unit): void => {
    // It may have left meanwhile, or left and come back: two processes cannot have one disk.
    if (units.has(unit) && !(isHost(unit) && ofUnit(unit).length > 0)) start(unit)
  }

  const end = (instance: Instance, downMs: number): void => {
    if (!instances.delete(instance)) return
    const { unit, process, log } = instance
    process.kill()
    // The group may take its dead member for alive for a while.
    world.schedule(() => log.crash(), random.pick([0, 0, 50, 500]))
    world.schedule(() => startAgain(unit), downMs)
  }

  const start = (unit: Unit): void => {
    const process = scheduler.createProcess(`${unit}-${++started}`)
    const { schedule } = process
    const now = () => process.clock.now()
    const log = createMemoryLog({ storage, schedule, now, commitMs: 20 })
    const instance: Instance = { unit, process, log }
    instances.add(instance)
    say(`${process.name} starts`)
    startRole(options, cluster, instance, hooksOf(instance)).catch((error: unknown) => {
      say(`${process.name} cannot start: ${String(error)}`)
      if (process.isAlive) end(instance, 50)
    })
  }

  const hooksOf = (instance: Instance): DiskHooks => {
    const { unit, process } = instance
    const crashWhen = (when: 'before' | 'after'): void => {
      if (!faults.isOn || armed.get(unit) !== when) return
      armed.delete(unit)
      faults.note(`crash ${when} a checkpoint`)
      say(`${process.name} crashes ${when} its checkpoint`)
      end(instance, 20)
    }
    return {
      beforeWrite() {
        crashWhen('before')
        if (!process.isAlive) throw new Error('A dead process writes nothing')
        if (cluster.fullDisks.has(unit) || faults.happens('checkpoint refused')) throw new Error('The disk is full')
        say(`${process.name} writes to its disk`)
      },
      afterWrite: () => crashWhen('after'),
    }
  }

  const stop = async (instance: Instance, downMs: number): Promise<void> => {
    const { process, running, log } = instance
    instance.isStopping = true
    const deadline = new AbortController()
    process.schedule(() => deadline.abort(), stopDeadlineMs)
    world.schedule(() => end(instance, downMs), stopPatienceMs)
    await running?.stop(deadline.signal)
    await log.close()
    say(`${process.name} has stopped`)
    end(instance, downMs)
  }

  const stopUnit = (unit: Unit, downMs: number): void =>
    ofUnit(unit).forEach((instance) => {
      stop(instance, downMs).catch((error: unknown) => say(`${instance.process.name} cannot stop: ${String(error)}`))
    })

  const hosts = (): HostInstance[] => [...instances].filter((one): one is HostInstance => one.shop !== undefined)

  const cluster: Cluster = {
    orderDisks,
    reportDisk: createReportDisk(),
    fullDisks: new Set(),
    world,
    instances,
    units,
    hosts,
    owners: () => findOwners(options, hosts()),
    start,
    crash: (unit, downMs) => ofUnit(unit).forEach((instance) => end(instance, downMs)),
    stop: stopUnit,
    each: (unit, act) => ofUnit(unit).forEach(act),
    join() {
      if ([...units].filter(isHost).length === hostsMax) return
      const isBack = (unit: Unit): boolean => !units.has(unit) && ofUnit(unit).length === 0
      const back = random.oneIn(2) ? [...orderDisks.keys()].find(isBack) : undefined
      const unit = back ?? `orders-${orderDisks.size + 1}`
      if (back === undefined) orderDisks.set(unit, createOrderDisk())
      units.add(unit)
      start(unit)
    },
    leave(unit) {
      if (!units.has(unit) || [...units].filter(isHost).length === 1) return
      units.delete(unit)
      stopUnit(unit, 0)
    },
    evict(role, instance) {
      const members = [...(storage.groups.get(groupOf(role))?.members.values() ?? [])]
      const index = members.findIndex(({ address }) => address === instance?.process.name)
      if (instance === undefined || index >= 0)
        evictMember(storage, groupOf(role), (count) => (instance === undefined ? random.below(count) : index))
    },
    armCheckpoint: (unit, when) => void armed.set(unit, when),
  }
  return cluster
}

/** A host's address is the name of its process: that of a dead one leads nowhere. */
function findOwners({ plan, storage }: ClusterOptions, hosts: readonly HostInstance[]): Map<number, HostInstance> {
  const found = new Map<number, HostInstance>()
  const { members, owners } = storage.groups.get(groupOf('orders')) ?? {}
  for (let partition = 0; partition < plan.partitions; partition++) {
    const address = members?.get(owners?.get(partition) ?? '')?.address
    const host = plan.hasSnapshots ? hosts.find(({ process }) => process.name === address) : hosts[0]
    if (host !== undefined) found.set(partition, host)
  }
  return found
}

async function startRole(
  options: ClusterOptions,
  cluster: Cluster,
  instance: Instance,
  hooks: DiskHooks,
): Promise<void> {
  const { faults, mutation } = options
  const { unit, process } = instance
  await process.step()
  const simulated = createSimLog(instance.log, process, faults)
  const log = mutation?.log?.(simulated, roleOf(unit), process) ?? simulated
  if (isHost(unit)) await startOrders(options, cluster, { instance, log, hooks })
  else if (unit === 'cheese-reporter') await startReporter(options, cluster, { instance, log, hooks })
  else await startTopping(options, { instance, log })
}

interface Parts {
  readonly instance: Instance
  readonly log: EventLog
  readonly hooks: DiskHooks
}

async function startOrders(
  { plan, topics, logger, mutation }: ClusterOptions,
  cluster: Cluster,
  { instance, log, hooks }: Parts,
): Promise<void> {
  const { process, unit } = instance
  const { clock, name: address } = process
  const opened = cluster.orderDisks.get(unit)!.open(hooks)
  const store = mutation?.orderStore?.(opened, process) ?? opened
  const groupId = groupOf('orders')
  const host = await startOrderHost({ ...plan, log, logger, store, recipe, topics, clock, groupId, address })
  const seen = mutation?.host?.(host) ?? host
  instance.running = host
  instance.shop = { host, orders: createOrderService({ log, host: seen, store, topics, clock, catchUpMs: 1_000 }) }
}

async function startReporter(
  { plan, topics, logger, mutation }: ClusterOptions,
  cluster: Cluster,
  { instance, log, hooks }: Parts,
): Promise<void> {
  const { process } = instance
  const { clock } = process
  const opened = cluster.reportDisk.open(hooks)
  const store = mutation?.reportStore?.(opened, process) ?? opened
  const { checkpointMs } = plan
  const { to: topic } = topics.stages.get('cheese')!
  const { deadLetters } = topics
  const groupId = groupOf('cheese-reporter')
  instance.running = await startCheeseReporter({ log, logger, store, topic, deadLetters, groupId, checkpointMs, clock })
}

async function startTopping(
  { topics, logger }: ClusterOptions,
  { instance, log }: Pick<Parts, 'instance' | 'log'>,
): Promise<void> {
  const { unit, process } = instance
  const { clock } = process
  const step = recipe.find(({ topping }) => topping === unit)!
  const { from, to } = topics.stages.get(unit)!
  const { deadLetters } = topics
  const common = { log, logger, deadLetters, clock, groupId: groupOf(unit) }
  instance.running = await startToppingService({ ...common, step, from, to, startFrom: 'earliest' })
}
