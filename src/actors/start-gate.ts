/**
 * Start gate. Decides when a host that has just been given its partitions may take toppings, and when it may answer readers.
 *
 * G1: toppings wait until topic `orders` has been applied to where it ended at the assignment, so none comes before its order.
 * G2: readers wait until every topic has been applied to where it ended then: the process before this one may have shown all of
 *     it, and what it showed must not go back (P2, P3).
 */
import type { Consumer, EventLog, Positions } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import type { Topics } from '../topics.ts'
import type { Applied } from './applied.ts'
import { systemClock, type Clock } from './clock.ts'
import { toPositions } from './positions.ts'

export interface StartGate {
  /** Reads where the topics end. @returns the topics that must wait. */
  open(partitions: readonly number[]): Promise<string[]>
  /** Lets toppings and readers in as far as the ends have been applied. Call it after each batch. */
  check(): void
  readonly isAssigned: boolean
  readonly isCatchingUp: boolean
  /** Whether readers see everything that was on the log at the assignment. */
  readonly isCurrent: boolean
  /** Resolves true as soon as `isCurrent`, false when time is up or the signal aborts. */
  whenCurrent(timeoutMs: number, signal?: AbortSignal): Promise<boolean>
}

export interface StartGateOptions {
  readonly log: EventLog
  readonly logger: Logger
  readonly topics: Topics
  readonly applied: Applied
  readonly consumerRef: { readonly consumer?: Consumer }
  readonly clock?: Clock
}

/** Creates a closed gate. */
export function createStartGate(options: StartGateOptions): StartGate {
  const { log, logger, topics, applied, consumerRef, clock = systemClock } = options
  const stages = [...topics.toppingOf.keys()]
  let ordersEnd: Positions | undefined
  let everyEnd: Positions | undefined
  /** Partitions may come one after the other, while the group still counts on a member that is dead. */
  const assigned = new Set<number>()
  let isAssigned = false
  const waiters = new Set<(isCurrent: boolean) => void>()
  const isCurrent = (): boolean => isAssigned && everyEnd === undefined
  const letReadersIn = (): void => {
    if (everyEnd !== undefined && applied.hasReached(everyEnd)) everyEnd = undefined
    if (isCurrent()) for (const settle of waiters) settle(true)
  }
  const letToppingsIn = (): void => {
    // The first batch may come before `consume` has returned; `check` is called again after it.
    if (ordersEnd === undefined || consumerRef.consumer === undefined || !applied.hasReached(ordersEnd)) return
    ordersEnd = undefined
    consumerRef.consumer.resume(stages)
  }
  return {
    async open(partitions) {
      const ends = await log.ends([topics.orders, ...stages])
      const isWaiting = ordersEnd !== undefined
      const endOfOrders = new Map([[topics.orders, ends.get(topics.orders) ?? []]])
      for (const partition of partitions) assigned.add(partition)
      everyEnd = toPositions(ends, [...assigned])
      ordersEnd = toPositions(endOfOrders, [...assigned])
      // What was paused for the partitions before must be resumed, not forgotten.
      if (isWaiting) letToppingsIn()
      else if (applied.hasReached(ordersEnd)) ordersEnd = undefined
      if (ordersEnd !== undefined) logger.info({ role: 'orders' }, 'Reading the orders placed before the start')
      isAssigned = endOfOrders.get(topics.orders)!.every((_, partition) => assigned.has(partition))
      letReadersIn()
      return ordersEnd === undefined ? [] : stages
    },
    check() {
      letReadersIn()
      letToppingsIn()
    },
    get isAssigned() {
      return isAssigned
    },
    get isCatchingUp() {
      return ordersEnd !== undefined
    },
    get isCurrent() {
      return isCurrent()
    },
    whenCurrent(timeoutMs, signal) {
      if (isCurrent()) return Promise.resolve(true)
      if (signal?.aborted === true) return Promise.resolve(false)
      return new Promise((resolve) => {
        const settle = (reached: boolean): void => {
          cancel()
          signal?.removeEventListener('abort', giveUp)
          waiters.delete(settle)
          resolve(reached)
        }
        const giveUp = (): void => settle(false)
        const cancel = clock.later(giveUp, timeoutMs)
        signal?.addEventListener('abort', giveUp)
        waiters.add(settle)
      })
    },
  }
}
