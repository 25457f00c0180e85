/**
 * Disks. The two state stores of a simulation, in memory: what survives a crash is what a checkpoint has written, all of it or
 * nothing. Same answers as the real ones (src/actors/order-store.ts, report-store.ts), which test/simulation/disks.test.ts proves.
 */
import { parseEntries, printEntries } from '../../src/actors/order-envelope.ts'
import { toAgedUntil, type JournalChunk, type OrderStore, type StoredOrder } from '../../src/actors/order-store.ts'
import type { ReportStore } from '../../src/actors/report-store.ts'
import { setPosition, type MutablePositions } from '../../src/actors/positions.ts'
import type { LogRecord, Positions } from '../../src/log/event-log.ts'

/** What can go wrong while a checkpoint is written. Throws when the disk refuses. */
export interface DiskHooks {
  beforeWrite(): void
  afterWrite(): void
}

export interface Disk<Store> {
  /** Opens what is on the disk. */
  open(hooks?: DiskHooks): Store
  /** Deletes it, as a person deletes a file. */
  wipe(): void
}

const noHooks: DiskHooks = { beforeWrite() {}, afterWrite() {} }

export function createOrderDisk(): Disk<OrderStore> {
  let lives = 0
  let disk = createEmpty()

  function createEmpty() {
    return {
      epoch: String(++lives).padStart(8, '0'),
      positions: new Map() as MutablePositions,
      held: [] as LogRecord[],
      agedUntil: 0,
      orders: new Map<string, StoredOrder>(),
      chunks: [] as (Omit<JournalChunk, 'entries'> & { text: string })[],
      /** Taken over from another owner; their seq is below zero. */
      restored: [] as (Omit<JournalChunk, 'entries'> & { text: string })[],
    }
  }
  const toChunk = ({ text, ...chunk }: (typeof disk.chunks)[number]): JournalChunk => ({
    ...chunk,
    entries: parseEntries(text),
  })

  const write: OrderStore['checkpoint'] = ({ orders, positions, held, aged = [] }) => {
    const written: JournalChunk[] = []
    for (const { entries, ...order } of orders) {
      putOrder(order)
      if (entries.length === 0) continue
      const { order_id, status, version } = order
      const seq = disk.chunks.length + 1
      const firstVersion = version - entries.length + 1
      disk.chunks.push({ seq, order_id, firstVersion, status, text: printEntries(entries) })
      written.push({ seq, order_id, firstVersion, entries, status })
    }
    const partitions = new Set([...positions.values()].flatMap((byPartition) => [...byPartition.keys()]))
    holdAgain(({ partition }) => !partitions.has(partition), held)
    for (const { order_id } of aged) dropAged(order_id)
    if (aged.length > 0) disk.agedUntil = Math.max(disk.agedUntil, toAgedUntil(aged))
    move(disk.positions, positions)
    return written
  }

  const isSame = (a: LogRecord, b: LogRecord): boolean =>
    a.topic === b.topic && a.partition === b.partition && a.offset === b.offset

  /** Keeps some of what was held, and holds more; what comes twice is held once. */
  const holdAgain = (isKept: (record: LogRecord) => boolean, held: readonly LogRecord[]): void => {
    disk.held = disk.held.filter(isKept)
    for (const record of held) disk.held = [...disk.held.filter((other) => !isSame(other, record)), record]
  }

  const restore: OrderStore['restore'] = ({
    partition,
    orders,
    chunks,
    aged = [],
    agedUntil = 0,
    held,
    released,
    positions,
  }) => {
    for (const orderId of aged) dropAged(orderId)
    disk.agedUntil = Math.max(disk.agedUntil, agedUntil)
    for (const order of orders) putOrder(order)
    const has = (order_id: string, firstVersion: number): boolean =>
      [...disk.restored, ...disk.chunks].some((c) => c.order_id === order_id && c.firstVersion === firstVersion)
    let seq = Math.min(0, ...disk.restored.map((chunk) => chunk.seq))
    for (const { entries, ...chunk } of chunks) {
      seq--
      if (!has(chunk.order_id, chunk.firstVersion)) disk.restored.push({ ...chunk, seq, text: printEntries(entries) })
    }
    const isReleased = ({ topic, partition: p, offset }: LogRecord): boolean =>
      released.some((at) => at.topic === topic && at.partition === p && at.offset === offset)
    holdAgain((record) => !isReleased(record), held)
    if (positions.size === 0) forgetPositions(partition)
    move(disk.positions, positions)
  }

  /** What an order was placed with stays. */
  const putOrder = (order: StoredOrder): void => {
    const { partition, count, placedAt } = disk.orders.get(order.order_id) ?? order
    disk.orders.set(order.order_id, { ...order, partition, count, placedAt })
  }

  const dropAged = (orderId: string): void => {
    disk.orders.delete(orderId)
    disk.restored = disk.restored.filter(({ order_id }) => order_id !== orderId)
    disk.chunks = disk.chunks.map((chunk) => (chunk.order_id === orderId ? { ...chunk, order_id: '' } : chunk))
  }

  const forgetPositions = (partition: number): void => {
    for (const [topic, byPartition] of disk.positions) {
      byPartition.delete(partition)
      if (byPartition.size === 0) disk.positions.delete(topic)
    }
  }

  const forget: OrderStore['forget'] = (partition) => {
    for (const [orderId, order] of disk.orders) {
      if (order.partition !== partition) continue
      disk.orders.delete(orderId)
      disk.restored = disk.restored.filter(({ order_id }) => order_id !== orderId)
      disk.chunks = disk.chunks.map((chunk) => (chunk.order_id === orderId ? { ...chunk, order_id: '' } : chunk))
    }
    disk.held = disk.held.filter((record) => record.partition !== partition)
    forgetPositions(partition)
  }

  const open = ({ beforeWrite, afterWrite } = noHooks): OrderStore => ({
    epoch: disk.epoch,
    positions: () => copy(disk.positions),
    held: () => [...disk.held],
    agedUntil: () => disk.agedUntil,
    agedBefore(time, partitions, limit) {
      const aged = [...disk.orders.values()].filter(
        ({ status, readyAt, partition }) => status === 'ready' && readyAt < time && partitions.includes(partition),
      )
      return aged
        .toSorted((a, b) => a.readyAt - b.readyAt)
        .slice(0, limit)
        .map(({ order_id, partition, readyAt }) => {
          const ofOrder = [...disk.restored, ...disk.chunks].filter((chunk) => chunk.order_id === order_id)
          return { order_id, partition, readyAt, firstVersions: ofOrder.map(({ firstVersion }) => firstVersion) }
        })
    },
    load: (orderId) => disk.orders.get(orderId),
    checkpoint(checkpoint) {
      beforeWrite()
      const written = write(checkpoint)
      afterWrite()
      return written
    },
    restore(restored) {
      beforeWrite()
      restore(restored)
      afterWrite()
    },
    forget(partition) {
      beforeWrite()
      forget(partition)
      afterWrite()
    },
    list({ status, after, partitions, limit }) {
      const isAfter = (order: StoredOrder): boolean => after === undefined || compareAge(order, after) > 0
      const isHere = ({ partition }: StoredOrder): boolean => partitions?.includes(partition) ?? true
      const picked = [...disk.orders.values()].filter(
        (o) => (status === undefined || o.status === status) && isHere(o) && isAfter(o),
      )
      return picked.toSorted((a, b) => compareAge(a, toCursor(b))).slice(0, limit)
    },
    journal: (orderId) =>
      [...disk.restored, ...disk.chunks]
        .filter(({ order_id }) => order_id === orderId)
        .toSorted((a, b) => a.firstVersion - b.firstVersion || a.seq - b.seq)
        .map(toChunk),
    journalAfter: (after, limit) =>
      disk.chunks
        .slice(after)
        .filter(({ order_id }) => order_id !== '')
        .slice(0, limit)
        .map(toChunk),
    lastSeq: () => disk.chunks.findLast(({ order_id }) => order_id !== '')?.seq ?? 0,
    counts(partitions) {
      const orders = [...disk.orders.values()].filter(({ partition }) => partitions?.includes(partition) ?? true)
      const ready = orders.filter(({ status }) => status === 'ready').length
      return { preparing: orders.length - ready, ready }
    },
    hold: () => ({ release() {} }),
    all: () => disk.orders.values(),
    close() {},
  })

  return { open, wipe: () => void (disk = createEmpty()) }
}

