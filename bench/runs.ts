/** Runs. What is measured on one system, in order; each run leaves its figures and the whole ends with a check of every order. */
import type { Generator } from './generator.ts'
import { readMemoryMb } from './processes.ts'
import type { Progress } from './progress.ts'
import type { System } from './systems.ts'
import { monotonicMs, type LoadResult, type VerifyResult, type Watch } from './tasks.ts'

export interface Plan {
  readonly clients: readonly number[]
  readonly seconds: number
  /** At the start of each run. */
  readonly warmUpS: number
  /** At the start of a system: a Java broker takes 20 s of load until its code is compiled, and costs five times as much before. */
  readonly systemWarmUpS: number
  readonly bigOrders: number
  readonly kills: number
}

export interface LoadRun extends LoadResult {
  readonly name: string
  readonly clients: number
  /** Pizzas in each order. */
  readonly count: number
  readonly watch: Watch
}

export interface KillRun {
  /** Accepted and not seen ready when everything was killed. */
  readonly open: number
  /** From the start of the new processes. */
  readonly firstAnswerMs: number
  readonly allReadyMs: number
}

export interface SystemResult {
  readonly loads: readonly LoadRun[]
  readonly kills: readonly KillRun[]
  /** The highest resident memory of each process up to the kills. */
  readonly memoryPeakMb: Readonly<Record<string, number>>
  readonly verified: VerifyResult
}

export interface Bench {
  readonly system: System
  readonly generator: Generator
  readonly progress: Progress
}

const bigOrder = { count: 1_000, clients: 4, watch: { kind: 'wait' }, warmUpS: 0 } as const
const ordersPerRun = 2
const killClients = 64
/** Long enough that the roles have positions to come back to, and short of the next checkpoint by chance. */
const killAfterMs = 3_000

/** How often a polling client asks. The peers of the comparison were polled at this pace. */
function pollEveryMs(clients: number): number {
  if (clients === 1) return 5
  return clients <= 64 ? 10 : 50
}

/** Every run of the plan on one system. @throws Error when an answer is wrong or the check at the end fails. */
export async function runPlan(bench: Bench, plan: Plan): Promise<SystemResult> {
  const { system } = bench
  const { systemWarmUpS } = plan
  const loads: LoadRun[] = []
  const all = { name: 'warm-up', clients: 64, watch: { kind: 'wait' } as const, warmUpS: 0 }
  await runLoad(bench, { ...all, until: { seconds: systemWarmUpS } })
  for (const clients of plan.clients) {
    const poll: Watch = { kind: 'poll', everyMs: pollEveryMs(clients) }
    for (const watch of [{ kind: 'wait' } as const, poll]) {
      loads.push(await runLoad(bench, smallOrders(clients, watch, plan)))
    }
  }
  if (plan.bigOrders > 0) {
    await runLoad(bench, { name: 'big orders, warm-up', ...bigOrder, until: { orders: bigOrder.clients } })
    loads.push(await runLoad(bench, bigOrders(plan)))
  }
  const memoryPeakMb = readMemoryMb(system.pids(), 'peak')
  const kills: KillRun[] = []
  while (kills.length < plan.kills) kills.push(await runKill(bench, kills.length + 1))
  const verified = await checkShop(bench)
  return { loads, kills, memoryPeakMb, verified }
}

/** The loads of the plan whose customers wait as we recommend. */
export function toLoads(plan: Plan): LoadOptions[] {
  const small = plan.clients.map((clients) => smallOrders(clients, { kind: 'wait' }, plan))
  return plan.bigOrders > 0 ? [...small, bigOrders(plan)] : small
}

function smallOrders(clients: number, watch: Watch, { warmUpS, seconds }: Plan): LoadOptions {
  const name = `${clients} ${clients === 1 ? 'client' : 'clients'}, ${describeWatch(watch)}`
  return { name, clients, watch, warmUpS, until: { seconds } }
}

function bigOrders({ bigOrders: orders }: Plan): LoadOptions {
  return { name: `${orders} orders of 1,000`, ...bigOrder, until: { orders } }
}

/** Compares all that the shop was given with what it says. @throws Error when they differ. */
export async function checkShop({ system, generator, progress }: Bench, filled = 0): Promise<VerifyResult> {
  progress.update('checking every order')
  const { urls, reportUrl } = system
  const verified = await generator.perform({ kind: 'verify', url: urls[0]!, reportUrl, filled })
  if (verified.problems.length > 0) throw new Error(`The shop's results are wrong:\n${verified.problems.join('\n')}`)
  progress.done(`checked ${verified.orders} orders, ${verified.pizzas} pizzas: all there, all ready, all whole`)
  return verified
}

export interface LoadOptions {
  readonly name: string
  readonly clients: number
  readonly count?: number
  readonly watch: Watch
  readonly warmUpS: number
  readonly until: { readonly seconds: number } | { readonly orders: number }
}

/** One load; a line tells its figures when it is over. */
export async function runLoad({ system, generator, progress }: Bench, options: LoadOptions): Promise<LoadRun> {
  const { name, clients, count = ordersPerRun, watch } = options
  const onProgress = (orders: number) => progress.update(`${name}: ${orders} orders ready`)
  onProgress(0)
  const { urls } = system
  const result = await generator.perform({ kind: 'load', ...options, count, urls, pids: system.pids() }, onProgress)
  const { ordersPerSecond, readyMs } = result
  progress.done(`${name}: ${Math.round(ordersPerSecond)} orders/s, ready p50 ${readyMs.p50} ms, p99 ${readyMs.p99} ms`)
  return { name, clients, count, watch, ...result }
}

async function runKill({ system, generator, progress }: Bench, number: number): Promise<KillRun> {
  const name = `kill -9 of everything, ${number}`
  progress.update(name)
  const load = generator.perform({
    kind: 'load',
    urls: system.urls,
    clients: killClients,
    count: ordersPerRun,
    watch: { kind: 'wait' },
    warmUpS: 0,
    until: 'connection lost',
    pids: {},
  })
  // The load fails before the time only when an answer was wrong.
  await Promise.race([load, new Promise((resolve) => setTimeout(resolve, killAfterMs))])
  await system.kill()
  await load
  const startedAtMs = monotonicMs()
  const { promise: url, resolve: onOrders } = Promise.withResolvers<string>()
  const recovered = url.then((url) => generator.perform({ kind: 'recover', url }))
  const [, { firstAnswerAtMs, allReadyAtMs, open }] = await Promise.all([system.start(onOrders), recovered])
  const run = {
    open,
    firstAnswerMs: Math.round(firstAnswerAtMs - startedAtMs),
    allReadyMs: Math.round(allReadyAtMs - startedAtMs),
  }
  progress.done(`${name}: ${open} open orders, all ready ${run.allReadyMs} ms after the start`)
  return run
}

function describeWatch(watch: Watch): string {
  return watch.kind === 'wait' ? 'Prefer: wait' : `poll every ${watch.everyMs} ms`
}
