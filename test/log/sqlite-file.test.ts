import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSqliteLog } from '../../src/log/sqlite-log.ts'
import { createTopic, readAll } from '../contract/support.ts'

let folder: string
let file: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pizza-log-'))
  file = join(folder, 'deeper', 'log.db')
})

afterEach(() => rm(folder, { recursive: true }))

describe('A log file', () => {
  it('is made with its folder, in WAL mode, and keeps what was written when opened again', async () => {
    const first = createSqliteLog({ file })
    const topic = await createTopic(first, 2)
    const [at] = await first.append([{ topic, key: 'k', value: 'kept' }])
    await first.close()
    const second = createSqliteLog({ file })
    expect(await readAll(second, at!)).toMatchObject([{ value: Buffer.from('kept') }])
    expect(await second.append([{ topic, key: 'k', value: 'next' }])).toEqual([{ ...at, offset: 1 }])
    await second.close()
    const db = new DatabaseSync(file)
    expect(db.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
    db.close()
  })

  it('that three programs make at the same moment is opened by all', { timeout: 60_000 }, async () => {
    const files = Array.from({ length: 60 }, (_, i) => join(folder, `together-${i}.db`))
    const arrived = new Int32Array(new SharedArrayBuffer(4 * files.length))
    const open = async () => {
      const worker = new Worker(new URL('open-together.worker.ts', import.meta.url), {
        workerData: { files, twins: 3, arrived },
        execArgv: [],
      })
      const [refusals] = (await once(worker, 'message')) as [string[]]
      return refusals
    }
    expect(await Promise.all([open(), open(), open()])).toEqual([[], [], []])
  })

  it('that another program locks makes appends fail with what to do, without blocking the event loop', async () => {
    const log = createSqliteLog({ file, busyTimeoutMs: 200 })
    const topic = await createTopic(log, 1)
    const other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    const refusal = log.append([{ topic, key: 'k', value: 'v' }])
    let turns = 0
    const count = setInterval(() => turns++, 1)
    await expect(refusal).rejects.toMatchObject({
      code: 'unavailable',
      message: `Cannot append to ${file}: another program has held its write lock for 200 ms. End that program or its transaction`,
    })
    clearInterval(count)
    expect(turns).toBeGreaterThan(3)
    other.exec('ROLLBACK')
    other.close()
    expect(await log.append([{ topic, key: 'k', value: 'v' }])).toMatchObject([{ offset: 0 }])
    await log.close()
  })

  it('that is something else is refused and left alone', async () => {
    const text = join(folder, 'notes.txt')
    await writeFile(text, 'not a database, but long enough to be looked at as one '.repeat(40))
    expect(() => createSqliteLog({ file: text })).toThrow(/Cannot open .*notes\.txt: file is not a database/)
    const foreign = new DatabaseSync(join(folder, 'foreign.db'))
    foreign.exec('PRAGMA application_id = 7; CREATE TABLE theirs (a)')
    foreign.close()
    expect(() => createSqliteLog({ file: join(folder, 'foreign.db') })).toThrow(/foreign\.db: it is not a log/)
    const unmarked = new DatabaseSync(join(folder, 'unmarked.db'))
    unmarked.exec('CREATE TABLE theirs (a)')
    expect(() => createSqliteLog({ file: join(folder, 'unmarked.db') })).toThrow(/unmarked\.db: it is not a log/)
    expect(unmarked.prepare('SELECT name FROM sqlite_schema').all()).toEqual([{ name: 'theirs' }])
    unmarked.close()
  })

  it('of a later format is refused with both formats', async () => {
    await createSqliteLog({ file }).close()
    const db = new DatabaseSync(file)
    db.exec('PRAGMA user_version = 9')
    db.close()
    expect(() => createSqliteLog({ file })).toThrow('it has log format 9, this program reads format 1')
  })

  it('on a full disk refuses appends as unavailable, keeps what it has, and works again with space', async () => {
    const log = createSqliteLog({ file })
    const topic = await createTopic(log, 1)
    await log.close()
    const script = fileURLToPath(new URL('full-disk.child.ts', import.meta.url))
    // A limit on the size of files stands for the full disk: writing past it fails in the same place.
    const run = promisify(execFile)
    const { stdout } = await run('sh', [
      '-c',
      'ulimit -f 2048 && exec "$0" "$@"',
      process.execPath,
      script,
      file,
      topic,
    ])
    const { appended, error } = JSON.parse(stdout) as { appended: number; error: { code: string; message: string } }
    expect(error.code).toBe('unavailable')
    expect(error.message).toMatch(/^Cannot append to .*log\.db: .*(disk)/)
    expect(appended).toBeGreaterThan(0)
    const again = createSqliteLog({ file })
    expect((await again.ends([topic])).get(topic)).toEqual([appended])
    expect(await again.append([{ topic, key: 'k', value: 'v' }])).toMatchObject([{ offset: appended }])
    await again.close()
  })
})
