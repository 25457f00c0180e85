/**
 * Compare. The same loads on several shops that run beside each other, in turn and several times over, so that what else the machine
 * does meets all of them alike. What counts is the ratio of a shop to the first, taken in each round.
 *
 * C1: one shop is under load at a time; the others idle.
 * C2: a round goes through the shops in the opposite order of the one before it.
 * C3: what a comparison says was paid for right answers: every order of every shop is checked at its end.
 */
import { startBroker, type Broker } from '../scripts/kafka-broker.ts'
import { startGenerator } from './generator.ts'
import type { Progress } from './progress.ts'
import { checkShop, runLoad, type Bench, type LoadOptions, type LoadRun } from './runs.ts'
import { createDataDir, startSystem, type Mode, type SystemOptions } from './systems.ts'

/** A shop of the comparison. */
export interface Shop extends Bench {
  readonly name: string
  /** Orders that were put on its log beside the load generator. */
  filled: number
}

export interface ShopPlan extends Pick<SystemOptions, 'processes' | 'projectDir' | 'args'> {
  readonly name: string
}

export interface ComparedLoad {
  readonly name: string
  /** Pizzas in each order. */
  readonly count: number
  /** By shop, then by round. */
  readonly runs: readonly (readonly LoadRun[])[]
}

export interface Comparison {
  readonly shops: readonly string[]
  readonly loads: readonly ComparedLoad[]
}

export interface ShopsOptions {
  readonly mode: Mode
  readonly plans: readonly ShopPlan[]
  /** A folder for the data is made in here and deleted at the end. */
  readonly dataIn: string
  readonly progress: Progress
}

export interface Rounds {
  readonly loads: readonly LoadOptions[]
  readonly rounds: number
  /** Load on each shop before the first round. */
  readonly warmUpS: number
}

const warmUpClients = 64

/** Starts shops beside each other, on Kafka with one broker, and ends them when `run` is over. */
export async function withShops<T>(options: ShopsOptions, run: (shops: readonly Shop[]) => Promise<T>): Promise<T> {
  const { mode, plans, dataIn, progress } = options
  const shops: Shop[] = []
  let broker: Broker | undefined
  try {
    if (mode === 'kafka') broker = await startBroker({ dir: await createDataDir(dataIn) })
    for (const { name, ...plan } of plans) {
      progress.update(`starting ${mode}, ${name}`)
      const system = await startSystem({ mode, dataIn, ...plan, ...(broker && { broker }) })
      shops.push({ name, system, generator: startGenerator(), progress: named(name, progress), filled: 0 })
      progress.done(`${mode}, ${name}: is up`)
    }
    return await run(shops)
  } finally {
    await Promise.all(shops.map(({ generator }) => generator.stop()))
    await Promise.all(shops.map(({ system }) => system.stop()))
    await broker?.stop()
  }
}

/** Goes through the rounds. @throws Error when an answer of any shop was wrong. */
export async function runRounds(shops: readonly Shop[], { loads, rounds, warmUpS }: Rounds): Promise<Comparison> {
  for (const shop of shops) {
    const warmUp = { name: 'warm-up', clients: warmUpClients, watch: { kind: 'wait' } as const, warmUpS: 0 }
    await runLoad(shop, { ...warmUp, until: { seconds: warmUpS } })
    // Loads with a warm-up of their own take care of themselves.
    for (const load of loads) if (load.warmUpS === 0) await runLoad(shop, { ...load, name: `warm-up, ${load.name}` })
  }
  const runs = loads.map(() => shops.map((): LoadRun[] => []))
  for (let round = 0; round < rounds; round++) {
    for (const [at, load] of loads.entries()) {
      for (const index of orderOf(shops.length, round)) runs[at]![index]!.push(await runLoad(shops[index]!, load))
    }
  }
  for (const shop of shops) await checkShop(shop, shop.filled)
  return {
    shops: shops.map(({ name }) => name),
    loads: loads.map(({ name, count = 2 }, at) => ({ name, count, runs: runs[at]! })),
  }
}

/** There and back again (C2). */
function orderOf(shops: number, round: number): number[] {
  const forth = Array.from({ length: shops }, (_, index) => index)
  return round % 2 === 0 ? forth : forth.reverse()
}

function named(name: string, progress: Progress): Progress {
  return {
    update: (text) => progress.update(`${name}: ${text}`),
    done: (text) => progress.done(`${name}: ${text}`),
  }
}
