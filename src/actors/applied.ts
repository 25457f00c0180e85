/**
 * Applied positions: how far the order host has read, in memory. Lets a reader wait until the host has seen a given end.
 *
 * A1: a position only grows, and covers exactly the records the actors have seen.
 * A2: partitions that went to another owner are forgotten; who waits for one of them is told so at once.
 */
import type { Positions } from '../log/event-log.ts'
import { systemClock } from './clock.ts'
import { setPosition, type MutablePositions } from './positions.ts'

export interface Applied {
  /** Begins at these positions. Records below them were applied before this process had the partitions. */
  load(positions: Positions): void
  drop(partitions: readonly number[]): void
  position(topic: string, partition: number): number
  /** Notes that a record was applied. */
  pass(topic: string, partition: number, offset: number): void
  /** Copies the positions. */
  snapshot(): Positions
  /** Whether every position has reached its target. */
  hasReached(target: Positions): boolean
  /** Resolves true when the target is reached, false when time is up, a partition of it is dropped, or the signal aborts. */
  whenReached(target: Positions, timeoutMs: number, signal?: AbortSignal): Promise<boolean>
  /** Wakes those whose target is reached. Call once per batch. */
  notify(): void
}

/** Creates the positions of a host that has read nothing. */
export function createApplied(clock = systemClock): Applied {
  const positions: MutablePositions = new Map()
  const waiters = new Set<{ target: Positions; resolve: (reached: boolean) => void }>()

  const position = (topic: string, partition: number): number => positions.get(topic)?.get(partition) ?? 0
  const set = (topic: string, partition: number, to: number): void => {
    if (to > position(topic, partition)) setPosition(positions, topic, partition, to)
  }
  const hasReached = (target: Positions): boolean => {
    for (const [topic, ofTopic] of target) {
      for (const [partition, end] of ofTopic) if (position(topic, partition) < end) return false
    }
    return true
  }

  return {
    load(loaded) {
      for (const [topic, ofTopic] of loaded) for (const [partition, to] of ofTopic) set(topic, partition, to)
    },
    drop(partitions) {
      for (const ofTopic of positions.values()) for (const partition of partitions) ofTopic.delete(partition)
      for (const { target, resolve } of waiters) if (names(target, partitions)) resolve(false)
    },
    position,
    pass: (topic, partition, offset) => set(topic, partition, offset + 1),
    snapshot: () => new Map([...positions].map(([topic, ofTopic]) => [topic, new Map(ofTopic)])),
    hasReached,
    whenReached(target, timeoutMs, signal) {
      if (hasReached(target)) return Promise.resolve(true)
      if (signal?.aborted === true) return Promise.resolve(false)
      return new Promise((resolve) => {
        const settle = (reached: boolean): void => {
          cancel()
          signal?.removeEventListener('abort', giveUp)
          waiters.delete(waiter)
          resolve(reached)
        }
        const giveUp = (): void => settle(false)
        const cancel = clock.later(giveUp, timeoutMs)
        const waiter = { target, resolve: settle }
        signal?.addEventListener('abort', giveUp)
        waiters.add(waiter)
      })
    },
    notify() {
      for (const { target, resolve } of waiters) if (hasReached(target)) resolve(true)
    },
  }
}

function names(target: Positions, partitions: readonly number[]): boolean {
  return [...target.values()].some((ofTopic) => partitions.some((partition) => ofTopic.has(partition)))
}
