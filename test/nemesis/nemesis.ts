/**
 * Nemesis. Customers order steadily while faults come, alone and several at once; then everything is mended, the shop drains, and
 * the checker and `verify` look for anything that was lost, doubled or changed.
 *
 * M1: the faults are the plan's, in its order; one that would touch what another has in hand waits for it.
 * M2: whatever is found ends the run: a broken promise, a process that ends or refuses to start without a reason, an answer that no
 *     customer should get.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { checkShop } from '../support/checker.ts'
import { everyRole, type FleetProcess } from '../support/fleet.ts'
import { startLoad, type Load } from '../support/load.ts'
import { createRandom, type Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { createWitness, type Witness } from '../support/witness.ts'
import { faultKinds, type FaultKind } from './faults.ts'
import { planFaults, type PlannedFault } from './plan.ts'
import { createStopwatch, type Stopwatch } from './stopwatch.ts'
import { openTarget, type Mode, type Target } from './target.ts'

export interface NemesisOptions {
  readonly mode: Mode
  readonly seed: number
  /** No fault begins after it (default: no end). */
  readonly runMs?: number
  readonly faultsMax?: number
  /** Whether some faults outlast every time-out of the shop and of its log (default true). */
  readonly hasLong?: boolean
  /** Names of the kinds to use; default: all of the mode. */
  readonly only?: readonly string[]
  /** Faults at work at the same time (default 2). */
  readonly overlapMax?: number
  /** Processes of the orders role (default 1). More than one on Kafka only. */
  readonly ordersProcesses?: number
  /** Orders a second of all customers together (default 30). */
  readonly ordersPerSecond?: number
  /** Whether a tmpfs may be mounted for the full disk. */
  readonly mayMount?: boolean
  /** Keeps the folder even when nothing is found. */
  readonly keep?: boolean
  /** Ends the run early and cleans up. */
  readonly signal?: AbortSignal
  readonly say?: (line: string) => void
}

/** Above the longest answer a customer waits for (http-client.ts), twice. */
const drainMsMax = 120_000

/** Above the time after which a group gives a dead member up and hands its partitions on. */
const readyMsMax = 60_000

/** One fault as it came. */
export interface Fault {
  readonly number: number
  readonly kind: string
  readonly what: string
  /** From the start, in milliseconds. */
  readonly atMs: number
  readonly details: readonly string[]
  healedMs?: number
  /** Until an order that was accepted after it was ready. */
  nextFinishedMs?: number
}

export interface NemesisResult {
  readonly mode: Mode
  readonly seed: number
  readonly faults: readonly Fault[]
  /** Orders answered with 201. */
  readonly accepted: number
  readonly checkedPizzas: number
  readonly looks: number
  readonly brokenRequests: number
  readonly refusedRequests: number
  readonly refusedStarts: ReadonlyMap<string, number>
  readonly diskMeans: string | undefined
  readonly findings: readonly string[]
  /** Where the files are, when they were kept. */
  readonly folder?: string
}

/** The kinds of a mode, all or those named. */
function chooseKinds(mode: Mode, only?: readonly string[]): readonly FaultKind[] {
  const known = faultKinds.filter((kind) => kind.modes.includes(mode))
  return only === undefined ? known : known.filter(({ name }) => only.includes(name))
}

/** Everything a running nemesis works with. */
interface Run {
  readonly options: NemesisOptions
  readonly target: Target
  readonly stopwatch: Stopwatch
  readonly witness: Witness
  readonly loads: readonly Load[]
  readonly faults: Fault[]
  readonly findings: string[]
  /** Aborts when something was found or the caller wants to end. */
  readonly ending: AbortController
  readonly startedAt: number
}

