/** A role: one of the shop's programs (orders, a topping, cheese-reporter), running in this process. */
import type { CheckpointStats } from './checkpointer.ts'
import type { HandoverStats } from './handover.ts'
import type { OrderStats } from './order-stats.ts'
import type { Tallies } from './tallies.ts'

export interface RoleReadiness {
  readonly ready: boolean
  /** Why not, a sentence each; empty when ready. */
  readonly reasons: readonly string[]
}

/** How a role is doing, read at one moment. */
export interface RoleStats {
  readonly tallies: Readonly<Tallies>
  /** Outputs that are not durable yet. */
  readonly outboxRecords: number
  /** Partition numbers it owns. */
  readonly partitions: readonly number[]
  /** Of roles that keep state. */
  readonly checkpoints?: CheckpointStats
  /** Of the orders role. */
  readonly orders?: OrderStats
  /** Of the orders role. */
  readonly handover?: HandoverStats
}

export interface Role {
  readonly name: string
  readiness(): RoleReadiness
  stats(): RoleStats
  /** Finishes what it has begun, makes its position durable, leaves its group. At the deadline it leaves the rest to a replay. */
  stop(deadline: AbortSignal): Promise<void>
}

/** Calls `giveUp` when the deadline comes, or at once when it has passed already. */
export function atDeadline(deadline: AbortSignal, giveUp: () => void): void {
  if (deadline.aborted) giveUp()
  else deadline.addEventListener('abort', giveUp)
}

/** A role of this process, as whoever watches over it sees it. */
export interface LocalRole {
  readonly role: string
  readonly state: 'starting' | 'running' | 'stopping' | 'stopped'
  /** Why it cannot do its work, or could not start; empty when all is well. */
  readonly reasons: readonly string[]
  /** The orders role serves the page and its API, so it only ends with the process. */
  readonly canStop: boolean
}

/** The roles of this process, to be stopped and started one by one. */
export interface LocalRoles {
  list(): LocalRole[]
  /** @returns false when it is not running. */
  stop(role: string): Promise<boolean>
  /** @returns false when it is not stopped. @throws what kept it from starting. */
  start(role: string): Promise<boolean>
}
