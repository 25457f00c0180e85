/**
 * SQLite file of the embedded log: its settings, its schema, transactions and errors. Knows nothing of records or groups.
 *
 * F1: a transaction takes the write lock at once (BEGIN IMMEDIATE), so what it reads is true until it commits.
 * F2: a commit is in the WAL and not yet on the disk (synchronous = NORMAL); `sync` brings it there without blocking the event
 *     loop. The WAL is one file, so a power cut leaves a prefix of what was committed.
 * F3: waiting for another process's lock does not block the event loop for longer than `busySliceMs` at a time.
 */
import { closeSync, fdatasync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { LogError } from './event-log.ts'
import { logClosed } from './local-append.ts'
import type { Schedule } from './local-schedule.ts'

const syncData = promisify(fdatasync)

const schemaVersion = 1
/** "pzlg": tells our files from other SQLite files. */
const applicationId = 0x707a6c67
const busySliceMs = 10
const busyRetryMs = 5

const schema = `
  CREATE TABLE IF NOT EXISTS topics (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL, compacted INTEGER NOT NULL
  );
  CREATE TABLE IF NOT EXISTS positions (
    group_id TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (group_id, topic, partition)
  );
  CREATE TABLE IF NOT EXISTS members (member TEXT PRIMARY KEY, group_id TEXT NOT NULL, process TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS owners (
    group_id TEXT NOT NULL, partition INTEGER NOT NULL, member TEXT NOT NULL, PRIMARY KEY (group_id, partition)
  );
  CREATE TABLE IF NOT EXISTS group_changes (count INTEGER NOT NULL);
  INSERT INTO group_changes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM group_changes);
`

export interface SqliteFile {
  readonly db: DatabaseSync
  readonly file: string
  /**
   * Runs `work` in one write transaction. `action` completes "Cannot …" in the message of an error. A crash of
   * every process keeps what it has committed; against a power cut there is `sync`.
   * @throws LogError `unavailable` when the lock does not come free, the disk is full or broken.
   */
  transact<T>(action: string, work: () => T): Promise<T>
  /** Resolves when every transaction committed before the call, by any process, is on the disk. */
  sync(): Promise<void>
  /** Runs a read; its SQLite errors become LogErrors. */
  read<T>(action: string, work: () => T): T
  close(): void
}

export interface SqliteFileOptions {
  readonly file: string
  readonly schedule: Schedule
  /** How long a write waits for another process before it fails. */
  readonly busyTimeoutMs: number
}

/** Opens the file, creating it and its folder when they are missing. */
export function openSqliteFile({ file, schedule, busyTimeoutMs }: SqliteFileOptions): SqliteFile {
  const db = openDatabase(file, busyTimeoutMs)
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const syncWal = createSync(`${file}-wal`)

  /** @returns whether the lock was there to be taken. */
  function tryBegin(): boolean {
    try {
      begin.run()
      return true
    } catch (error) {
      if (isBusy(error)) return false
      throw error
    }
  }

  async function transact<T>(action: string, work: () => T): Promise<T> {
    try {
      for (let waitedMs = 0; !tryBegin(); waitedMs += busySliceMs + busyRetryMs) {
        if (waitedMs >= busyTimeoutMs) throw heldByAnother(action, file, busyTimeoutMs)
        await new Promise<void>((resolve) => void schedule(resolve, busyRetryMs))
      }
      const result = work()
      commit.run()
      return result
    } catch (error) {
      // SQLite has rolled back by itself after some errors (a full disk is one), and ROLLBACK would fail then.
      if (db.isOpen && db.isTransaction) db.exec('ROLLBACK')
      throw toLogError(error, action, file)
    }
  }

  return {
    db,
    file,
    transact,
    async sync() {
      try {
        await syncWal.sync()
      } catch (error) {
        throw new LogError(
          'unavailable',
          `Cannot sync ${file} to the disk: ${(error as Error).message}. Look after the disk, then start again`,
          {
            cause: error,
          },
        )
      }
    },
    read(action, work) {
      try {
        return work()
      } catch (error) {
        throw toLogError(error, action, file)
      }
    },
    close() {
      syncWal.close()
      if (db.isOpen) db.close()
    },
  }
}

/**
 * Syncs a file off the event loop, one sync at a time: calls that come meanwhile share the next. SQLite's own sync would block.
 * A second descriptor is safe on the WAL: SQLite's locks are on the database and on `-shm`, and the sync covers the whole file.
 * After a sync that failed none succeeds any more: the system may have dropped the pages it could not write, and then a later
 * sync says nothing about them. Source: "PostgreSQL vs. fsync", FOSDEM 2019.
 */
function createSync(file: string): { sync(): Promise<void>; close(): void } {
  let descriptor: number | undefined
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  let failure: Error | undefined
  const syncOnce = async (): Promise<void> => {
    if (failure !== undefined) throw failure
    try {
      if (descriptor === undefined) {
        descriptor = openSync(file, 'r+')
        syncFolder(dirname(file))
      }
      await syncData(descriptor)
    } catch (error) {
      failure = error as Error
      throw error
    }
  }
  const start = (): Promise<void> => {
    running = syncOnce().finally(() => (running = undefined))
    return running
  }
  return {
    sync() {
      // What a running sync covers is not known: a commit may have come after it began.
      if (running === undefined) return start()
      next ??= running
        .catch(() => {})
        .then(() => {
          next = undefined
          return start()
        })
      return next
    },
    close() {
      if (descriptor !== undefined) closeSync(descriptor)
      descriptor = undefined
    },
  }
}

/** Makes a file's name durable, which a sync of the file does not. Windows has no such call and no such need. */
function syncFolder(folder: string): void {
  let descriptor: number | undefined
  try {
    descriptor = openSync(folder, 'r')
    fsyncSync(descriptor)
  } catch (error) {
    if (!['EPERM', 'EISDIR', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

function openDatabase(file: string, busyTimeoutMs: number): DatabaseSync {
  let db: DatabaseSync | undefined
  try {
    mkdirSync(dirname(file), { recursive: true })
    db = new DatabaseSync(file, { timeout: busyTimeoutMs })
    // One look: another process may be making the file at this moment.
    db.exec('BEGIN')
    const { user_version: version } = db.prepare('PRAGMA user_version').get() as { user_version: number }
    const { application_id: owner } = db.prepare('PRAGMA application_id').get() as { application_id: number }
    const { tables } = db.prepare('SELECT count(*) AS tables FROM sqlite_schema').get() as { tables: number }
    db.exec('COMMIT')
    // The schema and the marks come in one transaction: a file with tables and without marks is another program's.
    const isFresh = tables === 0 && owner === 0
    if (!isFresh && owner !== applicationId) throw new LogError('unavailable', `Cannot open ${file}: it is not a log`)
    if (!isFresh && version !== schemaVersion) {
      const message = `Cannot open ${file}: it has log format ${version}, this program reads format ${schemaVersion}`
      throw new LogError('unavailable', message)
    }
    // Only a file without tables can be made so that free space can be given back (sqlite-retention.ts). Appends cost 3 % more.
    if (isFresh) db.exec('PRAGMA auto_vacuum = INCREMENTAL')
    // A checkpoint costs several fsyncs: at 20,000 pages it comes once in 80 MB instead of once in 4.
    useWal(db, busyTimeoutMs)
    db.exec('PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 20000')
    const marks = `PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}`
    db.exec(`BEGIN IMMEDIATE; ${schema} ${marks}; COMMIT`)
    // From here on waiting is done in slices that leave the event loop free (F3).
    db.exec(`PRAGMA busy_timeout = ${busySliceMs}`)
    return db
  } catch (error) {
    db?.close()
    throw toLogError(error, 'open', file)
  }
}

/** Waits for others that look at the file: for a change of the journal mode SQLite does not do it by itself. */
function useWal(db: DatabaseSync, busyTimeoutMs: number): void {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let waitedMs = 0; ; waitedMs += busyRetryMs) {
    try {
      return db.exec('PRAGMA journal_mode = WAL')
    } catch (error) {
      if (!isBusy(error) || waitedMs >= busyTimeoutMs) throw error
      Atomics.wait(pause, 0, 0, busyRetryMs)
    }
  }
}

interface SqliteError extends Error {
  readonly errcode: number
}

function isSqliteError(error: unknown): error is SqliteError {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
}

const busy = 5
const ioError = 10
const full = 13

/** The low byte is the kind of error; the rest says where it came from. */
const kindOf = (error: SqliteError) => error.errcode & 0xff

export function isBusy(error: unknown): boolean {
  return isSqliteError(error) && kindOf(error) === busy
}

function heldByAnother(action: string, file: string, waitedMs: number, cause?: Error): LogError {
  const message = `Cannot ${action} ${file}: another program has held its write lock for ${waitedMs} ms. End that program or its transaction`
  return new LogError('unavailable', message, { cause })
}

function toLogError(error: unknown, action: string, file: string): unknown {
  if (error instanceof Error && 'code' in error && error.code === 'ERR_INVALID_STATE') return logClosed()
  if (error instanceof Error && 'syscall' in error) {
    return new LogError('unavailable', `Cannot ${action} ${file}: ${error.message}`, { cause: error })
  }
  if (!isSqliteError(error)) return error
  if (kindOf(error) === busy) return heldByAnother(action, file, busySliceMs, error)
  const advice: Record<number, string> = {
    [full]: 'the disk is full. Free some space; nothing that was answered is lost',
    [ioError]: `${error.message}. Check the disk and its free space`,
  }
  const reason = advice[kindOf(error)] ?? error.message
  return new LogError('unavailable', `Cannot ${action} ${file}: ${reason}`, { cause: error })
}
