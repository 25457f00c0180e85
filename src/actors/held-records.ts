/**
 * Held records: toppings of orders the host does not know yet. A program that writes an order and its toppings itself may have
 * its toppings read first, so they wait until topic `orders` has been read to where it ended when they came.
 *
 * H1: a checkpoint that passes a held record writes it down, so a crash forgets none and reads nothing twice.
 * H2: at most `recordsMax` are held; above that the oldest go to the dead letters, so that nonsense cannot fill the memory.
 * H3: when its order is placed, a held record is taken before anything that stands after it on its topic.
 */
import type { LogRecord, Positions } from '../log/event-log.ts'

export interface HeldRecords {
  readonly size: number
  hold(orderId: string, record: LogRecord): void
  /** Gives back the records of an order that has just been placed, oldest first. */
  takeOf(orderId: string): LogRecord[]
  /** Whether some do not know yet what they wait for. */
  readonly hasFresh: boolean
  /** Those that are fresh wait until `orders` has been applied up to `ends`. */
  wait(ends: Positions): void
  /** Gives back records whose wait is over by `isReached`, and those above the limit, oldest first. */
  release(isReached: (ends: Positions) => boolean): LogRecord[]
  all(): LogRecord[]
  /** Forgets the records of partitions that went to another owner; nothing waits for these partitions any more. */
  drop(partitions: readonly number[]): void
}

interface HeldRecord {
  readonly orderId: string
  readonly record: LogRecord
  ends: Positions | undefined
}

/** Creates an empty store for at most `recordsMax` records. */
export function createHeldRecords(recordsMax = 10_000): HeldRecords {
  let held: HeldRecord[] = []
  /** Takes out what is picked. */
  const take = (isPicked: (one: HeldRecord, index: number) => boolean): LogRecord[] => {
    const picked = held.filter(isPicked)
    if (picked.length > 0) held = held.filter((one, index) => !isPicked(one, index))
    return picked.map(({ record }) => record)
  }

  return {
    get size() {
      return held.length
    },
    hold: (orderId, record) => void held.push({ orderId, record, ends: undefined }),
    takeOf: (orderId) => take((one) => one.orderId === orderId),
    get hasFresh() {
      return held.some(({ ends }) => ends === undefined)
    },
    wait(ends) {
      for (const one of held) one.ends ??= ends
    },
    release(isReached) {
      const surplus = held.length - recordsMax
      return take(({ ends }, index) => index < surplus || (ends !== undefined && isReached(ends)))
    },
    all: () => held.map(({ record }) => record),
    drop(partitions) {
      const isGone = (partition: number): boolean => partitions.includes(partition)
      held = held.filter(({ record }) => !isGone(record.partition))
      for (const one of held) {
        const { ends = new Map<string, never>() } = one
        const left = [...ends].map(([topic, byPartition]): [string, Map<number, number>] => [
          topic,
          new Map([...byPartition].filter(([partition]) => !isGone(partition))),
        ])
        if (one.ends !== undefined) one.ends = new Map(left)
      }
    },
  }
}
