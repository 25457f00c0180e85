/** Growth cost. What a pizza costs by the number of stored orders and the size of its order, and by how much that grows. */
import type { Growth } from './growth.ts'
import { toCpuMsPerOrder, toGrowth, toShopCpuMsPerOrder } from './ratios.ts'
import type { LoadRun } from './runs.ts'

export interface Payer {
  readonly name: string
  readonly msPerOrder: (run: LoadRun) => number
}

export interface Family {
  readonly name: string
  /** The highest ratio of a cost to one of a smaller store, or of a smaller order. */
  readonly growth: number
}

/** The process that has the orders, and all together. */
export const payers: readonly Payer[] = [
  { name: 'orders role', msPerOrder: (run) => toCpuMsPerOrder(run)['orders'] ?? 0 },
  { name: 'all roles', msPerOrder: toShopCpuMsPerOrder },
]

/** CPU milliseconds a pizza, its share of the order's cost included, in each round. */
export function toPizzaCosts({ comparison, counts }: Growth, payer: Payer, shop: number, load: number): number[] {
  return comparison.loads[load]!.runs[shop]!.map((run) => payer.msPerOrder(run) / counts[load]!)
}

/** How much the cost of a pizza grows: while more orders are stored, and while orders are larger, at its worst. */
export function toFamilies(growth: Growth): Family[] {
  const { stored, counts } = growth
  return payers.flatMap((payer) => {
    const byStored = counts.map((_, load) => toGrowth(stored.map((_, shop) => toPizzaCosts(growth, payer, shop, load))))
    const bySize = stored.map((_, shop) => toGrowth(counts.map((_, load) => toPizzaCosts(growth, payer, shop, load))))
    return [
      { name: `${payer.name}, more orders stored`, growth: Math.max(...byStored) },
      { name: `${payer.name}, larger orders`, growth: Math.max(...bySize) },
    ]
  })
}
