/**
 * Ratios. What the runs of a comparison say: the median of the rounds, and the median of the ratios taken in each round, because
 * two runs of one round had the same machine and two of different rounds had not.
 */
import { toRole } from './instances.ts'
import type { LoadRun } from './runs.ts'

export interface Ratio {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** @param figures of the same rounds as `first`. */
export function toRatio(figures: readonly number[], first: readonly number[]): Ratio {
  const ratios = figures.map((figure, round) => figure / first[round]!)
  return { median: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) }
}

/** The highest ratio of any series to one before it: what fell and rose again has grown. 1 when nothing has. */
export function toGrowth(series: readonly (readonly number[])[]): number {
  const ratios = series.flatMap((later, at) => series.slice(0, at).map((earlier) => toRatio(later, earlier).median))
  return Math.max(1, ...ratios)
}

/** CPU milliseconds an order by role, the instances of one together, and `broker`. */
export function toCpuMsPerOrder({ cpuSeconds, orders }: LoadRun): Record<string, number> {
  const byRole: Record<string, number> = {}
  for (const [name, seconds] of Object.entries(cpuSeconds)) {
    const role = toRole(name)
    byRole[role] = (byRole[role] ?? 0) + (seconds * 1_000) / orders
  }
  return byRole
}

/** CPU milliseconds an order of the whole shop; the broker, which others use too, is not part of it. */
export function toShopCpuMsPerOrder(run: LoadRun): number {
  const { broker: _, ...ofShop } = toCpuMsPerOrder(run)
  return Object.values(ofShop).reduce((sum, ms) => sum + ms, 0)
}

/** @returns 0 of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle) - 1] ?? sorted[0] ?? 0)) / 2
}
