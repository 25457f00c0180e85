/**
 * Simulate. Runs the real roles through the world of one plan: faults, then healing, then the check. One plan is one run, bit for bit.
 */
import { createMemoryLog, createMemoryStorage } from '../../src/log/memory-log.ts'
import type { Logger } from '../../src/logger.ts'
import { recipe } from '../../src/menu.ts'
import { createTopics } from '../../src/topics.ts'
import { createRandom } from '../support/random.ts'
import { createWitness } from '../support/witness.ts'
import { checkPromises, isCalm, type CheckOptions } from './check.ts'
import { createCluster } from './cluster.ts'
import { startCustomers } from './customers.ts'
import { createFaults } from './faults.ts'
import { injectFault, type World } from './inject.ts'
import type { Mutation } from './mutation.ts'
import type { Plan } from './plan.ts'
import { createRouter } from './router.ts'
import { createScheduler, type Scheduler } from './scheduler.ts'
import { startStrangers } from './strangers.ts'
import { startWatcher } from './watcher.ts'

export interface Outcome {
  /** What is wrong; empty when every promise held. */
  readonly violations: readonly string[]
  readonly steps: number
  /** How long the run took in the simulated world, in milliseconds. */
  readonly simulatedMs: number
  /** How many events the feed told. */
  readonly fed: number
  /** Equal for equal runs. */
  readonly hash: number
  /** How often each kind of fault happened. */
  readonly faults: ReadonlyMap<string, number>
  /** What happened, line by line; empty unless asked for. */
  readonly trace: readonly string[]
}

export interface SimulateOptions {
  readonly mutation?: Mutation
  readonly hasTrace?: boolean
}

/** Customers who are not done by then go on while the world heals. */
const faultyStepsMax = 4_000
/** A shop that is not calm after so many steps more has not calmed down (P5). */
const healStepsMax = 60_000

/** Runs one plan. */
export async function simulate(plan: Plan, { mutation, hasTrace = false }: SimulateOptions = {}): Promise<Outcome> {
  const scheduler = createScheduler(plan.seed)
  const random = createRandom(plan.seed ^ 0xfa17)
  const faults = createFaults(createRandom(plan.seed ^ 0xca11), plan.callFaults)
  const trace: string[] = []
  const say = (line: string): void => {
    if (hasTrace)
      trace.push(`${String(scheduler.steps).padStart(5)} ${scheduler.now.toFixed(1).padStart(8)} ms  ${line}`)
  }
  const storage = createMemoryStorage()
  const { partitions, hasSnapshots, liveActorsMax, standbyMs } = plan
  const topics = createTopics(recipe, { prefix: '', partitions, hasSnapshots })
  const logger = createSimLogger(say)
  const cluster = createCluster({ plan, scheduler, storage, topics, logger, faults, random, mutation, say })
  const { clock, schedule } = cluster.world
  const log = createMemoryLog({ storage, schedule, now: clock.now })
  await log.ensureTopics(topics.specs)
  for (const unit of cluster.units) cluster.start(unit)

  const witness = createWitness()
  const router = createRouter(cluster, partitions, random)
  const customers = startCustomers({ world: cluster.world, router, witness, random, orders: plan.orders, say })
  const watcher = startWatcher(cluster, witness, hasSnapshots)
  const strangers = plan.hasStrangers ? startStrangers({ cluster, log, topics, random }) : undefined
  const check: CheckOptions = {
    cluster,
    router,
    random,
    storage,
    topics,
    log,
    witness,
    strangers,
    liveActorsMax,
    standbyMs,
  }
  const world: World = { cluster, storage, faults, hasSnapshots, say }

  const left = [...plan.faults]
  const inject = (): boolean => {
    while (left[0] !== undefined && left[0].step <= scheduler.steps) injectFault(left.shift()!, world)
    return left.length === 0
  }
  const isQuiet = (): boolean => customers.areDone && (strangers?.areDone ?? true)
  await scheduler.run(() => (inject() && isQuiet()) || scheduler.steps > faultyStepsMax)
  await heal(scheduler, world, () => isQuiet() && isCalm(check))
  if (!isQuiet() || !isCalm(check)) witness.blame(`P5: the shop has not calmed down after ${scheduler.steps} steps`)
  else {
    let isChecked = false
    const checked = checkPromises(check).then(() => (isChecked = true))
    await scheduler.run(() => isChecked)
    await checked
  }
  const { steps, now: simulatedMs, hash } = scheduler
  return { violations: witness.violations, steps, simulatedMs, hash, fed: watcher.told, faults: faults.counts, trace }
}

/** Ends every fault and waits until the shop is calm. */
async function heal(
  scheduler: Scheduler,
  { cluster, storage, faults, say }: World,
  isDone: () => boolean,
): Promise<void> {
  say('the world heals')
  faults.isOn = false
  storage.isAway = false
  cluster.fullDisks.clear()
  for (const { process } of cluster.instances) {
    process.slowDown(1)
    process.resume()
  }
  const lastStep = scheduler.steps + healStepsMax
  let looked = 0
  // Looking costs more than a step, so it is done now and then.
  await scheduler.run(() => scheduler.steps > lastStep || (looked++ % 25 === 0 && isDone()))
}

/** What roles log, as lines of the trace. */
function createSimLogger(say: (line: string) => void): Logger {
  const write = (fields: { role?: string; err?: Error }, message: string): void =>
    say(
      `  ${fields.role ?? ''}: ${message}${fields.err === undefined ? '' : ` (${fields.err.name}: ${fields.err.message})`}`,
    )
  return { debug: write, info: write, warn: write, error: write } as unknown as Logger
}
