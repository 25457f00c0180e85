/** Waiting between attempts: exponential with a ceiling, cut short by a signal. */
import type { Clock } from './clock.ts'

export interface Backoff {
  /** Waits before the next attempt; resolves at once when the signal has been or is aborted. */
  wait(): Promise<void>
  /** Begins again with the shortest wait. */
  reset(): void
}

export interface BackoffOptions {
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly firstMs?: number
  readonly maxMs?: number
}

/** Creates a back-off whose waits double from `firstMs` (default 50) to `maxMs` (default 2,000). */
export function createBackoff({ signal, clock, firstMs = 50, maxMs = 2_000 }: BackoffOptions): Backoff {
  let nextMs = firstMs
  return {
    wait() {
      const waitMs = nextMs
      nextMs = Math.min(nextMs * 2, maxMs)
      if (signal.aborted) return Promise.resolve()
      return new Promise((resolve) => {
        const settle = (): void => {
          cancel()
          signal.removeEventListener('abort', settle)
          resolve()
        }
        const cancel = clock.later(settle, waitMs)
        signal.addEventListener('abort', settle)
      })
    },
    reset() {
      nextMs = firstMs
    },
  }
}
