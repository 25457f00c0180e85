/**
 * Held records: toppings of orders the host does not know yet. A program that writes an order and its toppings itself may have
 * its toppings read first, so they wait until topic `orders` has been read to where it ended when they came.
 *
 * H1: a held record is in no position: a checkpoint reads it again after a crash.
 * H2: at most `recordsMax` are held; above that the oldest go to the dead letters, so that nonsense cannot fill the memory.
 */
import type { LogRecord, Positions } from '../log/event-log.ts'
import { setPosition, type MutablePositions } from './positions.ts'

export interface HeldRecords {
  readonly size: number
  hold(record: LogRecord): void
  /** Records that came since the last call: they wait for the ends read after it. */
  takeFresh(): LogRecord[]
  /** Keeps records until `orders` has been applied up to `ends`. */
  wait(records: LogRecord[], ends: Positions): void
  /** Records whose wait is over by `isReached`, and those above the limit, oldest first. */
  release(isReached: (ends: Positions) => boolean): LogRecord[]
  /** The lowest held offset of each topic and partition. */
  floors(): Positions
}

/** Creates an empty store for at most `recordsMax` records. */
export function createHeldRecords(recordsMax = 10_000): HeldRecords {
  let fresh: LogRecord[] = []
  const waiting: { records: LogRecord[]; ends: Positions }[] = []
  let asking: LogRecord[] = []
  const count = (): number =>
    fresh.length + asking.length + waiting.reduce((sum, { records }) => sum + records.length, 0)

  return {
    get size() {
      return count()
    },
    hold: (record) => void fresh.push(record),
    takeFresh() {
      asking = fresh
      fresh = []
      return asking
    },
    wait(records, ends) {
      asking = []
      waiting.push({ records, ends })
    },
    release(isReached) {
      const released: LogRecord[] = []
      while (waiting.length > 0 && (isReached(waiting[0]!.ends) || count() > recordsMax)) {
        released.push(...waiting.shift()!.records)
      }
      return released
    },
    floors() {
      const floors: MutablePositions = new Map()
      for (const { topic, partition, offset } of [...fresh, ...asking, ...waiting.flatMap(({ records }) => records)]) {
        setPosition(floors, topic, partition, Math.min(offset, floors.get(topic)?.get(partition) ?? offset))
      }
      return floors
    },
  }
}
