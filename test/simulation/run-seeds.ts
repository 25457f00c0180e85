/** Runs many seeds one after the other, and makes the story of one that failed. */
import type { Mutation } from './mutation.ts'
import { createPlan, type Plan } from './plan.ts'
import { shrink } from './shrink.ts'
import { simulate, type Outcome } from './simulate.ts'

export interface SeedsOutcome {
  readonly seeds: number
  readonly steps: number
  readonly simulatedMs: number
  /** How many events the feeds told. */
  readonly fed: number
  /** How often each kind of fault happened. */
  readonly faults: Readonly<Record<string, number>>
  readonly failed: readonly number[]
}

export interface SeedsOptions {
  readonly from: number
  readonly count: number
  /** Begins no further seed after so long, in milliseconds of real time. */
  readonly budgetMs?: number
  readonly mutation?: Mutation
  /** Ends at the first seed that fails. */
  readonly isFirstEnough?: boolean
}

/** Runs the seeds from, from + 1, … */
export async function runSeeds(options: SeedsOptions): Promise<SeedsOutcome> {
  const { from, count, budgetMs = Infinity, mutation, isFirstEnough = false } = options
  const startedAt = performance.now()
  const faults: Record<string, number> = {}
  const failed: number[] = []
  let [seeds, steps, simulatedMs, fed] = [0, 0, 0, 0]
  while (seeds < count && performance.now() - startedAt < budgetMs) {
    const seed = from + seeds++
    const outcome = await simulate(createPlan(seed), { ...(mutation && { mutation }) })
    steps += outcome.steps
    simulatedMs += outcome.simulatedMs
    fed += outcome.fed
    for (const [kind, times] of outcome.faults) faults[kind] = (faults[kind] ?? 0) + times
    if (outcome.violations.length === 0) continue
    failed.push(seed)
    if (isFirstEnough) break
  }
  return { seeds, steps, simulatedMs, fed, faults, failed }
}

export interface Story {
  readonly plan: Plan
  readonly outcome: Outcome
  /** How many runs it took to make the plan so small. */
  readonly runs: number
}

/** Shrinks the plan of a seed that failed, and runs the smallest one with its trace. */
export async function tellStory(seed: number, mutation?: Mutation): Promise<Story> {
  const options = { ...(mutation && { mutation }) }
  const fails = async (plan: Plan): Promise<boolean> => (await simulate(plan, options)).violations.length > 0
  const { plan, runs } = await shrink(createPlan(seed), fails)
  return { plan, runs, outcome: await simulate(plan, { ...options, hasTrace: true }) }
}

/** The story as lines: what is wrong, the smallest plan, what happened. */
export function printStory({ plan, runs, outcome }: Story): string {
  const { violations, trace } = outcome
  const lines = [
    ...violations.map((violation) => `  ${violation}`),
    `  smallest plan, after ${runs} runs: ${JSON.stringify(plan)}`,
  ]
  return [...lines, ...trace].join('\n')
}
