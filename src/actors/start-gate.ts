/**
 * Start gate. Decides when a host that has just been given partitions may take their toppings, and when it may answer readers.
 *
 * G1: toppings wait until topic `orders` has been applied to where it ended at the assignment, so none comes before its order.
 * G2: readers of a partition wait until every topic of it has been applied to where it ended then: the owner before this one may
 *     have shown all of it, and what it showed must not go back (P2, P3).
 */
import type { Consumer, EventLog, Positions } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import type { Topics } from '../topics.ts'
import type { Applied } from './applied.ts'
import { systemClock, type Clock } from './clock.ts'
import { toPositions } from './positions.ts'

export interface StartGate {
  /**
   * Reads where the topics of these partitions end, and opens if that is still wanted then (default: yes).
   * @returns the topics that must wait.
   * @throws Error when it is wanted no more.
   */
  open(partitions: readonly number[], isWanted?: () => boolean): Promise<string[]>
  /** These partitions went to another owner. */
  close(partitions: readonly number[]): void
  /** Lets toppings and readers in as far as the ends have been applied. Call it after each batch. */
  check(): void
  has(partition: number): boolean
  /** Partition numbers that were opened and not closed since, ascending; another list each time that they change. */
  readonly partitions: readonly number[]
  readonly isCatchingUp: boolean
  /** Whether readers see everything that was on the log of these partitions when they were assigned. */
  isCurrent(partitions: readonly number[]): boolean
  /** Resolves true as soon as `isCurrent`, false when time is up or the signal aborts. */
  whenCurrent(partitions: readonly number[], timeoutMs: number, signal?: AbortSignal): Promise<boolean>
}

export interface StartGateOptions {
  readonly log: EventLog
  readonly logger: Logger
  readonly topics: Topics
  readonly applied: Applied
  readonly consumerRef: { readonly consumer?: Consumer }
  readonly clock?: Clock
}

/** Where the topics of a partition ended when it was opened; `undefined` once that has been applied. */
interface Door {
  ordersEnd: Positions | undefined
  everyEnd: Positions | undefined
}

/** Creates a closed gate. */
export function createStartGate(options: StartGateOptions): StartGate {
  const { log, logger, topics, applied, consumerRef, clock = systemClock } = options
  const stages = [...topics.toppingOf.keys()]
  const doors = new Map<number, Door>()
  let opened: readonly number[] = []
  /** Whether toppings are kept from coming. */
  let isWaiting = false
  const waiters = new Set<{ partitions: readonly number[]; settle: (isCurrent: boolean) => void }>()

  const isCurrent = (partitions: readonly number[]): boolean =>
    partitions.every((partition) => doors.has(partition) && doors.get(partition)!.everyEnd === undefined)
  const isCatchingUp = (): boolean => [...doors.values()].some(({ ordersEnd }) => ordersEnd !== undefined)

  const letReadersIn = (): void => {
    for (const door of doors.values()) {
      if (door.everyEnd !== undefined && applied.hasReached(door.everyEnd)) door.everyEnd = undefined
    }
    for (const { partitions, settle } of waiters) if (isCurrent(partitions)) settle(true)
  }

  const letToppingsIn = (): void => {
    // The first batch may come before `consume` has returned; `check` is called again after it.
    if (!isWaiting || consumerRef.consumer === undefined) return
    for (const door of doors.values()) {
      if (door.ordersEnd !== undefined && applied.hasReached(door.ordersEnd)) door.ordersEnd = undefined
    }
    if (isCatchingUp()) return
    isWaiting = false
    consumerRef.consumer.resume(stages)
  }

  const setOpened = (): void => {
    opened = [...doors.keys()].toSorted((a, b) => a - b)
  }

  return {
    async open(partitions, isWanted = () => true) {
      const ends = await log.ends([topics.orders, ...stages])
      if (!isWanted()) throw new Error(`Partitions ${partitions.join(', ')} went before readers were let in`)
      const endsOfOrders = new Map([[topics.orders, ends.get(topics.orders) ?? []]])
      for (const partition of partitions) {
        const ordersEnd = toPositions(endsOfOrders, [partition])
        const isThere = applied.hasReached(ordersEnd)
        doors.set(partition, {
          ordersEnd: isThere ? undefined : ordersEnd,
          everyEnd: toPositions(ends, [partition]),
        })
      }
      setOpened()
      // What was paused for the partitions before must be resumed, not forgotten.
      if (isWaiting) letToppingsIn()
      else isWaiting = isCatchingUp()
      if (isWaiting) logger.info({ role: 'orders' }, 'Reading the orders placed before the start')
      letReadersIn()
      return isWaiting ? stages : []
    },
    close(partitions) {
      for (const partition of partitions) doors.delete(partition)
      setOpened()
      letToppingsIn()
    },
    check() {
      if (opened.length === 0) return
      letReadersIn()
      letToppingsIn()
    },
    has: (partition) => doors.has(partition),
    get partitions() {
      return opened
    },
    get isCatchingUp() {
      return isCatchingUp()
    },
    isCurrent,
    whenCurrent(partitions, timeoutMs, signal) {
      if (isCurrent(partitions)) return Promise.resolve(true)
      if (signal?.aborted === true) return Promise.resolve(false)
      return new Promise((resolve) => {
        const settle = (reached: boolean): void => {
          cancel()
          signal?.removeEventListener('abort', giveUp)
          waiters.delete(waiter)
          resolve(reached)
        }
        const waiter = { partitions, settle }
        const giveUp = (): void => settle(false)
        const cancel = clock.later(giveUp, timeoutMs)
        signal?.addEventListener('abort', giveUp)
        waiters.add(waiter)
      })
    },
  }
}
