/**
 * Snapshot damage. What is done about records of the topic of snapshots that cannot be read: bytes that are no JSON, snapshots of newer
 * machines, records of another program. None of them stops a take-over; each costs at most what it says.
 *
 * D1: an order whose envelope cannot be read is stored with it, and with what its journal says: it is rebuilt when it is next needed
 *     (order-rebuild.ts). Part of a journal that cannot be read leaves the history incomplete, and such an order cannot be rebuilt.
 * D2: a held topping is read from its own topic again.
 * D3: positions that cannot be read are those up to which the journals and held toppings of the partition reach: they passed all of
 *     these, and what they passed beside them no order took. So nothing is left out, and no order takes anything twice.
 * D4: what is under no key of this shop is passed over.
 */
import type { Coordinates, EventLog, LogRecord, Positions } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import type { JournalChunk, OrderStore, Restored, StoredOrder } from './order-store.ts'
import { pickPartitions, setPosition, type MutablePositions } from './positions.ts'
import { findRecord } from './read-record.ts'
import { peekOrder, type ParsedCheckpoints, type Unreadable } from './snapshot-records.ts'

export interface SnapshotDamageOptions {
  readonly log: Pick<EventLog, 'read'>
  readonly logger: Logger
  readonly store: OrderStore
  readonly partition: number
}

export interface SnapshotDamage {
  /** Whether the newest positions read so far cannot be read. */
  readonly arePositionsLost: boolean
  /** Puts what is known otherwise in place of what cannot be read. Pages come oldest first. @throws LogError when the log is away. */
  mend(page: ParsedCheckpoints): Promise<Restored>
  /** Positions in place of the lost ones, from everything that has been restored; none is below those that were known before. */
  positions(known: Positions): MutablePositions
  /** Says what was not said of each record. */
  close(): void
}

/** Lines about single records in one read of a partition. */
const toldMax = 20

type Chunk = Pick<JournalChunk, 'firstVersion' | 'entries' | 'status'>
type Fields = Readonly<Record<string, unknown>>

/** Creates what mends one read of a partition. */
export function createSnapshotDamage({ log, logger, store, partition }: SnapshotDamageOptions): SnapshotDamage {
  let arePositionsLost = false
  let untold = 0
  let told = 0
  /** By order, the newest first version of a journal chunk that cannot be read. */
  const broken = new Map<string, number>()

  const tell = ({ record, error }: Unreadable, what: string, fields: Fields = {}): void => {
    if (++told > toldMax) untold++
    else logger.warn({ err: error, role: 'orders', ...fields, ...toPlace(record) }, what)
  }

  const mendOrder = (page: ParsedCheckpoints, unread: Unreadable, order_id: string): StoredOrder | undefined => {
    const stored = store.load(order_id)
    const chunks = chunksOf(order_id, store.journal(order_id), page.chunks)
    const isKnown = chunks.length > 0 || broken.has(order_id) || stored !== undefined
    if (!isKnown || (stored !== undefined && stored.partition !== partition)) {
      tell(unread, 'A record under an order id is of no order of this partition; passing over it', { order_id })
      return undefined
    }
    const order = toUnreadOrder({
      order_id,
      partition,
      record: unread.record,
      chunks,
      stored,
      broken: broken.get(order_id),
    })
    tell(unread, 'The snapshot of an order cannot be read; its journal is what it is rebuilt from', { order_id })
    return order
  }

  const readHeld = async (unread: Unreadable, at: Coordinates): Promise<LogRecord[]> => {
    const found = await findRecord(log, at)
    const what = found
      ? 'A topping that waits for its order cannot be read; it was read from its own topic again'
      : 'A topping that waits for its order cannot be read, and the log has it no more: append it again when its pizza misses it'
    tell(unread, what, { waiting: at })
    return found ? [found] : []
  }

  const mendOne = async (
    page: ParsedCheckpoints,
    unread: Unreadable,
  ): Promise<Partial<Pick<Restored, 'orders' | 'held'>>> => {
    const { of } = unread
    if (of.kind === 'held') return { held: await readHeld(unread, of.at) }
    if (of.kind === 'order') {
      const order = mendOrder(page, unread, of.order_id)
      return order ? { orders: [order] } : {}
    }
    if (of.kind === 'chunk') tell(unread, 'Part of the journal of an order cannot be read', { order_id: of.order_id })
    else if (of.kind === 'positions') tell(unread, 'The positions of a partition cannot be read; its journals say them')
    else tell(unread, 'A record of the topic of snapshots cannot be read; passing over it')
    return {}
  }

  return {
    get arePositionsLost() {
      return arePositionsLost
    },
    async mend(page) {
      const { unreadable, ...restored } = page
      if (restored.positions.size > 0) arePositionsLost = false
      const orders = [...restored.orders]
      const held = [...restored.held]
      // Before the orders they are of.
      for (const { of } of unreadable) {
        if (of.kind === 'positions') arePositionsLost = true
        if (of.kind === 'chunk') broken.set(of.order_id, Math.max(of.firstVersion, broken.get(of.order_id) ?? 0))
      }
      for (const unread of unreadable) {
        const mended = await mendOne(page, unread)
        orders.push(...(mended.orders ?? []))
        held.push(...(mended.held ?? []))
      }
      return { ...restored, orders, held }
    },
    positions: (known) => positionsOf(store, partition, known),
    close() {
      if (untold > 0) logger.warn({ role: 'orders', partition }, `${untold} more snapshot records cannot be read`)
    },
  }
}

