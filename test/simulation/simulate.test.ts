/** The simulation: no seed breaks a promise, a seed is a run, and programs with a broken rule are found. */
import { describe, expect, it } from 'vitest'
import { mutations } from './mutations.ts'
import { createPlan } from './plan.ts'
import { printStory, runSeeds, tellStory } from './run-seeds.ts'
import { simulate } from './simulate.ts'

const timeout = 300_000
const seedsMax = 2_000
const budgetMs = 60_000

describe('The simulated shop', () => {
  it(
    `keeps every promise (P1-P9) with one order host and with several, in ${seedsMax} seeds, or in as many as a minute is enough for`,
    { timeout },
    async () => {
      const { seeds, fed, failed, faults } = await runSeeds({ from: 1, count: seedsMax, budgetMs })
      console.log(`simulated ${seeds} seeds`)
      for (const seed of failed.slice(0, 1)) console.log(printStory(await tellStory(seed)))
      expect(failed).toEqual([])
      // Slow machines run fewer seeds, and none runs so few that a kind of fault never comes.
      expect(seeds).toBeGreaterThanOrEqual(100)
      expect(fed).toBeGreaterThan(10 * seeds)
      expect(Object.keys(faults).toSorted()).toEqual([
        'answer lost',
        'batch again',
        'batch refused',
        'batch twice',
        'call refused',
        'checkpoint refused',
        'claim lost',
        'claim refused',
        'crash',
        'crash after a checkpoint',
        'crash before a checkpoint',
        'disk full',
        'eviction',
        'host leaves',
        'late checkpoint refused',
        'one more host',
        'one more member',
        'outage',
        'pause',
        'slow',
        'snapshots lost',
        'snapshots refused',
        'stop',
        'store deleted',
        'zombie',
      ])
    },
  )

  it('is a lone host without a topic of snapshots in a third of the seeds, and several hosts in a third', () => {
    const plans = Array.from({ length: 300 }, (_, seed) => createPlan(seed))
    expect(plans.filter(({ hasSnapshots }) => !hasSnapshots).length).toBeGreaterThan(90)
    expect(plans.filter(({ hosts }) => hosts > 1).length).toBeGreaterThan(90)
  })

  it('runs the same way for the same seed, line by line', async () => {
    for (const seed of [3, 14, 37, 159]) {
      const first = await simulate(createPlan(seed), { hasTrace: true })
      expect(first.trace.length).toBeGreaterThan(10)
      expect(await simulate(createPlan(seed), { hasTrace: true })).toEqual(first)
    }
    const hashes = await Promise.all([1, 2, 3, 4].map(async (seed) => (await simulate(createPlan(seed))).hash))
    expect(new Set(hashes).size).toBe(4)
  })
})

describe('The simulation finds', () => {
  it.each(mutations)('$name', { timeout }, async (mutation) => {
    const { failed } = await runSeeds({ from: 1, count: 1_000, mutation, isFirstEnough: true })
    expect(failed).toHaveLength(1)
  })

  it('the smallest world in which a seed fails, and tells what happened there', { timeout }, async () => {
    const mutation = mutations.find(({ name }) => name === 'the order host takes a failed append for done')!
    const { failed } = await runSeeds({ from: 1, count: 1_000, mutation, isFirstEnough: true })
    const before = createPlan(failed[0]!)
    const story = await tellStory(failed[0]!, mutation)
    expect(story.outcome.violations.length).toBeGreaterThan(0)
    expect(story.plan.orders.length).toBeLessThanOrEqual(before.orders.length)
    expect(story.plan.faults.length + story.plan.callFaults.length).toBeLessThan(
      before.faults.length + before.callFaults.length,
    )
    expect(printStory(story)).toMatch(/P[1-9]: .*\n {2}smallest plan, after \d+ runs: \{"seed":/)
  })
})
