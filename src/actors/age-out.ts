/**
 * Age-out: takes orders that have been ready for long enough out of the state store, so that it does not grow for ever. They leave with a
 * checkpoint, so that every owner to come forgets them, too.
 *
 * A1: only orders leave that are ready, and are not in memory: nothing is going on with them.
 * A2: a checkpoint takes `ordersMax` of them at most; there is another one as long as there are more.
 */
import { systemClock, type Clock } from './clock.ts'
import type { AgedOrder, OrderStore } from './order-store.ts'

export interface AgeOut {
  /** What leaves with the next checkpoint. */
  take(): AgedOrder[]
  /** How many have left. */
  readonly orders: number
  stop(): void
}

export interface AgeOutOptions {
  readonly store: OrderStore
  /** How long orders stay after they became ready, in hours. */
  readonly hours: number
  /** Partition numbers whose orders are this host's to forget. */
  readonly owned: () => readonly number[]
  readonly isLive: (orderId: string) => boolean
  /** Asks for a checkpoint. */
  readonly ask: () => void
  readonly clock?: Clock
}

const lookMs = 60_000
const ordersMax = 1_000

/** Starts to look now and then. */
export function createAgeOut({ store, hours, owned, isLive, ask, clock = systemClock }: AgeOutOptions): AgeOut {
  let isDue = true
  let orders = 0
  let cancel: () => void = () => {}
  const look = (): void => {
    isDue = true
    ask()
    cancel = clock.later(look, lookMs)
  }
  cancel = clock.later(look, lookMs)
  return {
    take() {
      if (!isDue) return []
      const aged = store.agedBefore(clock.now() - hours * 3_600_000, owned(), ordersMax)
      isDue = aged.length === ordersMax
      if (isDue) ask()
      const leaving = aged.filter(({ order_id }) => !isLive(order_id))
      orders += leaving.length
      return leaving
    },
    get orders() {
      return orders
    },
    stop: () => cancel(),
  }
}

/** Keeps every order. */
export const keepAll: AgeOut = { take: () => [], orders: 0, stop() {} }