/** Runs it. Resolves with what was found, too; rejects when the shop could not be started or the run was aborted. */
export async function runNemesis(options: NemesisOptions): Promise<NemesisResult> {
  const { mode, seed, mayMount = false, ordersProcesses = 1, signal } = options
  const target = await openTarget({ mode, mayMount, processes: placeRoles(ordersProcesses) })
  const stopwatch = createStopwatch(createWitness())
  const run: Run = {
    options,
    target,
    stopwatch,
    witness: stopwatch.witness,
    loads: sendCustomers(options, target, stopwatch),
    faults: [],
    findings: [],
    ending: new AbortController(),
    startedAt: performance.now(),
  }
  const stopped = Promise.withResolvers<never>()
  const stop = (): void => {
    run.ending.abort()
    stopped.reject(signal?.reason)
  }
  signal?.addEventListener('abort', stop)
  let checkedPizzas = 0
  try {
    watchCustomers(run)
    const work = injectAll(run).then(() => (run.ending.signal.aborted ? 0 : settle(run)))
    checkedPizzas = await Promise.race([work, stopped.promise])
  } catch (error) {
    if (signal?.aborted === true) {
      await target.close({ keep: false })
      throw error
    }
    run.findings.push(`The run itself failed: ${(error as Error).stack}`)
  } finally {
    signal?.removeEventListener('abort', stop)
  }
  const told = [...run.witness.violations, ...target.fleet.crashes]
  run.findings.push(...told.filter((finding) => !run.findings.includes(finding)))
  const keep = run.findings.length > 0 || options.keep === true
  if (run.findings.length > 0) options.say?.(target.fleet.output())
  await target.close({ keep })
  return {
    mode,
    seed,
    faults: run.faults,
    accepted: run.witness.accepted.size,
    checkedPizzas,
    looks: run.witness.looks,
    brokenRequests: sum(run.loads.map(({ broken }) => broken)),
    refusedRequests: sum(run.loads.map(({ refused }) => refused)),
    refusedStarts: target.refusals,
    diskMeans: target.disk.means,
    findings: run.findings,
    ...(keep && { folder: target.folder }),
  }
}

/** A process for each role, and further ones of the orders role, whose state is in folders of their own. */
function placeRoles(ordersProcesses: number): FleetProcess[] {
  const more = Array.from({ length: ordersProcesses - 1 }, (_, index): FleetProcess => {
    const name = `orders-${index + 2}`
    return { name, roles: ['orders'], dataDir: name }
  })
  return [...everyRole.map((role) => ({ roles: [role] })), ...more]
}

/** Hasty customers, who look and go on, and patient ones, who wait for their order and so time the shop. */
function sendCustomers(
  { seed, ordersPerSecond = 30 }: NemesisOptions,
  { fleet }: Target,
  stopwatch: Stopwatch,
): Load[] {
  const common = { witness: stopwatch.witness, url: fleet.url, random: createRandom(seed + 1) }
  // A large order now and then, so that a fault finds work half done.
  const countOf = (random: Random): number => (random.oneIn(40) ? 60 : 1 + random.below(3))
  return [
    startLoad({ ...common, clients: 6, ordersPerSecond: ordersPerSecond * 0.7, patienceS: 1, countOf }),
    startLoad({ ...common, clients: 4, ordersPerSecond: ordersPerSecond * 0.3, patienceS: 30 }),
  ]
}

/** An answer that no customer should get ends the run. */
function watchCustomers({ loads, findings, ending }: Run): void {
  for (const load of loads) {
    load.whenPlaced(Number.MAX_SAFE_INTEGER).catch((error: unknown) => {
      findings.push(`A customer got an answer that is none: ${(error as Error).message}`)
      ending.abort()
    })
  }
}