/** What is in the store, and what comes with it; of each first version the stored one counts, as when it is restored. */
function chunksOf(order_id: string, stored: readonly Chunk[], coming: Restored['chunks']): Chunk[] {
  const chunks = new Map<number, Chunk>()
  for (const chunk of coming) if (chunk.order_id === order_id) chunks.set(chunk.firstVersion, chunk)
  for (const chunk of stored) chunks.set(chunk.firstVersion, chunk)
  return [...chunks.values()].toSorted((a, b) => a.firstVersion - b.firstVersion)
}

interface Unread {
  readonly order_id: string
  readonly partition: number
  readonly record: LogRecord
  readonly chunks: readonly Chunk[]
  readonly stored: StoredOrder | undefined
  readonly broken: number | undefined
}

/** An order as its journal tells of it. Its version is one that a journal with gaps does not reach. */
function toUnreadOrder({ order_id, partition, record, chunks, stored, broken = 0 }: Unread): StoredOrder {
  const entries = chunks.flatMap((chunk) => chunk.entries)
  const placed = entries.find(({ pizza }) => pizza === null)
  const status = chunks.at(-1)?.status ?? stored?.status ?? 'preparing'
  const toppedAt = entries.reduce((newest, { at }) => Math.max(newest, at), stored?.readyAt ?? 0)
  const peeked = peekOrder(order_id, record)
  const versions = chunks.map((chunk) => chunk.firstVersion + chunk.entries.length - 1)
  return {
    order_id,
    partition,
    count: placed?.count ?? stored?.count ?? peeked.count,
    status,
    placedAt: placed?.at ?? stored?.placedAt ?? record.timestampMs,
    readyAt: status === 'ready' ? toppedAt : 0,
    version: Math.max(broken, peeked.version, stored?.version ?? 0, ...versions),
    envelope: peeked.envelope,
  }
}

function positionsOf(store: OrderStore, partition: number, known: Positions): MutablePositions {
  const positions = pickPartitions(known, (of) => of === partition)
  const pass = (at: Coordinates): void => {
    if (at.partition !== partition || (positions.get(at.topic)?.get(partition) ?? 0) > at.offset) return
    setPosition(positions, at.topic, partition, at.offset + 1)
  }
  for (const { order_id, partition: of } of store.all()) {
    if (of === partition) for (const { entries } of store.journal(order_id)) entries.forEach(pass)
  }
  store.held().forEach(pass)
  return positions
}

function toPlace({ topic, partition, offset }: LogRecord): Coordinates {
  return { topic, partition, offset }
}
