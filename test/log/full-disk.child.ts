/** Appends until the log refuses; prints how many records were answered, and the error. */
import type { LogError } from '../../src/log/event-log.ts'
import { createSqliteLog } from '../../src/log/sqlite-log.ts'

const [file, topic] = process.argv.slice(2) as [string, string]
const log = createSqliteLog({ file })
let appended = 0
try {
  for (;;) {
    await log.append([{ topic, key: 'k', value: 'x'.repeat(50_000) }])
    appended++
  }
} catch (error) {
  const { code, message } = error as LogError
  process.stdout.write(JSON.stringify({ appended, error: { code, message } }))
}
await log.close()
