/**
 * Snapshot topic: hands partitions over through a compacted topic of the log. Every checkpoint goes there first and into the store after
 * it, so a store is never ahead of the topic; the next owner reads what its own store misses.
 *
 * T1: one owner writes a partition: it claims the partition before it reads, and an owner that was paused is refused from then on (P9).
 * T2: a checkpoint of a partition is one transaction, with the positions that belong to it as its last record.
 * T3: a store knows a partition up to its position in the topic. Where it has none, or one that the topic does not reach, what it
 *     has is dropped and the partition is rebuilt.
 * T4: a record that cannot be read stops no take-over (snapshot-damage.ts).
 * T5: partitions of other owners are followed now and then, so that little is left to read when one is taken over.
 */
import { LogError, type Claim, type EventLog, type LogRecord } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import type { Clock } from './clock.ts'
import type { Handover } from './handover.ts'
import type { Checkpoint, OrderStore } from './order-store.ts'
import { pickPartitions, setPosition } from './positions.ts'
import { createSnapshotDamage } from './snapshot-damage.ts'
import {
  parseCheckpoints,
  printCheckpoint,
  toHeldKeys,
  type HeldKeys,
  type PartitionCheckpoint,
} from './snapshot-records.ts'

export interface SnapshotTopicOptions {
  readonly log: EventLog & Required<Pick<EventLog, 'claim'>>
  readonly logger: Logger
  readonly store: OrderStore
  /** The compacted topic. */
  readonly topic: string
  readonly partitions: number
  /** How often partitions of other owners are followed, in milliseconds; 0 is never. */
  readonly standbyMs: number
  readonly clock: Clock
  /** Others have the partition by now, or the log does not say: its checkpoints are refused until it is taken again. */
  readonly onLost: (partition: number, error: unknown) => void
}

interface Owned {
  readonly claim: Claim
  held: HeldKeys
  /** What the last checkpoint said, and where the topic ends since. */
  positions: string
  end: number
}

/** Records of one transaction on the store: a few milliseconds, in which nothing else is done. */
const restoreRecordsMax = 300

/** Creates the handover of a host that owns nothing yet. */
export function createSnapshotTopic(options: SnapshotTopicOptions): Handover {
  const { log, logger, store, topic, standbyMs, clock } = options
  const owned = new Map<number, Owned>()
  const sums = { restoredRecords: 0, restoredBytes: 0, followedBytes: 0, refused: 0 }
  /** By partition: what reads it into the store. Two at once would mix older rows with newer ones. */
  const reading = new Map<number, Promise<unknown>>()
  let isStopped = false

  const afterOthers = <T>(partition: number, read: () => Promise<T>): Promise<T> => {
    const before = reading.get(partition) ?? Promise.resolve()
    const mine = before.then(read, read)
    reading.set(partition, mine)
    return mine
  }

  /** Reads what the store misses of a partition. @returns where the topic ends, and how much it was. */
  const readMissing = async (partition: number) => {
    const end = (await log.ends([topic])).get(topic)?.[partition] ?? 0
    const known = store.positions().get(topic)?.get(partition)
    if (known === undefined || known > end) store.forget(partition)
    const from = known === undefined || known > end ? 0 : known
    if (from === known && from === end) return { end, from, records: 0, bytes: 0 }
    return { end, from, ...(await readInto(options, partition, { from, to: end })) }
  }

  /** Reads what the store misses. @returns where the topic ends. */
  const restore = async (partition: number): Promise<number> => {
    const startedAt = clock.elapsed()
    const { end, from, records, bytes } = await readMissing(partition)
    if (records === 0) return end
    sums.restoredRecords += records
    sums.restoredBytes += bytes
    const tookMs = Math.round(clock.elapsed() - startedAt)
    const fields = { role: 'orders', topic, partition, from, records, bytes, tookMs }
    logger.info(fields, `Took over partition ${partition}: ${records} snapshot records, ${bytes} bytes`)
    return end
  }

  const follow = async (partition: number): Promise<void> => {
    // It may have been taken over while others read.
    if (isStopped || owned.has(partition)) return
    const { bytes } = await readMissing(partition)
    sums.followedBytes += bytes
  }

  const followAll = async (): Promise<void> => {
    try {
      // One look for all: mostly nothing has been written since the last.
      const ends = (await log.ends([topic])).get(topic) ?? []
      const known = store.positions().get(topic)
      for (const [partition, end] of ends.entries()) {
        if (!owned.has(partition) && known?.get(partition) !== end)
          await afterOthers(partition, () => follow(partition))
      }
    } catch (error) {
      logger.debug({ err: error, role: 'orders' }, 'Partitions of other owners cannot be followed; trying again')
    }
    if (!isStopped) cancel = clock.later(() => void followAll(), standbyMs)
  }
  let cancel = standbyMs > 0 ? clock.later(() => void followAll(), standbyMs) : () => {}

  const drop = (partition: number): void => {
    owned.get(partition)?.claim.release()
    owned.delete(partition)
  }

  /** @returns where the topic ends for this partition; `undefined` when the partition was lost. */
  const publishPart = async (part: PartitionCheckpoint, mine: Owned): Promise<number | undefined> => {
    const { partition } = part
    const records = printCheckpoint(part, mine.held)
    const positions = String(records.at(-1)!.value)
    if (records.length === 1 && positions === mine.positions) return mine.end
    try {
      mine.end = await mine.claim.append(records)
      mine.held = toHeldKeys(part.held)
      mine.positions = positions
      return mine.end
    } catch (error) {
      // It was given back meanwhile.
      if (owned.get(partition) !== mine) return undefined
      if (error instanceof LogError && error.code === 'fenced') sums.refused++
      drop(partition)
      options.onLost(partition, error)
      return undefined
    }
  }

  return {
    async prepare() {
      for (let partition = 0; partition < options.partitions; partition++) {
        await afterOthers(partition, () => restore(partition))
      }
    },
    async take(partitions) {
      const take = async (partition: number): Promise<void> => {
        drop(partition)
        const claim = await log.claim({ topic, partition })
        await afterOthers(partition, async () => {
          const end = await restore(partition)
          const held = toHeldKeys(store.held().filter((record) => record.partition === partition))
          // Before anybody reads the partition once more: from here on its rows come from this host.
          owned.set(partition, { claim, held, positions: '', end })
        })
      }
      // Each is waited for: one that went on after another had failed would restore into a store that is in use by then.
      const taken = await Promise.allSettled(partitions.map(take))
      for (const one of taken) if (one.status === 'rejected') throw one.reason
    },
    async publish(checkpoint) {
      const published = new Map<number, { mine: Owned; end: number }>()
      const publishOne = async (part: PartitionCheckpoint): Promise<void> => {
        const mine = owned.get(part.partition)
        const end = mine && (await publishPart(part, mine))
        if (mine !== undefined && end !== undefined) published.set(part.partition, { mine, end })
      }
      await Promise.all(split(checkpoint).map(publishOne))
      return () => {
        // A partition may have gone, or gone and come again with a newer state, since it was published.
        for (const [partition, { mine }] of published) if (owned.get(partition) !== mine) published.delete(partition)
        return only(checkpoint, topic, new Map([...published].map(([partition, { end }]) => [partition, end])))
      }
    },
    drop: (partitions) => partitions.forEach(drop),
    stats: () => sums,
    stop() {
      isStopped = true
      cancel()
      for (const partition of owned.keys()) drop(partition)
    },
  }
}

