/** Plan. The world of one seed: how large it is, how it is tuned, and which faults come at which step. Everything follows from the seed. */
import { recipe } from '../../src/menu.ts'
import { createRandom, type Random } from '../support/random.ts'
import { callFaults, type CallFault } from './faults.ts'

export const roles = ['orders', ...recipe.map(({ topping }) => topping), 'cheese-reporter']

const plannedKinds = [
  'crash',
  'crash before a checkpoint',
  'crash after a checkpoint',
  'store deleted',
  'stop',
  'pause',
  'slow',
  'eviction',
  'one more member',
  'outage',
  'disk full',
] as const

export interface PlannedFault {
  /** It comes before this step. */
  readonly step: number
  readonly kind: (typeof plannedKinds)[number]
  readonly role: string
  /** How long it lasts, or how long the role stays away, in milliseconds of the simulation. */
  readonly ms: number
}

export interface Plan {
  readonly seed: number
  readonly partitions: number
  /** Pizzas of each order. */
  readonly orders: readonly number[]
  /** Whether other programs write too: bad records, early toppings, doubled orders. */
  readonly hasStrangers: boolean
  readonly checkpointMs: number
  readonly checkpointOrdersMax: number
  readonly liveActorsMax: number
  readonly callFaults: readonly CallFault[]
  readonly faults: readonly PlannedFault[]
}

/** Most runs of few orders are quiet by then. */
const stepsMax = 700

/** Makes the plan of a seed. */
export function createPlan(seed: number): Plan {
  const random = createRandom(seed ^ 0x5eed)
  const some = <T>(from: readonly T[]): T[] => from.filter(() => random.oneIn(2))
  const kinds = some(plannedKinds)
  const faults = kinds.length === 0 ? [] : Array.from({ length: random.below(20) }, () => planFault(random, kinds))
  return {
    seed,
    partitions: 1 + random.below(3),
    orders: Array.from({ length: 2 + random.below(7) }, () => 1 + random.below(random.oneIn(5) ? 8 : 2)),
    hasStrangers: random.oneIn(2),
    checkpointMs: random.pick([1, 5, 20, 100]),
    checkpointOrdersMax: random.pick([1, 3, 1_000]),
    liveActorsMax: random.pick([1, 2, 5, 1_000]),
    callFaults: some(Object.keys(callFaults) as CallFault[]),
    faults: faults.toSorted((a, b) => a.step - b.step),
  }
}

function planFault(random: Random, kinds: readonly PlannedFault['kind'][]): PlannedFault {
  // The host has most of what can go wrong, so it gets a third of what does.
  const role = random.oneIn(3) ? 'orders' : random.pick(roles)
  return { step: random.below(stepsMax), kind: random.pick(kinds), role, ms: random.pick([1, 10, 100, 1_000, 4_000]) }
}
