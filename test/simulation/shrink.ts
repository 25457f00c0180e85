/** Shrink. Makes a failing plan smaller while it still fails: fewer faults, fewer kinds, fewer orders, fewer hosts, nobody else. */
import type { Plan } from './plan.ts'

/** Tries smaller plans until none of them fails any more. @returns the smallest that does, and how many runs it took. */
export async function shrink(
  plan: Plan,
  fails: (plan: Plan) => Promise<boolean>,
  runsMax = 300,
): Promise<{ plan: Plan; runs: number }> {
  let smallest = plan
  let runs = 0
  for (let hasShrunk = true; hasShrunk && runs < runsMax;) {
    hasShrunk = false
    for (const candidate of smaller(smallest)) {
      if (runs++ >= runsMax) break
      if (!(await fails(candidate))) continue
      smallest = candidate
      hasShrunk = true
      break
    }
  }
  return { plan: smallest, runs }
}

/** Every plan that is one step smaller, the boldest steps first. */
function* smaller(plan: Plan): Generator<Plan> {
  const { faults, orders, callFaults } = plan
  if (plan.hasStrangers) yield { ...plan, hasStrangers: false }
  if (callFaults.length > 0) yield { ...plan, callFaults: [] }
  if (faults.length > 1) {
    yield { ...plan, faults: faults.slice(faults.length >> 1) }
    yield { ...plan, faults: faults.slice(0, faults.length >> 1) }
  }
  if (orders.length > 1) yield { ...plan, orders: orders.slice(0, orders.length >> 1) }
  if (plan.hosts > 1) yield { ...plan, hosts: plan.hosts - 1 }
  if (plan.hosts === 1 && plan.hasSnapshots) yield { ...plan, hasSnapshots: false }
  if (plan.partitions > 1) yield { ...plan, partitions: 1 }
  for (const index of faults.keys()) yield { ...plan, faults: faults.toSpliced(index, 1) }
  for (const index of callFaults.keys()) yield { ...plan, callFaults: callFaults.toSpliced(index, 1) }
  for (const index of orders.keys()) if (orders.length > 1) yield { ...plan, orders: orders.toSpliced(index, 1) }
  for (const [index, count] of orders.entries()) if (count > 1) yield { ...plan, orders: orders.with(index, 1) }
}