async function injectAll(run: Run): Promise<void> {
  const { options, target, ending, startedAt } = run
  const kinds = new Map(
    chooseKinds(options.mode, options.only)
      .filter(({ name }) => name !== 'disk-full' || target.disk.means !== undefined)
      .map((kind) => [kind.name, kind]),
  )
  const weights = Object.fromEntries([...kinds].map(([name, { weight }]) => [name, weight]))
  const { runMs = Infinity, faultsMax = Infinity, overlapMax = 2 } = options
  const atWork = new Map<Promise<void>, readonly string[]>()
  for (const planned of planFaults(options.seed, weights, { hasLong: options.hasLong ?? true })) {
    if (planned.dueMs > runMs || planned.number > faultsMax) break
    const kind = kinds.get(planned.kind)!
    const aim = kind.aim(target, createRandom(planned.seed))
    const isInTheWay = (): boolean =>
      atWork.size >= overlapMax || [...atWork.values()].flat().some((touched) => aim.touches.includes(touched))
    while (isInTheWay() && !ending.signal.aborted) await Promise.race(atWork.keys())
    await sleepUntil(startedAt + planned.dueMs, ending.signal)
    if (ending.signal.aborted || performance.now() - startedAt > runMs) break
    const work = endure(run, planned, aim).finally(() => atWork.delete(work))
    atWork.set(work, aim.touches)
  }
  await Promise.all(atWork.keys())
}

/** One fault from its harm to its mending. */
async function endure(run: Run, planned: PlannedFault, aim: ReturnType<FaultKind['aim']>): Promise<void> {
  const { options, target, ending, faults, findings, stopwatch, startedAt } = run
  const { number, kind, forMs } = planned
  const now = (): number => performance.now() - startedAt
  const lasts = aim.isInstant === true ? '' : ` for ${(forMs / 1_000).toFixed(1)} s`
  const fault: Fault = { number, kind, what: `${aim.what}${lasts}`, atMs: now(), details: aim.details ?? [] }
  faults.push(fault)
  options.say?.(printFault(fault))
  void stopwatch.untilNextFinished().then((ms) => (fault.nextFinishedMs = ms))
  try {
    const heal = await aim.inject()
    if (aim.isInstant !== true) await sleepUntil(performance.now() + forMs, ending.signal)
    await heal()
  } catch (error) {
    findings.push(`Fault ${number} (${aim.what}) failed: ${(error as Error).stack}`)
  }
  fault.healedMs = now()
  if (aim.isInstant !== true || fault.healedMs - fault.atMs > 2_000) options.say?.(printFault(fault))
  findings.push(...target.findings.filter((finding) => !findings.includes(finding)))
  if (findings.length + target.fleet.crashes.length + run.witness.violations.length > 0) ending.abort()
}

/** Everything is mended: nothing that a customer was told may be untrue. @returns how many pizzas were checked. */
async function settle({ target, loads, witness, findings, options }: Run): Promise<number> {
  const { fleet } = target
  options.say?.(`mended; draining ${witness.accepted.size} orders`)
  await answeredInTime(Promise.all(loads.map((load) => load.stop())))
  const [url, reportUrl] = [await fleet.url(), await fleet.reportUrl()]
  for (const door of [url, reportUrl]) {
    await until(`${door} to be ready`, async () => (await fetch(`${door}/readyz`)).ok, readyMsMax)
  }
  const result = await checkShop({ witness, url, reportUrl, patienceS: 30 })
  findings.push(...result.violations, ...(await target.verify()))
  if (findings.length + fleet.crashes.length === 0) await fleet.stopAll()
  return result.pizzas
}

/** Customers ask again and again: without a limit, a shop that never recovers would never be found out. */
async function answeredInTime(answered: Promise<unknown>): Promise<void> {
  const timer = new AbortController()
  const late = sleep(drainMsMax, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`Customers wait for answers ${drainMsMax / 1_000} s after everything was mended`)
  })
  try {
    await Promise.race([answered, late])
  } finally {
    timer.abort()
    late.catch(() => {})
  }
}

/** One line of the fault list. */
export function printFault({ number, what, details, atMs, healedMs, nextFinishedMs }: Fault): string {
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`
  const healed = healedMs === undefined ? '' : `; mended at ${seconds(healedMs)}`
  const next = nextFinishedMs === undefined ? '' : `; next order ready after ${seconds(nextFinishedMs)}`
  return `${seconds(atMs).padStart(8)}  #${number} ${[what, ...details].join('; ')}${healed}${next}`
}

async function sleepUntil(at: number, signal: AbortSignal): Promise<void> {
  // Woken early by the end of the run, which is no error.
  await sleep(Math.max(0, at - performance.now()), undefined, { signal }).catch(() => {})
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
