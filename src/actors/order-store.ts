/**
 * Order store: the state of the order host on disk, in one SQLite file. Everything in it can be rebuilt from the log.
 *
 * S1: orders, journals and positions change in one transaction, so the file always holds a consistent cut over all topics.
 * S2: one process writes it (lock file beside it); any number may read while it runs.
 * S3: it may hold partitions that another host owns by now, each as of an older cut; whoever reads says which partitions count.
 *
 * `synchronous=NORMAL`: a power cut may take the last checkpoints but never tears one, and the log then repeats them.
 */
import { randomBytes } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { Coordinates, LogRecord, Positions } from '../log/event-log.ts'
import { parseEntries, printEntries, type JournalEntry } from './order-envelope.ts'
import type { OrderStatus } from './orders.ts'
import { createPositionsTable, positionsSchema } from './positions-store.ts'
import { openStateStore, StoreUnusableError } from './state-store.ts'

export interface StoredOrder {
  readonly order_id: string
  readonly partition: number
  readonly count: number
  readonly status: OrderStatus
  readonly placedAt: number
  /** 0 while preparing. */
  readonly readyAt: number
  /** How many events the order took. */
  readonly version: number
  /** Printed envelope (order-envelope.ts). */
  readonly envelope: string
}

/** Events an order took between two checkpoints. */
export interface JournalChunk {
  /** Grows by one with each chunk that this host's checkpoints wrote; below zero for those that it took over. */
  readonly seq: number
  readonly order_id: string
  /** The order's version after the first entry. */
  readonly firstVersion: number
  readonly entries: readonly JournalEntry[]
  /** The order's status after the last entry. */
  readonly status: OrderStatus
}

export interface DirtyOrder extends StoredOrder {
  readonly entries: readonly JournalEntry[]
}

export interface Checkpoint {
  readonly positions: Positions
  readonly orders: readonly DirtyOrder[]
  /** Records that the positions pass and no order has taken (held-records.ts). Replaces what was held of these partitions. */
  readonly held: readonly LogRecord[]
  /** Orders that leave the store (age-out.ts); none when absent. */
  readonly aged?: readonly AgedOrder[]
}

/** An order that has been ready for long, with the versions its journal chunks begin with. */
export interface AgedOrder {
  readonly order_id: string
  readonly partition: number
  readonly readyAt: number
  readonly firstVersions: readonly number[]
}

/** What another owner checkpointed, on its way into this store (snapshot-topic.ts). */
export interface Restored {
  readonly partition: number
  readonly orders: readonly StoredOrder[]
  readonly chunks: readonly Omit<JournalChunk, 'seq'>[]
  /** Ids of orders that have left; none when absent. */
  readonly aged?: readonly string[]
  /** As `OrderStore.agedUntil`. */
  readonly agedUntil?: number
  /** Held since. */
  readonly held: readonly LogRecord[]
  /** Held no longer. */
  readonly released: readonly Coordinates[]
  /** Of this partition, the topic of snapshots included; empty while more is to come. */
  readonly positions: Positions
}

export interface OrderStore {
  /** Names this store's life: another one after a rebuild. Feed ids carry it. */
  readonly epoch: string
  positions(): Positions
  held(): LogRecord[]
  load(orderId: string): StoredOrder | undefined
  /** Writes a checkpoint in one transaction. @returns the journal chunks it wrote. @throws Error when the disk refuses. */
  checkpoint(checkpoint: Checkpoint): JournalChunk[]
  /** Takes over what others checkpointed, in one transaction. The feed does not tell of it. */
  restore(restored: Restored): void
  /** The orders of these partitions that became ready before a time (milliseconds since 1970), the oldest first. */
  agedBefore(time: number, partitions: readonly number[], limit: number): AgedOrder[]
  /** No order that became ready before this time needs to be in the store; 0 while none has left. */
  agedUntil(): number
  /** Drops all there is of a partition. */
  forget(partition: number): void
  /** Orders newest first, after the one named by its time and id. */
  list(query: ListQuery): StoredOrder[]
  journal(orderId: string): JournalChunk[]
  /** Journal chunks of all orders with a seq above `after`, oldest first. */
  journalAfter(after: number, limit: number): JournalChunk[]
  lastSeq(): number
  /** How many orders of these partitions (default: of all) have each status. */
  counts(partitions?: readonly number[]): Record<OrderStatus, number>
  /**
   * Holds still what this handle reads, until `release`: one checkpoint's cut, while the owner goes on writing. For verify,
   * on a read-only handle of its own.
   */
  hold(): { release(): void }
  /** Every stored order, one after the other. */
  all(): Iterable<StoredOrder>
  close(): void
}

