/**
 * Nemesis. A short run of `npm run nemesis` on each log: faults of every kind, some at once, on real processes, files and a real
 * broker, while customers order.
 */
import { describe, expect, test } from 'vitest'
import { kafkaAvailable, needsKafka } from '../kafka/broker.ts'
import { runNemesis } from '../nemesis/nemesis.ts'
import { planFaults } from '../nemesis/plan.ts'
import { printReport } from '../nemesis/report.ts'
import type { Mode } from '../nemesis/target.ts'
import { failOnLeftovers } from '../support/lifecycle.ts'
import { chooseSeed } from '../support/random.ts'

const faultsMax = 10

failOnLeftovers()

test('A plan is the same for the same seed, and another for another', () => {
  const firstOf = (seed: number) => planFaults(seed, { kill: 2, hang: 1 }).take(50).toArray()
  expect(firstOf(7)).toEqual(firstOf(7))
  expect(firstOf(7)).not.toEqual(firstOf(8))
})

async function expectNothingFound(mode: Mode): Promise<void> {
  const result = await runNemesis({ mode, seed: chooseSeed(`Nemesis, ${mode}`), faultsMax, hasLong: false })
  console.log(printReport(result))
  expect(result.findings).toEqual([])
  expect(result.faults).toHaveLength(faultsMax)
  expect(result.accepted).toBeGreaterThan(0)
}

test('P1 P2 P3 P4 P5 P7: a shop on the embedded log survives faults of every kind', { timeout: 180_000 }, () =>
  expectNothingFound('embedded'),
)

describe.skipIf(!(await kafkaAvailable()))(`on Kafka (${needsKafka})`, () => {
  test('P1 P2 P3 P4 P5 P7: a shop on Kafka survives faults of every kind', { timeout: 300_000 }, () =>
    expectNothingFound('kafka'),
  )
})
