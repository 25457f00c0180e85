/**
 * State store: opens the SQLite file that a store is kept in. Knows nothing of what is in it.
 *
 * V1: a file that is damaged is refused, and left alone for whoever wants to look at it: what it says would contradict what
 *     customers were shown. The log has everything, so deleting the file is the way on.
 *
 * SQLite finds pages that are missing or are not what they should be, and half-written commits; it keeps no checksum of what is in
 * a row, so bits that flip there are found by `verify` only.
 */
import { mkdirSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ownStore } from './owner-store.ts'

/** The store cannot be used. The message says what to do. */
export class StoreUnusableError extends Error {
  readonly code = 'store-unusable'
  constructor(file: string, reason: string, options?: ErrorOptions) {
    super(`Cannot use the state store ${file}: ${reason}`, options)
    this.name = 'StoreUnusableError'
  }
}

export interface StateStore {
  readonly db: DatabaseSync
  /** Closes it and lets others own it. */
  close(): void
}

/**
 * Opens the file for this process alone, creating it when it is not there; `readOnly` opens an existing one beside its owner.
 * @throws StoreUnusableError when it is damaged, DataInUseError when another process owns it.
 */
export function openStateStore(file: string, { readOnly }: { readOnly: boolean }): StateStore {
  if (!readOnly) mkdirSync(dirname(file), { recursive: true })
  const disown = readOnly ? undefined : ownStore(file)
  let db: DatabaseSync | undefined
  const close = (): void => {
    if (db?.isOpen === true) db.close()
    disown?.()
  }
  try {
    db = new DatabaseSync(file, { timeout: 5000, readOnly })
    if (!readOnly) db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=20000')
    const { quick_check: found } = db.prepare('PRAGMA quick_check(1)').get() as { quick_check: string }
    if (found !== 'ok') throw damaged(file, found)
    return { db, close }
  } catch (error) {
    close()
    throw isDamage(error) ? damaged(file, error.message, error) : error
  }
}

function damaged(file: string, found: string, cause?: Error): StoreUnusableError {
  const todo = `Delete it and ${basename(file)}-wal: the next start rebuilds it from the log.`
  return new StoreUnusableError(file, `it is damaged (${found.replaceAll(/\s*\n\s*/g, ' ')}). ${todo}`, { cause })
}

/** SQLITE_CORRUPT and SQLITE_NOTADB; the low byte is the kind of error. Source: sqlite.org/rescode.html */
function isDamage(error: unknown): error is Error {
  return error instanceof Error && 'errcode' in error && [11, 26].includes(Number(error.errcode) & 0xff)
}
