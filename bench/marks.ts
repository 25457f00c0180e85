/** Marks. What the shop set itself to reach on two cores; a mark is looked at only when its run was part of the plan. */
import type { Growth } from './growth.ts'
import { toFamilies } from './growth-cost.ts'
import type { Memory } from './memory.ts'
import type { SystemResult } from './runs.ts'
import type { Mode } from './systems.ts'

export interface Mark {
  readonly name: string
  readonly wanted: string
  readonly measured: string
  readonly reached: boolean
}

const least = { embedded: { ordersPerSecond: 2_000, readyMs: 5 }, kafka: { ordersPerSecond: 1_500, readyMs: 8 } }
const bigPizzasPerSecond = 8_000
const recoverMs = 2_000
const ordersMb = 300
const growthMax = 1.25

export function judge(mode: Mode, { loads, kills }: SystemResult): Mark[] {
  const marks: Mark[] = []
  for (const run of loads) {
    if (run.count > 2) {
      if (mode === 'kafka')
        marks.push(atLeast(`${mode}, ${run.name}: pizzas/s`, run.pizzasPerSecond, bigPizzasPerSecond))
      continue
    }
    const name = `${mode}, ${run.name}`
    if (run.clients === 64) marks.push(atLeast(`${name}: orders/s`, run.ordersPerSecond, least[mode].ordersPerSecond))
    if (run.clients === 1) marks.push(atMost(`${name}: ready p50, ms`, run.readyMs.p50, least[mode].readyMs))
  }
  if (kills.length > 0) {
    const slowest = Math.max(...kills.map(({ allReadyMs }) => allReadyMs))
    marks.push(atMost(`${mode}, kill -9 of everything, slowest: all accepted orders ready, ms`, slowest, recoverMs))
  }
  return marks
}

/** Whatever phase it is in. */
export function judgeMemory({ phases }: Memory): Mark[] {
  const peakMb = Math.max(...phases.map((phase) => phase.peakMb))
  return [atMost('embedded, memory of the orders role, MB', peakMb, ordersMb)]
}

/** Falling is fine: what counts is the highest cost of a pizza against any with fewer orders stored, or in a smaller order. */
export function judgeGrowth(mode: Mode, growth: Growth): Mark[] {
  return toFamilies(growth).map(({ name, growth: highest }) =>
    atMost(`${mode}, CPU time a pizza, ${name}: highest growth`, highest, growthMax),
  )
}

function atLeast(name: string, value: number, bound: number): Mark {
  return { name, wanted: `≥ ${bound}`, measured: value.toFixed(0), reached: value >= bound }
}

function atMost(name: string, value: number, bound: number): Mark {
  return {
    name,
    wanted: `≤ ${bound}`,
    measured: String(Number(value.toFixed(bound < 2 ? 2 : 1))),
    reached: value <= bound,
  }
}
