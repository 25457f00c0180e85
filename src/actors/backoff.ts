/** Waiting between attempts: exponential with a ceiling, cut short by a signal. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface Backoff {
  /** Waits before the next attempt; resolves at once when the signal has been or is aborted. */
  wait(): Promise<void>
  /** Begins again with the shortest wait. */
  reset(): void
}

/** Creates a back-off whose waits double from `firstMs` (default 50) to `maxMs` (default 2,000). */
export function createBackoff(options: { signal: AbortSignal; firstMs?: number; maxMs?: number }): Backoff {
  const { signal, firstMs = 50, maxMs = 2_000 } = options
  let nextMs = firstMs
  return {
    async wait() {
      const waitMs = nextMs
      nextMs = Math.min(nextMs * 2, maxMs)
      await sleep(waitMs, undefined, { signal }).catch(() => {})
    },
    reset() {
      nextMs = firstMs
    },
  }
}
