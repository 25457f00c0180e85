/**
 * Cluster. The processes of a simulated shop on one memory-log: starts the real roles, crashes, pauses and restarts them.
 *
 * L1: a crashed process does nothing more: its tasks are gone, its log handle and its disk take nothing from it.
 * L2: a role that ended for whatever reason is started again, as a supervisor would.
 */
import { startCheeseReporter } from '../../src/actors/cheese-reporter.ts'
import { startOrderHost } from '../../src/actors/order-host.ts'
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
import type { Plan } from './plan.ts'
import type { Scheduler, SimProcess } from './scheduler.ts'
import { createSimLog } from './sim-log.ts'

export interface Instance {
  readonly role: string
  readonly process: SimProcess
  readonly log: MemoryLog
  isStopping?: boolean
  /** There once it has started. */
  running?: Role & Partial<Report>
  /** Of the role orders. */
  orders?: Orders
  /** Of the role orders: how many are in memory. */
  countLive?: () => number
}

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
  readonly orderDisk: Disk<OrderStore>
  readonly reportDisk: Disk<ReportStore>
  /** A process that nothing happens to: supervisor and customers live there. */
  readonly world: SimProcess
  readonly instances: ReadonlySet<Instance>
  /** The order host that is up, if any. */
  orders(): Instance | undefined
  start(role: string): void
  /** Ends every process of a role; they start again after `downMs`. The group hears of it after `noticeMs`. */
  crash(role: string, downMs: number): void
  stop(role: string, downMs: number): void
  each(role: string, act: (instance: Instance) => void): void
  evict(role: string): void
  /** The next checkpoint of the role ends in a crash. */
  armCheckpoint(role: string, when: 'before' | 'after'): void
  isDiskFull: boolean
}

export const groupOf = (role: string): string => `sim.${role}`

const stopDeadlineMs = 500
const stopPatienceMs = 5_000

export function createCluster(options: ClusterOptions): Cluster {
  const { scheduler, storage, faults, random, say } = options
  const world = scheduler.createProcess('world')
  const instances = new Set<Instance>()
  const armed = new Map<string, 'before' | 'after'>()
  let started = 0

  const startAgain = (role: string, downMs: number): void => void world.schedule(() => start(role), downMs)

  const end = (instance: Instance, downMs: number): void => {
    if (!instances.delete(instance)) return
    const { role, process, log } = instance
    process.kill()
    // The group may take its dead member for alive for a while.
    world.schedule(() => log.crash(), random.pick([0, 0, 50, 500]))
    startAgain(role, downMs)
  }

  const start = (role: string): void => {
    const process = scheduler.createProcess(`${role}-${++started}`)
    const { schedule } = process
    const now = () => process.clock.now()
    const log = createMemoryLog({ storage, schedule, now, commitMs: 20 })
    const instance: Instance = { role, process, log }
    instances.add(instance)
    say(`${process.name} starts`)
    startRole(options, cluster, instance, hooksOf(instance)).catch((error: unknown) => {
      say(`${process.name} cannot start: ${String(error)}`)
      if (process.isAlive) end(instance, 50)
    })
  }

  const hooksOf = (instance: Instance): DiskHooks => {
    const { role, process } = instance
    const crashWhen = (when: 'before' | 'after'): void => {
      if (!faults.isOn || armed.get(role) !== when) return
      armed.delete(role)
      faults.note(`crash ${when} a checkpoint`)
      say(`${process.name} crashes ${when} its checkpoint`)
      end(instance, 20)
    }
    return {
      beforeWrite() {
        crashWhen('before')
        if (!process.isAlive) throw new Error('A dead process writes nothing')
        if (cluster.isDiskFull || faults.happens('checkpoint refused')) throw new Error('The disk is full')
        say(`${process.name} writes a checkpoint`)
      },
      afterWrite: () => crashWhen('after'),
    }
  }

  const ofRole = (role: string): Instance[] => [...instances].filter((instance) => instance.role === role)

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

  const cluster: Cluster = {
    orderDisk: createOrderDisk(),
    reportDisk: createReportDisk(),
    world,
    instances,
    isDiskFull: false,
    orders: () => ofRole('orders').find(({ orders }) => orders !== undefined),
    start,
    crash: (role, downMs) => ofRole(role).forEach((instance) => end(instance, downMs)),
    stop: (role, downMs) =>
      ofRole(role).forEach((instance) => {
        stop(instance, downMs).catch((error: unknown) => say(`${instance.process.name} cannot stop: ${String(error)}`))
      }),
    each: (role, act) => ofRole(role).forEach(act),
    evict: (role) => evictMember(storage, groupOf(role), (count) => random.below(count)),
    armCheckpoint: (role, when) => void armed.set(role, when),
  }
  return cluster
}

async function startRole(
  options: ClusterOptions,
  cluster: Cluster,
  instance: Instance,
  hooks: DiskHooks,
): Promise<void> {
  const { faults, mutation } = options
  const { role, process } = instance
  await process.step()
  const simulated = createSimLog(instance.log, process, faults)
  const log = mutation?.log?.(simulated, role, process) ?? simulated
  if (role === 'orders') await startOrders(options, cluster, { instance, log, hooks })
  else if (role === 'cheese-reporter') await startReporter(options, cluster, { instance, log, hooks })
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
  const { process } = instance
  const { clock } = process
  const opened = cluster.orderDisk.open(hooks)
  const store = mutation?.orderStore?.(opened, process) ?? opened
  const host = await startOrderHost({ ...plan, log, logger, store, recipe, topics, clock, groupId: groupOf('orders') })
  const seen = mutation?.host?.(host) ?? host
  instance.running = host
  instance.countLive = () => host.cache.size
  instance.orders = createOrderService({ log, host: seen, store, topics, clock, catchUpMs: 1_000 })
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
  const { role, process } = instance
  const { clock } = process
  const step = recipe.find(({ topping }) => topping === role)!
  const { from, to } = topics.stages.get(role)!
  const { deadLetters } = topics
  const common = { log, logger, deadLetters, clock, groupId: groupOf(role) }
  instance.running = await startToppingService({ ...common, step, from, to, startFrom: 'earliest' })
}