export interface ListQuery {
  readonly status?: OrderStatus
  readonly after?: { readonly placedAt: number; readonly orderId: string }
  /** Default: all. */
  readonly partitions?: readonly number[]
  readonly limit: number
}

const schemaVersion = 1

const schema = `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
  ${positionsSchema}
  CREATE TABLE IF NOT EXISTS orders (
    order_id TEXT PRIMARY KEY, partition INTEGER NOT NULL, count INTEGER NOT NULL, status TEXT NOT NULL,
    placed_at INTEGER NOT NULL, ready_at INTEGER NOT NULL, version INTEGER NOT NULL, envelope TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS orders_by_age ON orders (placed_at, order_id);
  CREATE INDEX IF NOT EXISTS orders_preparing ON orders (placed_at, order_id) WHERE status = 'preparing';
  CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, order_id TEXT NOT NULL, first_version INTEGER NOT NULL, status TEXT NOT NULL, entries TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS journal_by_version ON journal (order_id, first_version);
  DROP INDEX IF EXISTS journal_by_order;
  CREATE TABLE IF NOT EXISTS held (
    topic TEXT, partition INTEGER, "offset" INTEGER, key BLOB, value BLOB, appended_at INTEGER NOT NULL,
    PRIMARY KEY (topic, partition, "offset"));
`

/** Whether a row is of the partitions in a JSON list; a null list is all. One statement for any number of partitions. */
const isAmong = (parameter: number): string =>
  `(?${parameter} IS NULL OR partition IN (SELECT value FROM json_each(?${parameter})))`

const orderColumns = 'order_id, partition, count, status, placed_at AS placedAt, ready_at AS readyAt, version, envelope'

interface HeldRow extends Coordinates {
  timestampMs: number
  key: Uint8Array | null
  value: Uint8Array | null
}

interface ChunkRow {
  seq: number
  order_id: string
  firstVersion: number
  status: OrderStatus
  entries: string
}

