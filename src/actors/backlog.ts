/**
 * Backlog: how much the order host still has to do, known without asking the log, so that every new order can be held against it.
 *
 * G1: an order placed here counts from its request until the host has read it, with the pizzas it will ask for.
 * G2: what others appended is known by a look at the log's ends, at most `lookMs` old while orders come and never waited for.
 * G3: above `recordsMax` no order is taken: its delay would only grow. What was taken before is finished all the same.
 * G4: an order whose partition another host owns is held against what that one has left to do, as far as the group tells: partitions are
 *     spread evenly, so it has about as many as this host.
 */
import type { Coordinates, EventLog, Positions } from '../log/event-log.ts'
import type { Applied } from './applied.ts'
import { systemClock, type Clock } from './clock.ts'
import { OrdersError } from './orders.ts'

export interface Backlog {
  /** Notes an order that was placed here. */
  placed(orderId: string, at: Coordinates, count: number): void
  /** What the host must have applied to know the order; `undefined` when it has, or when the order was placed elsewhere. */
  targetOf(orderId: string): Positions | undefined
  /** The same for every order placed here whose partition this host owns. */
  targets(): Positions[]
  /** Records to be read, and outputs to be appended, as far as is known. */
  records(): number
  /**
   * Takes up an order that is about to be appended: it counts until `leave`, so that orders which come together see each other.
   * @param partition the order's.
   * @throws OrdersError `behind` when there is too much to do already.
   */
  enter(count: number, partition: number): void
  /** The append has ended, one way or the other. */
  leave(count: number): void
  /** How often `enter` threw. */
  readonly refused: number
}

export interface BacklogOptions {
  readonly log: EventLog
  /** The topic of orders, and those of toppings. */
  readonly orders: string
  readonly toppings: readonly string[]
  readonly applied: Applied
  /** Partition numbers this host reads, and the group of all that read them. */
  readonly owned: () => readonly number[]
  readonly groupId: string
  /** Records that were read and are not dealt with. */
  readonly waiting: () => number
  readonly recordsMax: number
  readonly clock?: Clock
}

const lookMs = 250
/** Orders that are remembered; readers of others ask the log where it ends. */
const placedMax = 100_000

/** Creates the backlog of a host that has read everything. */
export function createBacklog(options: BacklogOptions): Backlog {
  const { log, orders, toppings, groupId, applied, owned, waiting, recordsMax, clock = systemClock } = options
  const placed = new Map<string, { target: Positions; partition: number; records: number }>()
  let placedRecords = 0
  let enteredRecords = 0
  let ends: ReadonlyMap<string, readonly number[]> = new Map()
  /** How far the group is; empty while this host owns everything. */
  let committed: Positions = new Map()
  let lookedAt = -Infinity
  let refused = 0

  /** The oldest are applied first, or nearly so: clearing from the front keeps the map as long as the host is behind. */
  const forgetApplied = (partitions: readonly number[]): void => {
    for (const [oldest, { target, partition, records }] of placed) {
      const isUnread = partitions.includes(partition) && !applied.hasReached(target)
      if (isUnread && placed.size <= placedMax) return
      placed.delete(oldest)
      placedRecords -= records
    }
  }

  const look = (): void => {
    const at = clock.elapsed()
    if (at - lookedAt < lookMs) return
    lookedAt = at
    const topics = [orders, ...toppings]
    const isAlone = owned().length === (ends.get(orders)?.length ?? 0)
    // Where the log cannot be asked it cannot be appended to either, and the caller hears of that.
    const ignore = (): void => {}
    log.ends(topics).then((found) => void (ends = found), ignore)
    if (isAlone) committed = new Map()
    else log.committed(groupId, topics).then((found) => void (committed = found), ignore)
  }

  /** What the owner of a partition that is not this host's has left to do, as far as is known. */
  const recordsElsewhere = (partition: number): number => {
    look()
    let records = 0
    for (const topic of [orders, ...toppings]) {
      const position = committed.get(topic)?.get(partition)
      if (position !== undefined) records += Math.max(0, (ends.get(topic)?.[partition] ?? 0) - position)
    }
    return records * Math.max(1, owned().length)
  }

  const unread = (topic: string, partitions: readonly number[]): number => {
    let records = 0
    for (const partition of partitions) {
      records += Math.max(0, (ends.get(topic)?.[partition] ?? 0) - applied.position(topic, partition))
    }
    return records
  }

  const records = (): number => {
    const partitions = owned()
    forgetApplied(partitions)
    look()
    const unreadToppings = toppings.reduce((sum, topic) => sum + unread(topic, partitions), 0)
    return enteredRecords + Math.max(placedRecords, unread(orders, partitions)) + unreadToppings + waiting()
  }

  return {
    placed(orderId, { topic, partition, offset }, count) {
      const target = new Map([[topic, new Map([[partition, offset + 1]])]])
      placed.set(orderId, { target, partition, records: 1 + count })
      placedRecords += 1 + count
      forgetApplied(owned())
    },
    targetOf: (orderId) => placed.get(orderId)?.target,
    targets() {
      forgetApplied(owned())
      return [...placed.values()].map(({ target }) => target)
    },
    records,
    enter(count, partition) {
      const behind = owned().includes(partition) ? records() : recordsElsewhere(partition)
      if (behind <= recordsMax) return void (enteredRecords += 1 + count)
      refused++
      throw new OrdersError(
        'behind',
        `No order is taken right now: ${behind} records wait to be worked off, and ${recordsMax} may (--behind-records-max). Try again shortly.`,
        { retryAfterS: 1 },
      )
    },
    leave: (count) => void (enteredRecords -= 1 + count),
    get refused() {
      return refused
    },
  }
}
