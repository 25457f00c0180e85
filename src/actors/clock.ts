/** Time for the actors: whatever they do later, and every time they write down, goes through one injectable clock. */

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Milliseconds since some moment, on a clock that never jumps: for durations. */
  elapsed(): number
  /** Runs something later. @returns what cancels it. */
  later(run: () => void, delayMs: number): () => void
}

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  later(run, delayMs) {
    const timer = setTimeout(run, delayMs)
    return () => clearTimeout(timer)
  },
}
