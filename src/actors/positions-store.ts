/** Positions as both state stores keep them: one table in the caller's file, written in the caller's transaction. */
import type { DatabaseSync } from 'node:sqlite'
import type { Positions } from '../log/event-log.ts'
import { setPosition, type MutablePositions } from './positions.ts'

/** The table's definition. */
export const positionsSchema = `CREATE TABLE IF NOT EXISTS positions (
  topic TEXT, partition INTEGER, position INTEGER NOT NULL, PRIMARY KEY (topic, partition));`

export interface PositionsTable {
  read(): Positions
  write(positions: Positions): void
  drop(partition: number): void
}

/** Prepares the statements on a database that has the table. */
export function createPositionsTable(db: DatabaseSync): PositionsTable {
  const all = db.prepare('SELECT topic, partition, position FROM positions')
  const move = db.prepare(
    'INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT (topic, partition) DO UPDATE SET position = excluded.position',
  )
  const drop = db.prepare('DELETE FROM positions WHERE partition = ?')
  return {
    drop: (partition) => void drop.run(partition),
    read() {
      const positions: MutablePositions = new Map()
      for (const row of all.all() as unknown as { topic: string; partition: number; position: number }[]) {
        setPosition(positions, row.topic, row.partition, row.position)
      }
      return positions
    },
    write(positions) {
      for (const [topic, ofTopic] of positions) {
        for (const [partition, position] of ofTopic) move.run(topic, partition, position)
      }
    },
  }
}
