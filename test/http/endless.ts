/** A host with more events than any buffer holds, each of 10 KB, all there at once. Counts what is pulled. */
import type { Orders } from '../../src/actors/orders.ts'

export interface Endless {
  count(): number
  /** Resolves when the reader has left the stream. */
  readonly left: Promise<void>
  /** Resolves when nothing was pulled for many turns of the event loop. */
  stuck(): Promise<void>
}

const padding = 'x'.repeat(10_000)

export function makeEndless(orders: Orders, eventsMax = 100_000): Endless {
  let count = 0
  const left = Promise.withResolvers<void>()
  orders.watch = async function* watch() {
    try {
      for (let i = 0; i < eventsMax; i++) {
        count++
        yield { id: `e-${i}`, type: 'pizza.topped', order_id: '7', data: { padding } }
        // Turns of the event loop let the socket write, as they do between batches of a real log.
        if (i % 10 === 0) await turn()
      }
    } finally {
      left.resolve()
    }
  }
  return {
    count: () => count,
    left: left.promise,
    async stuck() {
      for (let quiet = 0, last = -1; quiet < 200; last = count) {
        await turn()
        quiet = count === last && count > 0 ? quiet + 1 : 0
      }
    },
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}
