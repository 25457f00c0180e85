/** A role: one of the shop's programs (orders, a topping, cheese-reporter), running in this process. */

export interface RoleReadiness {
  readonly ready: boolean
  /** Why not, a sentence each; empty when ready. */
  readonly reasons: readonly string[]
}

export interface Role {
  readonly name: string
  readiness(): RoleReadiness
  /** Finishes what it has begun, makes its position durable, leaves its group. At the deadline it leaves the rest to a replay. */
  stop(deadline: AbortSignal): Promise<void>
}

/** Calls `giveUp` when the deadline comes, or at once when it has passed already. */
export function atDeadline(deadline: AbortSignal, giveUp: () => void): void {
  if (deadline.aborted) giveUp()
  else deadline.addEventListener('abort', giveUp)
}