/** Opens the store, creating it when it is not there. `readOnly` opens an existing one beside its running owner. */
export function createOrderStore(file: string, { readOnly = false } = {}): OrderStore {
  const { db, close } = openStateStore(file, { readOnly })
  const epoch = readOnly ? readMeta(db, 'epoch') : prepareFile(db, file)
  const statements = prepareStatements(db)
  const positions = createPositionsTable(db)

  const put = (order: StoredOrder): void => {
    const { order_id, partition, count, status, placedAt, readyAt, version, envelope } = order
    statements.upsert.run(order_id, partition, count, status, placedAt, readyAt, version, envelope)
  }

  const hold = ({ topic, partition, offset, key, value, timestampMs }: LogRecord): void => {
    statements.addHeld.run(topic, partition, offset, key, value, timestampMs)
  }

  const dropAged = (orderId: string): void => {
    statements.dropJournal.run(orderId)
    statements.dropOrder.run(orderId)
  }

  const write = ({ positions: moved, orders, held, aged = [] }: Checkpoint): JournalChunk[] => {
    const chunks: JournalChunk[] = []
    for (const order of orders) {
      const { order_id, status, version, entries } = order
      put(order)
      if (entries.length === 0) continue
      const firstVersion = version - entries.length + 1
      const { lastInsertRowid } = statements.addChunk.run(order_id, firstVersion, status, printEntries(entries))
      chunks.push({ seq: Number(lastInsertRowid), order_id, firstVersion, entries, status })
    }
    for (const partition of partitionsOf(moved)) statements.dropHeld.run(partition)
    for (const record of held) hold(record)
    for (const { order_id } of aged) dropAged(order_id)
    if (aged.length > 0) statements.setAged.run(toAgedUntil(aged))
    positions.write(moved)
    return chunks
  }

  const restore = ({
    partition,
    orders,
    chunks,
    aged = [],
    agedUntil = 0,
    held,
    released,
    positions: moved,
  }: Restored): void => {
    for (const orderId of aged) dropAged(orderId)
    if (agedUntil > 0) statements.setAged.run(agedUntil)
    for (const order of orders) put(order)
    let seq = Math.min(0, (statements.firstSeq.get() as { seq: number | null }).seq ?? 0)
    for (const { order_id, firstVersion, status, entries } of chunks) {
      statements.restoreChunk.run(--seq, order_id, firstVersion, status, printEntries(entries))
    }
    for (const { topic, offset } of released) statements.release.run(topic, partition, offset)
    for (const record of held) hold(record)
    // Between two pages the rows fit no positions: without any, nobody takes them for a cut.
    if (moved.size === 0) positions.drop(partition)
    positions.write(moved)
  }

  const forget = (partition: number): void => {
    statements.forgetJournal.run(partition)
    statements.forgetOrders.run(partition)
    statements.dropHeld.run(partition)
    positions.drop(partition)
  }

  return {
    epoch,
    positions: positions.read,
    held: () => (statements.held.all() as unknown as HeldRow[]).map(toHeldRecord),
    load: (orderId) => statements.load.get(orderId) as unknown as StoredOrder | undefined,
    checkpoint: (checkpoint) => inTransaction(db, () => write(checkpoint)),
    restore: (restored) => inTransaction(db, () => restore(restored)),
    agedBefore(time, partitions, limit) {
      db.exec(`CREATE INDEX IF NOT EXISTS orders_by_ready ON orders (ready_at) WHERE status = 'ready'`)
      const statement = db.prepare(
        `SELECT order_id, partition, ready_at AS readyAt FROM orders
         WHERE status = 'ready' AND ready_at < ?2 AND ${isAmong(1)} ORDER BY ready_at LIMIT ?3`,
      )
      const found = statement.all(toList(partitions), time, limit) as unknown as Omit<AgedOrder, 'firstVersions'>[]
      const versionsOf = (orderId: string) => statements.versions.all(orderId).map((row) => Number(row['version']))
      return found.map((order) => ({ ...order, firstVersions: versionsOf(order.order_id) }))
    },
    agedUntil: () => Number(db.prepare(`SELECT value FROM meta WHERE key = 'aged'`).get()?.['value'] ?? 0),
    forget: (partition) => inTransaction(db, () => forget(partition)),
    list({ status, after, partitions, limit }) {
      const from = after ?? { placedAt: Number.MAX_SAFE_INTEGER, orderId: '' }
      const statement = status === undefined ? statements.list : statements.listByStatus(status)
      return statement.all(from.placedAt, from.orderId, toList(partitions), limit) as unknown as StoredOrder[]
    },
    journal: (orderId) => (statements.journal.all(orderId) as unknown as ChunkRow[]).map(toChunk),
    journalAfter: (after, limit) => (statements.journalAfter.all(after, limit) as unknown as ChunkRow[]).map(toChunk),
    lastSeq: () => Math.max(0, (statements.lastSeq.get() as { seq: number | null }).seq ?? 0),
    counts(partitions) {
      const counts: Record<OrderStatus, number> = { preparing: 0, ready: 0 }
      for (const row of statements.counts.all(toList(partitions)))
        counts[row['status'] as OrderStatus] = Number(row['n'])
      return counts
    },
    hold() {
      db.exec('BEGIN')
      return { release: () => db.exec('COMMIT') }
    },
    all: () => statements.all.iterate() as unknown as Iterable<StoredOrder>,
    close,
  }
}

/** The time before which every one of these orders was ready. */
export function toAgedUntil(aged: readonly AgedOrder[]): number {
  return aged.reduce((time, { readyAt }) => Math.max(time, readyAt + 1), 0)
}

function prepareFile(db: DatabaseSync, file: string): string {
  const { user_version: found } = db.prepare('PRAGMA user_version').get() as { user_version: number }
  if (found > schemaVersion) {
    throw new StoreUnusableError(
      file,
      `a newer version of this program wrote it (schema ${found}, this one knows ${schemaVersion}). ` +
        'Run that version, or delete the file to rebuild it from the log.',
    )
  }
  db.exec(schema)
  db.exec(`PRAGMA user_version=${schemaVersion}`)
  db.prepare(`INSERT OR IGNORE INTO meta VALUES ('epoch', ?)`).run(randomBytes(4).toString('hex'))
  return readMeta(db, 'epoch')
}

