/**
 * Owner: makes one process the only writer of a state store, for as long as it lives. The lock is SQLite's on an empty file
 * beside the store; the system drops it with the process, so a crash leaves nothing behind that must be cleaned up.
 */
import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'

/** Another process writes this store. */
class DataInUseError extends Error {
  readonly code = 'data-in-use'
  constructor(file: string, options?: ErrorOptions) {
    super(`Cannot write ${file}: another process of the same role works on it`, options)
    this.name = 'DataInUseError'
  }
}

/** Takes the store `file` for this process. @returns a function that gives it back. @throws DataInUseError */
export function ownStore(file: string): () => void {
  // No waiting: an owner keeps its lock for hours. No journal: there is nothing to roll back.
  const lock = new DatabaseSync(`${file}.lock`, { timeout: 0 })
  try {
    lock.exec('PRAGMA journal_mode=OFF; BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    throw isBusy(error) ? new DataInUseError(file, { cause: error }) : error
  }
  return () => {
    if (lock.isOpen) lock.close()
  }
}

/** Whether a process works on the store `file`. Only looks, and makes nothing. */
export function isStoreOwned(file: string): boolean {
  if (!existsSync(`${file}.lock`)) return false
  const lock = new DatabaseSync(`${file}.lock`, { timeout: 0, readOnly: true })
  try {
    lock.prepare('SELECT count(*) FROM sqlite_schema').get()
    return false
  } catch (error) {
    if (isBusy(error)) return true
    throw error
  } finally {
    lock.close()
  }
}

/** SQLITE_BUSY: another connection holds the lock. */
function isBusy(error: unknown): boolean {
  return (error as { errcode?: number }).errcode === 5
}
