/**
 * Peers: which host of the role owns which partition, so that a request can be answered by the one that knows. The group's members say
 * where they can be reached (event-log.ts `owners`).
 *
 * W1: what is known may be half a second old, and is looked up anew for whoever found it wrong. While the group changes, what was
 *     known before counts: most partitions stay where they are, and an owner that is none any more says so.
 * W2: where the log does not answer, an owner of everything goes on answering; one of several does not, because it may have been replaced.
 */
import type { EventLog } from '../log/event-log.ts'
import { placeKey } from '../log/placement.ts'
import { systemClock, type Clock } from './clock.ts'

export interface Peers {
  /** This host's address. */
  readonly self: string
  readonly partitions: number
  /** The partition of an order. */
  partitionOf(orderId: string): number
  /** Whether this host owns the partition, without asking anybody. */
  isHere(partition: number): boolean
  /** The address of the partition's owner, as far as is known; `self` only when that is sure. */
  ownerOf(partition: number, options?: { fresh?: boolean }): Promise<string | undefined>
  /** Partitions that are this host's for sure. */
  mine(options?: { fresh?: boolean }): Promise<readonly number[]>
  /** Every other host that owns something, with what. */
  others(options?: { fresh?: boolean }): Promise<ReadonlyMap<string, readonly number[]>>
  /** Whether the log did not answer the last look: what is known is what was known before. */
  isAway(): boolean
  /** Partitions that this host does not work on, and no other as far as is known. */
  missing(): readonly number[]
}

export interface PeersOptions {
  readonly log: EventLog
  readonly groupId: string
  readonly self: string
  readonly partitions: number
  readonly isHere: (partition: number) => boolean
  /** Partitions this host works on, though others may have been given them meanwhile (default: none). */
  readonly held?: () => readonly number[]
  readonly clock?: Clock
}

const maxAgeMs = 500
/** One that was told a moment ago is asked for by several callers that found the same host gone. */
const freshAgeMs = 50
/** A log that takes longer does not answer as far as callers can wait; the look goes on without them. */
const answerMs = 1_000

/** Creates what knows nothing until it is asked. */
export function createPeers(options: PeersOptions): Peers {
  const { log, groupId, self, partitions, isHere, held = () => [], clock = systemClock } = options
  let known: ReadonlyMap<number, string> = new Map()
  let lookedAt = -Infinity
  let looking: Promise<void> | undefined
  let asking: Promise<void> | undefined
  /** Whether the last look showed the group as it was, and whether it showed nothing because the log did not answer. */
  let isSure = false
  let isAway = false

  /** After a wait in vain. One that took longer than it can take says that this process was paused, and nothing about the log. */
  const setAway = (waitedSince: number): void => {
    if (clock.elapsed() - waitedSince > 2 * answerMs) return
    isAway = true
    isSure = known.size === partitions && [...known.values()].every((address) => address === self)
  }

  const ask = async (): Promise<void> => {
    const askedAt = clock.elapsed()
    try {
      const found = await log.owners(groupId)
      isAway = false
      if (found.size > 0) known = found
      // A process that was paused may read an answer from before the pause, and has been replaced since.
      isSure = found.size > 0 && clock.elapsed() - askedAt < answerMs
    } catch {
      setAway(askedAt)
    }
    lookedAt = clock.elapsed()
    asking = undefined
  }

  const look = async (): Promise<void> => {
    asking ??= ask()
    const startedAt = clock.elapsed()
    let cancel = (): void => {}
    const late = new Promise<void>((resolve) => {
      cancel = clock.later(() => {
        setAway(startedAt)
        resolve()
      }, answerMs)
    })
    await Promise.race([asking, late])
    cancel()
    looking = undefined
  }

  const owners = async (fresh = false): Promise<ReadonlyMap<number, string>> => {
    const isOld = clock.elapsed() - lookedAt > (fresh ? freshAgeMs : maxAgeMs)
    // Who waited for an answer in vain has waited for all others, too.
    if (isOld && !(isAway && asking !== undefined)) await (looking ??= look())
    return known
  }

  return {
    self,
    partitions,
    partitionOf: (orderId) => placeKey(orderId, partitions),
    isHere,
    async ownerOf(partition, { fresh } = {}) {
      const owner = (await owners(fresh)).get(partition)
      return owner === self && !isSure ? undefined : owner
    },
    async mine({ fresh } = {}) {
      if (held().every(isHere)) return held()
      const found = await owners(fresh)
      return isSure ? held().filter((partition) => found.get(partition) === self) : []
    },
    async others({ fresh } = {}) {
      const others = new Map<string, number[]>()
      for (const [partition, address] of await owners(fresh)) {
        if (address === self) continue
        const of = others.get(address)
        if (of === undefined) others.set(address, [partition])
        else of.push(partition)
      }
      return others
    },
    isAway: () => isAway,
    missing() {
      void owners()
      const all = Array.from({ length: partitions }, (_, partition) => partition)
      const isHeld = (partition: number): boolean => held().includes(partition) || isHere(partition)
      return all.filter((partition) => !isHeld(partition) && (known.get(partition) ?? self) === self)
    },
  }
}
