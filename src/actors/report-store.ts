/**
 * Report store: one reporter's counts on disk, in one SQLite file. It can be rebuilt from the log.
 *
 * S1: counts, the pizzas counted and the positions change in one transaction, so that no pizza is counted twice or missed (P7).
 * S2: what is kept of a partition is its fold below its position, whoever owns the partition: an old one is right as of then.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { Positions } from '../log/event-log.ts'
import { createPositionsTable, positionsSchema } from './positions-store.ts'
import { openStateStore, StoreUnusableError } from './state-store.ts'

export interface ReportCheckpoint {
  /** By partition, the counts that changed, by choice. */
  readonly counts: ReadonlyMap<number, ReadonlyMap<string, number>>
  /** By partition and order: one bit for each pizza that was counted, pizza 1 in the lowest bit of the first byte. */
  readonly counted: ReadonlyMap<number, ReadonlyMap<string, Uint8Array>>
  readonly positions: Positions
}

export interface ReportStore {
  /** Pizzas by choice, of one partition (default: of all). */
  counts(partition?: number): Map<string, number>
  counted(partition: number, orderId: string): Uint8Array | undefined
  positions(): Positions
  /** Writes what changed in one transaction. @throws Error when the disk refuses. */
  checkpoint(changed: ReportCheckpoint): void
  /** Holds still what this handle reads, until `release`. For verify, on a read-only handle of its own. */
  hold(): { release(): void }
  close(): void
}

/** Schema 1 counted over all partitions together, and wrote no version. */
const schemaVersion = 2

const schema = `
  CREATE TABLE IF NOT EXISTS counts (
    partition INTEGER, choice TEXT, pizzas INTEGER NOT NULL, PRIMARY KEY (partition, choice));
  CREATE TABLE IF NOT EXISTS counted (
    partition INTEGER, order_id TEXT, pizzas BLOB NOT NULL, PRIMARY KEY (order_id, partition));
  ${positionsSchema}`

/**
 * Opens the store, creating it when it is not there. `readOnly` opens an existing one beside its running owner. What an older version
 * wrote is dropped, and counted again from the log.
 * @throws StoreUnusableError when a newer version wrote it, or an older one and it is opened to read only; and as openStateStore.
 */
export function createReportStore(file: string, { readOnly = false } = {}): ReportStore {
  const { db, close } = openStateStore(file, { readOnly })
  try {
    prepareFile(db, file, readOnly)
  } catch (error) {
    close()
    throw error
  }
  const statements = {
    counts: db.prepare(`SELECT choice, sum(pizzas) AS pizzas FROM counts
      WHERE ?1 IS NULL OR partition = ?1 GROUP BY choice ORDER BY choice`),
    counted: db.prepare('SELECT pizzas FROM counted WHERE order_id = ? AND partition = ?'),
    setCount: db.prepare(
      'INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT (partition, choice) DO UPDATE SET pizzas = excluded.pizzas',
    ),
    setCounted: db.prepare(
      'INSERT INTO counted VALUES (?, ?, ?) ON CONFLICT (order_id, partition) DO UPDATE SET pizzas = excluded.pizzas',
    ),
  }
  const table = createPositionsTable(db)
  const write = ({ counts, counted, positions }: ReportCheckpoint): void => {
    for (const [partition, byChoice] of counts) {
      for (const [choice, pizzas] of byChoice) statements.setCount.run(partition, choice, pizzas)
    }
    for (const [partition, byOrder] of counted) {
      for (const [orderId, pizzas] of byOrder) statements.setCounted.run(partition, orderId, pizzas)
    }
    table.write(positions)
  }
  return {
    counts(partition) {
      const rows = statements.counts.all(partition ?? null)
      return new Map(rows.map((row) => [String(row['choice']), Number(row['pizzas'])]))
    },
    counted: (partition, orderId) => statements.counted.get(orderId, partition)?.['pizzas'] as Uint8Array | undefined,
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

function prepareFile(db: DatabaseSync, file: string, readOnly: boolean): void {
  const { user_version: found } = db.prepare('PRAGMA user_version').get() as { user_version: number }
  if (found === schemaVersion) return
  if (found > schemaVersion) {
    throw new StoreUnusableError(
      file,
      `a newer version of this program wrote it (schema ${found}, this one knows ${schemaVersion}). ` +
        'Run that version, or delete the file to rebuild it from the log.',
    )
  }
  if (readOnly) {
    throw new StoreUnusableError(
      file,
      'an older version of this program wrote it. Start the cheese reporter of this one: it counts anew from the log.',
    )
  }
  db.exec(`BEGIN IMMEDIATE;
    DROP TABLE IF EXISTS counts; DROP TABLE IF EXISTS counted; DROP TABLE IF EXISTS positions;
    ${schema} PRAGMA user_version=${schemaVersion}; COMMIT`)
}
