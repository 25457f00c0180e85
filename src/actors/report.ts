/** The cheese report: what one reporter has counted, and what may be asked of all of them together. */
import type { RoleReadiness } from './role.ts'

/** Pizzas by choice of cheese. */
export type Counts = Readonly<Record<string, number>>

/** What was counted on one partition. */
export interface ReportPart {
  readonly partition: number
  readonly counts: Counts
}

/** Of one reporter. */
export interface Report {
  /** Everything it has counted, on partitions that went to another reporter as well. */
  counts(): Counts
  /** Of the partitions it owns and has read to where they ended when they came: what the owner before it showed is in there. */
  parts(): readonly ReportPart[]
  /** Whether nobody else can own its partitions yet (event-log.ts). */
  isConfirmed(): boolean
  readiness(): RoleReadiness
}

/** Of all reporters. */
export interface SharedReport {
  /** Every pizza, counted once. @throws ProblemError `behind` while a partition has no owner that has caught up. */
  read(signal?: AbortSignal): Promise<Counts>
  readiness(): RoleReadiness
}

/** Adds counts up, choices in the order of the alphabet. */
export function sumCounts(all: Iterable<Counts>): Counts {
  const sums = new Map<string, number>()
  for (const counts of all) {
    for (const [choice, pizzas] of Object.entries(counts)) sums.set(choice, (sums.get(choice) ?? 0) + pizzas)
  }
  return toCounts(sums)
}

/** Counts as they are shown. */
export function toCounts(counts: ReadonlyMap<string, number>): Counts {
  return Object.fromEntries([...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