/** Reads a range of the topic into the store, page by page. */
async function readInto(
  options: SnapshotTopicOptions,
  partition: number,
  range: { from: number; to: number },
): Promise<{ records: number; bytes: number }> {
  const { log, store, topic } = options
  const sums = { records: 0, bytes: 0 }
  const damage = createSnapshotDamage({ ...options, partition })
  const isIts = (of: number): boolean => of === partition
  let page: LogRecord[] = []
  // Records that others wrote may say no positions: those that are known then go on counting.
  let positions = pickPartitions(store.positions(), isIts)
  const write = async (isLast: boolean): Promise<void> => {
    const restored = await damage.mend(parseCheckpoints(partition, page))
    page = []
    if (restored.positions.size > 0) positions = pickPartitions(restored.positions, isIts)
    setPosition(positions, topic, partition, range.to)
    store.restore({ ...restored, positions: isLast && !damage.arePositionsLost ? positions : new Map() })
  }
  for await (const records of log.read({ topic, partition }, range)) {
    for (const record of records) {
      page.push(record)
      sums.records++
      sums.bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0)
    }
    if (page.length >= restoreRecordsMax) await write(false)
  }
  await write(true)
  if (damage.arePositionsLost) {
    const nothing = { orders: [], chunks: [], held: [], released: [] }
    store.restore({ partition, ...nothing, positions: damage.positions(positions) })
  }
  damage.close()
  return sums
}

function split({ orders, positions, held, aged = [] }: Checkpoint): PartitionCheckpoint[] {
  const ordersOf = Map.groupBy(orders, ({ partition }) => partition)
  const heldOf = Map.groupBy(held, ({ partition }) => partition)
  const numbers = new Set([...positions.values()].flatMap((byPartition) => [...byPartition.keys()]))
  return [...numbers].map((partition) => ({
    partition,
    orders: ordersOf.get(partition) ?? [],
    held: heldOf.get(partition) ?? [],
    aged: aged.filter((order) => order.partition === partition),
    positions: Object.fromEntries(
      [...positions].flatMap(([topic, byPartition]) => {
        const position = byPartition.get(partition)
        return position === undefined ? [] : [[topic, position]]
      }),
    ),
  }))
}

/** What of a checkpoint is of the partitions in `ends`, with these as positions in the topic of snapshots. */
function only(
  { orders, positions, held, aged = [] }: Checkpoint,
  topic: string,
  ends: ReadonlyMap<number, number>,
): Checkpoint {
  return {
    orders: orders.filter(({ partition }) => ends.has(partition)),
    positions: new Map([...pickPartitions(positions, (partition) => ends.has(partition)), [topic, ends]]),
    held: held.filter(({ partition }) => ends.has(partition)),
    aged: aged.filter(({ partition }) => ends.has(partition)),
  }
}
