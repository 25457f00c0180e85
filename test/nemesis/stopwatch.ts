/**
 * Stopwatch. Measures how long after a fault customers have orders again: the time until an order that was accepted after the fault
 * has been seen ready, which needs every role. Listens to what the witness is told.
 */
import type { Witness } from '../support/witness.ts'

export interface Stopwatch {
  /** The witness to give to the customers. */
  readonly witness: Witness
  /** Starts a measurement; resolves with milliseconds, or never when no order becomes ready any more. */
  untilNextFinished(): Promise<number>
}

/** Stands between the customers and their witness. */
export function createStopwatch(witness: Witness): Stopwatch {
  /** Orders that nobody has seen ready yet, and when they were accepted. */
  const open = new Map<string, number>()
  const waiting = new Set<{ from: number; resolve: (ms: number) => void }>()
  const finished = (orderId: string): void => {
    const acceptedAt = open.get(orderId)
    if (acceptedAt === undefined) return
    open.delete(orderId)
    for (const mark of waiting) {
      if (acceptedAt <= mark.from) continue
      waiting.delete(mark)
      mark.resolve(performance.now() - mark.from)
    }
  }
  return {
    witness: {
      ...witness,
      accept(orderId, count) {
        if (!witness.accepted.has(orderId)) open.set(orderId, performance.now())
        witness.accept(orderId, count)
      },
      look(orderId) {
        const answered = witness.look(orderId)
        return (order) => {
          answered(order)
          if (order?.status === 'ready') finished(orderId)
        }
      },
      get looks() {
        return witness.looks
      },
      get violations() {
        return witness.violations
      },
    },
    untilNextFinished: () => new Promise((resolve) => waiting.add({ from: performance.now(), resolve })),
  }
}