function readMeta(db: DatabaseSync, key: string): string {
  return String(db.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.['value'])
}

function prepareStatements(db: DatabaseSync) {
  const page = (where: string) =>
    db.prepare(
      `SELECT ${orderColumns} FROM orders WHERE (placed_at, order_id) < (?, ?) ${where}
       AND ${isAmong(3)} ORDER BY placed_at DESC, order_id DESC LIMIT ?`,
    )
  const preparing = page(`AND status = 'preparing'`)
  const ready = page(`AND status = 'ready'`)
  const chunkColumns = 'seq, order_id, first_version AS firstVersion, status, entries'
  return {
    held: db.prepare(
      'SELECT topic, partition, "offset", key, value, appended_at AS timestampMs FROM held ORDER BY rowid',
    ),
    dropHeld: db.prepare('DELETE FROM held WHERE partition = ?'),
    release: db.prepare('DELETE FROM held WHERE topic = ? AND partition = ? AND "offset" = ?'),
    addHeld: db.prepare('INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?, ?)'),
    load: db.prepare(`SELECT ${orderColumns} FROM orders WHERE order_id = ?`),
    all: db.prepare(`SELECT ${orderColumns} FROM orders`),
    list: page(''),
    listByStatus: (status: OrderStatus) => (status === 'ready' ? ready : preparing),
    counts: db.prepare(`SELECT status, count(*) AS n FROM orders WHERE ${isAmong(1)} GROUP BY status`),
    upsert: db.prepare(
      `INSERT INTO orders (order_id, partition, count, status, placed_at, ready_at, version, envelope) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, ready_at = excluded.ready_at,
         version = excluded.version, envelope = excluded.envelope`,
    ),
    addChunk: db.prepare('INSERT INTO journal (order_id, first_version, status, entries) VALUES (?, ?, ?, ?)'),
    restoreChunk: db.prepare(
      `INSERT INTO journal SELECT ?1, ?2, ?3, ?4, ?5
       WHERE NOT EXISTS (SELECT 1 FROM journal WHERE order_id = ?2 AND first_version = ?3)`,
    ),
    dropJournal: db.prepare('DELETE FROM journal WHERE order_id = ?'),
    dropOrder: db.prepare('DELETE FROM orders WHERE order_id = ?'),
    versions: db.prepare('SELECT first_version AS version FROM journal WHERE order_id = ?'),
    setAged: db.prepare(
      `INSERT INTO meta VALUES ('aged', ?1)
       ON CONFLICT (key) DO UPDATE SET value = max(CAST(value AS INTEGER), ?1)`,
    ),
    firstSeq: db.prepare('SELECT min(seq) AS seq FROM journal'),
    forgetJournal: db.prepare(
      'DELETE FROM journal WHERE order_id IN (SELECT order_id FROM orders WHERE partition = ?)',
    ),
    forgetOrders: db.prepare('DELETE FROM orders WHERE partition = ?'),
    journal: db.prepare(`SELECT ${chunkColumns} FROM journal WHERE order_id = ? ORDER BY first_version, seq`),
    journalAfter: db.prepare(`SELECT ${chunkColumns} FROM journal WHERE seq > ? ORDER BY seq LIMIT ?`),
    lastSeq: db.prepare('SELECT max(seq) AS seq FROM journal'),
  }
}

/** A list of partitions as `isAmong` wants it. */
function toList(partitions: readonly number[] | undefined): string | null {
  return partitions === undefined ? null : JSON.stringify(partitions)
}

function partitionsOf(positions: Positions): Set<number> {
  return new Set([...positions.values()].flatMap((byPartition) => [...byPartition.keys()]))
}

function toHeldRecord({ key, value, ...at }: HeldRow): LogRecord {
  return { ...at, key: key && Buffer.from(key), value: value && Buffer.from(value) }
}

function toChunk(row: ChunkRow): JournalChunk {
  return { ...row, entries: parseEntries(row.entries) }
}

function inTransaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    db.exec('COMMIT')
    return result
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}
