/** Soak. A million pizzas through every role without a restart, with an eye on memory: what grows with work done is a leak. */
import { readMemoryMb } from './processes.ts'
import { checkShop, runLoad, type Bench } from './runs.ts'

export interface Soak {
  readonly pizzas: number
  readonly seconds: number
  readonly pizzasPerSecond: number
  readonly memory: Readonly<Record<string, MemoryCourse>>
}

export interface MemoryCourse {
  /** Mean of the second tenth of the run: caches and compiled code are there by then. */
  readonly warmMb: number
  /** Mean of the last tenth. */
  readonly endMb: number
  readonly peakMb: number
  /** Thinned out to at most `pointsMax` readings, evenly spaced. */
  readonly courseMb: readonly number[]
}

const sampleMs = 500
const pointsMax = 60
const clients = 64
const count = 2

/** Orders of two pizzas at 64 clients until every role has handled `pizzas`; the check of every order follows. */
export async function runSoak(bench: Bench, pizzas: number): Promise<Soak> {
  const { system } = bench
  const readings: Record<string, number>[] = []
  const sampler = setInterval(() => readings.push(readMemoryMb(system.pids(), 'now')), sampleMs)
  const until = { orders: Math.ceil(pizzas / count) }
  const load = await runLoad(bench, {
    name: 'soak',
    clients,
    count,
    watch: { kind: 'wait' },
    warmUpS: 0,
    until,
  }).finally(() => clearInterval(sampler))
  const verified = await checkShop(bench)
  const names = Object.keys(system.pids())
  const memory = Object.fromEntries(
    names.map((name) => [name, describeCourse(readings.map((reading) => reading[name] ?? 0))]),
  )
  return { pizzas: verified.pizzas, seconds: load.seconds, pizzasPerSecond: load.pizzasPerSecond, memory }
}

function describeCourse(readings: readonly number[]): MemoryCourse {
  const tenth = Math.max(1, Math.floor(readings.length / 10))
  const every = Math.max(1, Math.ceil(readings.length / pointsMax))
  return {
    warmMb: mean(readings.slice(tenth, 2 * tenth)),
    endMb: mean(readings.slice(-tenth)),
    peakMb: Math.max(...readings),
    courseMb: readings.filter((_, index) => index % every === 0),
  }
}

function mean(values: readonly number[]): number {
  return Math.round(values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length))
}
