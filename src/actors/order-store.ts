/**
 * Order store: the state of the order host on disk, in one SQLite file. Everything in it can be rebuilt from the log.
 *
 * S1: orders, journals and positions change in one transaction, so the file always holds a consistent cut over all topics.
 * S2: one process writes it (lock file beside it); any number may read while it runs.
 *
 * `synchronous=NORMAL`: a power cut may take the last checkpoints but never tears one, and the log then repeats them.
 */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import type { Coordinates, LogRecord, Positions } from '../log/event-log.ts'
import { ownStore } from './owner-store.ts'
import { parseEntries, printEntries, type JournalEntry } from './order-envelope.ts'
import type { OrderStatus } from './orders.ts'
import { createPositionsTable, positionsSchema } from './positions-store.ts'

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
  /** Grows by one with each chunk written to this store. */
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
  /** Records that the positions pass and no order has taken (held-records.ts). Replaces those of the checkpoint before. */
  readonly held: readonly LogRecord[]
}

export interface OrderStore {
  /** Names this store's life: another one after a rebuild. Feed ids carry it. */
  readonly epoch: string
  positions(): Positions
  held(): LogRecord[]
  load(orderId: string): StoredOrder | undefined
  /** Writes a checkpoint in one transaction. @returns the journal chunks it wrote. @throws Error when the disk refuses. */
  checkpoint(checkpoint: Checkpoint): JournalChunk[]
  /** Orders newest first, after the one named by its time and id. */
  list(query: { status?: OrderStatus; after?: { placedAt: number; orderId: string }; limit: number }): StoredOrder[]
  journal(orderId: string): JournalChunk[]
  /** Journal chunks of all orders with a seq above `after`, oldest first. */
  journalAfter(after: number, limit: number): JournalChunk[]
  lastSeq(): number
  /** How many orders have each status. */
  counts(): Record<OrderStatus, number>
  /**
   * Holds still what this handle reads, until `release`: one checkpoint's cut, while the owner goes on writing. For verify,
   * on a read-only handle of its own.
   */
  hold(): { release(): void }
  /** Every stored order, one after the other. */
  all(): Iterable<StoredOrder>
  close(): void
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
  CREATE INDEX IF NOT EXISTS journal_by_order ON journal (order_id);
  CREATE TABLE IF NOT EXISTS held (
    topic TEXT, partition INTEGER, "offset" INTEGER, key BLOB, value BLOB, appended_at INTEGER NOT NULL,
    PRIMARY KEY (topic, partition, "offset"));
`

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
  if (!readOnly) mkdirSync(dirname(file), { recursive: true })
  const disown = readOnly ? undefined : ownStore(file)
  const db = new DatabaseSync(file, { timeout: 5000, readOnly })
  const epoch = readOnly ? readMeta(db, 'epoch') : prepareFile(db, file)
  const statements = prepareStatements(db)
  const positions = createPositionsTable(db)

  const write = ({ positions: moved, orders, held }: Checkpoint): JournalChunk[] => {
    const chunks: JournalChunk[] = []
    for (const order of orders) {
      const { order_id, partition, count, status, placedAt, readyAt, version, envelope, entries } = order
      statements.upsert.run(order_id, partition, count, status, placedAt, readyAt, version, envelope)
      if (entries.length === 0) continue
      const firstVersion = version - entries.length + 1
      const { lastInsertRowid } = statements.addChunk.run(order_id, firstVersion, status, printEntries(entries))
      chunks.push({ seq: Number(lastInsertRowid), order_id, firstVersion, entries, status })
    }
    statements.dropHeld.run()
    for (const { topic, partition, offset, key, value, timestampMs } of held) {
      statements.addHeld.run(topic, partition, offset, key, value, timestampMs)
    }
    positions.write(moved)
    return chunks
  }

  return {
    epoch,
    positions: positions.read,
    held: () => (statements.held.all() as unknown as HeldRow[]).map(toHeldRecord),
    load: (orderId) => statements.load.get(orderId) as unknown as StoredOrder | undefined,
    checkpoint: (checkpoint) => inTransaction(db, () => write(checkpoint)),
    list({ status, after, limit }) {
      const from = after ?? { placedAt: Number.MAX_SAFE_INTEGER, orderId: '' }
      const statement = status === undefined ? statements.list : statements.listByStatus(status)
      return statement.all(from.placedAt, from.orderId, limit) as unknown as StoredOrder[]
    },
    journal: (orderId) => (statements.journal.all(orderId) as unknown as ChunkRow[]).map(toChunk),
    journalAfter: (after, limit) => (statements.journalAfter.all(after, limit) as unknown as ChunkRow[]).map(toChunk),
    lastSeq: () => (statements.lastSeq.get() as { seq: number | null }).seq ?? 0,
    counts() {
      const counts: Record<OrderStatus, number> = { preparing: 0, ready: 0 }
      for (const row of statements.counts.all()) counts[row['status'] as OrderStatus] = Number(row['n'])
      return counts
    },
    hold() {
      db.exec('BEGIN')
      return { release: () => db.exec('COMMIT') }
    },
    all: () => statements.all.iterate() as unknown as Iterable<StoredOrder>,
    close: () => {
      if (db.isOpen) db.close()
      disown?.()
    },
  }
}

function prepareFile(db: DatabaseSync, file: string): string {
  db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=20000;')
  const { user_version: found } = db.prepare('PRAGMA user_version').get() as { user_version: number }
  if (found > schemaVersion) {
    throw new Error(
      `Cannot use the state store ${file}: a newer version of this program wrote it (schema ${found}, this one knows ${schemaVersion}). ` +
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
       ORDER BY placed_at DESC, order_id DESC LIMIT ?`,
    )
  const preparing = page(`AND status = 'preparing'`)
  const ready = page(`AND status = 'ready'`)
  const chunkColumns = 'seq, order_id, first_version AS firstVersion, status, entries'
  return {
    held: db.prepare(
      'SELECT topic, partition, "offset", key, value, appended_at AS timestampMs FROM held ORDER BY rowid',
    ),
    dropHeld: db.prepare('DELETE FROM held'),
    addHeld: db.prepare('INSERT INTO held VALUES (?, ?, ?, ?, ?, ?)'),
    load: db.prepare(`SELECT ${orderColumns} FROM orders WHERE order_id = ?`),
    all: db.prepare(`SELECT ${orderColumns} FROM orders`),
    list: page(''),
    listByStatus: (status: OrderStatus) => (status === 'ready' ? ready : preparing),
    counts: db.prepare('SELECT status, count(*) AS n FROM orders GROUP BY status'),
    upsert: db.prepare(
      `INSERT INTO orders (order_id, partition, count, status, placed_at, ready_at, version, envelope) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, ready_at = excluded.ready_at,
         version = excluded.version, envelope = excluded.envelope`,
    ),
    addChunk: db.prepare('INSERT INTO journal (order_id, first_version, status, entries) VALUES (?, ?, ?, ?)'),
    journal: db.prepare(`SELECT ${chunkColumns} FROM journal WHERE order_id = ? ORDER BY seq`),
    journalAfter: db.prepare(`SELECT ${chunkColumns} FROM journal WHERE seq > ? ORDER BY seq LIMIT ?`),
    lastSeq: db.prepare('SELECT max(seq) AS seq FROM journal'),
  }
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