export function createReportDisk(): Disk<ReportStore> {
  const createEmpty = () => ({
    counts: new Map<number, Map<string, number>>(),
    counted: new Map<number, Map<string, Uint8Array>>(),
    positions: new Map() as MutablePositions,
  })
  let disk = createEmpty()
  const open = ({ beforeWrite, afterWrite } = noHooks): ReportStore => ({
    counts(partition) {
      const counts = new Map<string, number>()
      for (const [of, byChoice] of disk.counts) {
        if (partition !== undefined && partition !== of) continue
        for (const [choice, pizzas] of byChoice) counts.set(choice, (counts.get(choice) ?? 0) + pizzas)
      }
      return counts
    },
    counted: (partition, orderId) => disk.counted.get(partition)?.get(orderId)?.slice(),
    positions: () => copy(disk.positions),
    checkpoint({ counts, counted, positions }) {
      beforeWrite()
      putEach(disk.counts, counts)
      putEach(disk.counted, counted)
      move(disk.positions, positions)
      afterWrite()
    },
    hold: () => ({ release() {} }),
    close() {},
  })
  return { open, wipe: () => void (disk = createEmpty()) }
}

function putEach<T>(stored: Map<number, Map<string, T>>, put: ReadonlyMap<number, ReadonlyMap<string, T>>): void {
  for (const [partition, values] of put) {
    stored.set(partition, new Map([...(stored.get(partition) ?? []), ...values]))
  }
}

function move(stored: MutablePositions, moved: Positions): void {
  for (const [topic, ofTopic] of moved) for (const [partition, to] of ofTopic) setPosition(stored, topic, partition, to)
}

function copy(positions: Positions): Positions {
  return new Map([...positions].map(([topic, ofTopic]) => [topic, new Map(ofTopic)]))
}

interface Age {
  readonly placedAt: number
  readonly orderId: string
}

const toCursor = ({ placedAt, order_id }: StoredOrder): Age => ({ placedAt, orderId: order_id })

/** Newest first. */
function compareAge(order: StoredOrder, than: Age): number {
  return than.placedAt - order.placedAt || (order.order_id < than.orderId ? 1 : -1)
}
