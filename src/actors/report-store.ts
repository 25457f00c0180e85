/**
 * Report store: the cheese reporter's counts on disk, in one SQLite file. It can be rebuilt from the log.
 *
 * Counts, the pizzas counted and the positions change in one transaction, so that no pizza is counted twice or missed (P7).
 */
import type { Positions } from '../log/event-log.ts'
import { createPositionsTable, positionsSchema } from './positions-store.ts'
import { openStateStore } from './state-store.ts'

export interface ReportCheckpoint {
  readonly counts: ReadonlyMap<string, number>
  /** By order: one bit for each pizza that was counted, pizza 1 in the lowest bit of the first byte. */
  readonly counted: ReadonlyMap<string, Uint8Array>
  readonly positions: Positions
}

export interface ReportStore {
  counts(): Map<string, number>
  counted(orderId: string): Uint8Array | undefined
  positions(): Positions
  /** Writes what changed in one transaction. @throws Error when the disk refuses. */
  checkpoint(changed: ReportCheckpoint): void
  /** Holds still what this handle reads, until `release`. For verify, on a read-only handle of its own. */
  hold(): { release(): void }
  close(): void
}

/** Opens the store, creating it when it is not there. `readOnly` opens an existing one beside its running owner. */
export function createReportStore(file: string, { readOnly = false } = {}): ReportStore {
  const { db, close } = openStateStore(file, { readOnly })
  if (!readOnly) {
    db.exec(`CREATE TABLE IF NOT EXISTS counts (choice TEXT PRIMARY KEY, pizzas INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS counted (order_id TEXT PRIMARY KEY, pizzas BLOB NOT NULL);
      ${positionsSchema}`)
  }
  const statements = {
    counts: db.prepare('SELECT choice, pizzas FROM counts ORDER BY choice'),
    counted: db.prepare('SELECT pizzas FROM counted WHERE order_id = ?'),
    setCount: db.prepare(
      'INSERT INTO counts VALUES (?, ?) ON CONFLICT (choice) DO UPDATE SET pizzas = excluded.pizzas',
    ),
    setCounted: db.prepare(
      'INSERT INTO counted VALUES (?, ?) ON CONFLICT (order_id) DO UPDATE SET pizzas = excluded.pizzas',
    ),
  }
  const table = createPositionsTable(db)
  const write = ({ counts, counted, positions }: ReportCheckpoint): void => {
    for (const [choice, pizzas] of counts) statements.setCount.run(choice, pizzas)
    for (const [orderId, pizzas] of counted) statements.setCounted.run(orderId, pizzas)
    table.write(positions)
  }
  return {
    counts: () => new Map(statements.counts.all().map((row) => [String(row['choice']), Number(row['pizzas'])])),
    counted: (orderId) => statements.counted.get(orderId)?.['pizzas'] as Uint8Array | undefined,
    positions: table.read,
    checkpoint(changed) {
      db.exec('BEGIN IMMEDIATE')
      try {
        write(changed)
        db.exec('COMMIT')
      } catch (error) {
        if (db.isTransaction) db.exec('ROLLBACK')
        throw error
      }
    },
    hold() {
      db.exec('BEGIN')
      return { release: () => db.exec('COMMIT') }
    },
    close,
  }
}
