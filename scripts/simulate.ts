/**
 * `npm run simulate`: runs the shop's real roles through simulated worlds full of faults, one for each seed (docs/proof.md).
 *
 *   --seeds 2000   how many seeds, from --from on (default 1)
 *   --seed 7       one seed, with its trace
 *   --mutations    breaks one rule after the other, and says how many seeds it took to find it
 *   --workers 2    threads (default: one for each core)
 *
 * Ends with 1 when a seed failed, or when a mutation was not found.
 */
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { mutations } from '../test/simulation/mutations.ts'
import { createPlan } from '../test/simulation/plan.ts'
import { printStory, runSeeds, tellStory, type SeedsOutcome } from '../test/simulation/run-seeds.ts'
import { simulate } from '../test/simulation/simulate.ts'

interface Share {
  readonly from: number
  readonly count: number
}

/** Seeds that a worker takes at once. */
const shareMax = 250

if (isMainThread) await main()
else parentPort!.on('message', (share: Share) => void runSeeds(share).then((part) => parentPort!.postMessage(part)))

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '2000' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      mutations: { type: 'boolean', default: false },
      workers: { type: 'string', default: String(availableParallelism()) },
    },
  })
  const [count, from, workers] = [values.seeds, values.from, values.workers].map(Number) as [number, number, number]
  if (values.seed !== undefined) await runOne(Number(values.seed))
  else if (values.mutations) await runMutations(from, count)
  else await runAll({ from, count }, workers)
}

async function runOne(seed: number): Promise<void> {
  const plan = createPlan(seed)
  console.log(`seed ${seed}: ${JSON.stringify(plan)}`)
  const { trace, violations, steps, simulatedMs, hash } = await simulate(plan, { hasTrace: true })
  console.log(trace.join('\n'))
  console.log(`${steps} steps, ${Math.round(simulatedMs)} ms simulated, hash ${hash >>> 0}`)
  if (violations.length === 0) return console.log('every promise held')
  console.log(`\n${printStory(await tellStory(seed))}`)
  process.exitCode = 1
}

async function runMutations(from: number, count: number): Promise<void> {
  for (const mutation of mutations) {
    const { failed, seeds } = await runSeeds({ from, count, mutation, isFirstEnough: true })
    const isFound = failed.length > 0
    console.log(`${isFound ? `found by seed ${String(seeds).padStart(4)}` : `NOT FOUND in ${seeds}`}: ${mutation.name}`)
    if (!isFound) process.exitCode = 1
  }
}

async function runAll(all: Share, workers: number): Promise<void> {
  const startedAt = performance.now()
  const sum: { seeds: number; steps: number; simulatedMs: number } = { seeds: 0, steps: 0, simulatedMs: 0 }
  const faults: Record<string, number> = {}
  const failed: number[] = []
  const add = (part: SeedsOutcome): void => {
    sum.seeds += part.seeds
    sum.steps += part.steps
    sum.simulatedMs += part.simulatedMs
    for (const [kind, times] of Object.entries(part.faults)) faults[kind] = (faults[kind] ?? 0) + times
    failed.push(...part.failed)
  }
  await inShares(all, workers, (part) => {
    add(part)
    const rate = (sum.seeds / (performance.now() - startedAt)) * 1_000
    const failures = failed.length === 0 ? '' : ` (${failed.slice(0, 10).join(', ')})`
    console.log(`${sum.seeds} seeds, ${failed.length} failed${failures}, ${rate.toFixed(0)} seeds/s`)
  })
  const { steps, simulatedMs } = sum
  console.log(`${steps} steps, ${(simulatedMs / 3_600_000).toFixed(1)} hours simulated; faults:`)
  for (const [kind, times] of Object.entries(faults).toSorted(([, a], [, b]) => b - a))
    console.log(`  ${String(times).padStart(8)}  ${kind}`)
  for (const seed of failed.toSorted((a, b) => a - b).slice(0, 5))
    console.log(`\nseed ${seed} failed (npm run simulate -- --seed ${seed})\n${printStory(await tellStory(seed))}`)
  if (failed.length > 0) process.exitCode = 1
}

async function inShares({ from, count }: Share, workers: number, done: (part: SeedsOutcome) => void): Promise<void> {
  let next = from
  const end = from + count
  const work = async (): Promise<void> => {
    // One for all its shares: a new one would have to warm up again.
    const worker = new Worker(new URL(import.meta.url))
    while (next < end) {
      const share: Share = { from: next, count: Math.min(shareMax, end - next) }
      next += share.count
      worker.postMessage(share)
      const [part] = (await once(worker, 'message')) as [SeedsOutcome]
      done(part)
    }
    await worker.terminate()
  }
  await Promise.all(Array.from({ length: workers }, work))
}
