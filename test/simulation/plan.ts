/** Plan. The world of one seed: how large it is, how it is tuned, and which faults come at which step. Everything follows from the seed. */
import { recipe } from '../../src/menu.ts'
import { createRandom, type Random } from '../support/random.ts'
import { callFaults, type CallFault } from './faults.ts'

/** A program of the shop: what runs there has one role, and if it keeps state, one disk. Order hosts are the only role with several. */
export type Unit = string

const hostUnits: readonly Unit[] = ['orders', 'orders-2', 'orders-3']
const otherUnits: readonly Unit[] = [...recipe.map(({ topping }) => topping), 'cheese-reporter']

export const isHost = (unit: Unit): boolean => unit.startsWith('orders')
export const roleOf = (unit: Unit): string => (isHost(unit) ? 'orders' : unit)

/** The programs that a plan begins with. */
export function unitsOf({ hosts }: Pick<Plan, 'hosts'>): Unit[] {
  return [...hostUnits.slice(0, hosts), ...otherUnits]
}

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
  'zombie',
  'one more host',
  'host leaves',
] as const

/** They come to order hosts that share the partitions, and to no other program. */
const hostKinds: ReadonlySet<string> = new Set(['zombie', 'one more host', 'host leaves'])

export interface PlannedFault {
  /** It comes before this step. */
  readonly step: number
  readonly kind: (typeof plannedKinds)[number]
  readonly unit: Unit
  /** How long it lasts, or how long the program stays away, in milliseconds of the simulation. */
  readonly ms: number
}

export interface Plan {
  readonly seed: number
  readonly partitions: number
  /** Order hosts at the beginning, each with a disk of its own. */
  readonly hosts: number
  /** Whether partitions can be handed over through the topic of snapshots; a lone host can do without. */
  readonly hasSnapshots: boolean
  /** How often a host follows the partitions of others; 0 is never. */
  readonly standbyMs: number
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
  const hosts = random.pick([1, 1, 1, 2, 2, 3])
  const hasSnapshots = hosts > 1 || random.oneIn(3)
  const kinds = some(plannedKinds)
  const faults =
    kinds.length === 0 ? [] : Array.from({ length: random.below(20) }, () => planFault(random, kinds, hosts))
  return {
    seed,
    partitions: 1 + random.below(hasSnapshots ? 4 : 3),
    hosts,
    hasSnapshots,
    standbyMs: random.pick([0, 20, 100, 500]),
    orders: Array.from({ length: 2 + random.below(7) }, () => 1 + random.below(random.oneIn(5) ? 8 : 2)),
    hasStrangers: random.oneIn(2),
    checkpointMs: random.pick([1, 5, 20, 100]),
    checkpointOrdersMax: random.pick([1, 3, 1_000]),
    liveActorsMax: random.pick([1, 2, 5, 1_000]),
    callFaults: some(Object.keys(callFaults) as CallFault[]),
    faults: faults.toSorted((a, b) => a.step - b.step),
  }
}

function planFault(random: Random, kinds: readonly PlannedFault['kind'][], hosts: number): PlannedFault {
  const kind = random.pick(kinds)
  // The hosts have most of what can go wrong, so they get most of what does.
  const isOfHost = hostKinds.has(kind) || random.oneIn(hosts === 1 ? 3 : 2)
  return {
    step: random.below(stepsMax * (hosts === 1 ? 1 : 2)),
    kind,
    unit: random.pick(isOfHost ? hostUnits.slice(0, hosts) : otherUnits),
    ms: random.pick([1, 10, 100, 1_000, 4_000]),
  }
}
