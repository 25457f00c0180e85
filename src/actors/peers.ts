/**
 * Peers: which host of the role owns which partition, so that a request can be answered by the one that knows. The group's members say
 * where they can be reached (event-log.ts `owners`).
 *
 * W1: what is known may be half a second old, and is looked up anew for whoever found it wrong. While the group changes, what was
 *     known before counts: most partitions stay where they are, and an owner that is none any more says so.
 */
import type { EventLog } from '../log/event-log.ts'
import { systemClock, type Clock } from './clock.ts'

export interface Peers {
  /** This host's address. */
  readonly self: string
  readonly partitions: number
  /** Whether this host owns the partition, without asking anybody. */
  isHere(partition: number): boolean
  /** The address of the partition's owner, `self` included; `undefined` while it has none that is known. */
  ownerOf(partition: number, options?: { fresh?: boolean }): Promise<string | undefined>
  /** Every other host that owns something, with what. */
  others(options?: { fresh?: boolean }): Promise<ReadonlyMap<string, readonly number[]>>
  /** Partitions of which no owner was known at the last look. */
  missing(): readonly number[]
}

export interface PeersOptions {
  readonly log: EventLog
  readonly groupId: string
  readonly self: string
  readonly partitions: number
  readonly isHere: (partition: number) => boolean
  readonly clock?: Clock
}

const maxAgeMs = 500
/** One that was told a moment ago is asked for by several callers that found the same host gone. */
const freshAgeMs = 50

/** Creates what knows nothing until it is asked. */
export function createPeers(options: PeersOptions): Peers {
  const { log, groupId, self, partitions, isHere, clock = systemClock } = options
  let known: ReadonlyMap<number, string> = new Map()
  let lookedAt = -Infinity
  let looking: Promise<void> | undefined

  const look = async (): Promise<void> => {
    try {
      const found = await log.owners(groupId)
      if (found.size > 0) known = found
    } catch {
      // Where the log does not answer, nothing has moved as far as anybody knows.
    }
    lookedAt = clock.elapsed()
    looking = undefined
  }

  const owners = async (fresh = false): Promise<ReadonlyMap<number, string>> => {
    if (clock.elapsed() - lookedAt > (fresh ? freshAgeMs : maxAgeMs)) await (looking ??= look())
    return known
  }

  return {
    self,
    partitions,
    isHere,
    async ownerOf(partition, { fresh } = {}) {
      return (await owners(fresh)).get(partition)
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
    missing() {
      void owners()
      const all = Array.from({ length: partitions }, (_, partition) => partition)
      return all.filter((partition) => !isHere(partition) && !known.has(partition))
    },
  }
}
