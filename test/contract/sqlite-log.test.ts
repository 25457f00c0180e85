import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createSqliteLog } from '../../src/log/sqlite-log.ts'
import { describeLogContract } from './event-log.contract.ts'
import { startRemoteLog } from './remote-log.ts'

describeLogContract('sqlite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pizza-log-'))
  const options = { file: join(folder, 'log.db') }
  return {
    open: async () => createSqliteLog(options),
    async openCrashable() {
      const { log, kill } = await startRemoteLog({ module: 'sqlite-log.ts', factory: 'createSqliteLog', options })
      return { log, crash: kill }
    },
    /** Another program holds the write lock of the file. */
    async beginOutage() {
      const other = new DatabaseSync(options.file, { timeout: 5_000 })
      other.exec('BEGIN IMMEDIATE')
      return async () => {
        other.exec('COMMIT')
        other.close()
      }
    },
    async deleteBelow({ topic, partition }, offset) {
      const other = new DatabaseSync(options.file, { timeout: 5_000 })
      const { id } = other.prepare('SELECT id FROM topics WHERE name = ?').get(topic) as { id: number }
      other.prepare(`DELETE FROM records_${id}_${partition} WHERE seq <= ?`).run(offset)
      other.close()
    },
    close: () => rm(folder, { recursive: true }),
  }
})
