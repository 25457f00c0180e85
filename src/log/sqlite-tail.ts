/**
 * Tail of one partition of the embedded log: the newest records as this process appended them, so that its own consumers need not
 * read them back. Owns no truth: what is not here is in the file.
 *
 * T1: the records are contiguous and committed. A gap (another process appended between two of ours) starts the tail anew.
 * T2: whoever learns of another process's commit forgets the tail: a page that ends with it would hide what came after.
 */
import type { LogRecord } from './event-log.ts'

export interface Tail {
  add(record: LogRecord): void
  /** Records from offset `from` on; `undefined` when the tail does not reach back to it. */
  page(from: number, recordsMax: number): LogRecord[] | undefined
  forget(): void
}

/** Creates an empty tail of at most `recordsMax` records, and between cuts of twice as many. */
export function createTail(recordsMax = 512): Tail {
  let records: LogRecord[] = []
  return {
    add(record) {
      const last = records.at(-1)
      if (last !== undefined && record.offset !== last.offset + 1) records = []
      if (records.length >= 2 * recordsMax) records = records.slice(recordsMax)
      records.push(record)
    },
    page(from, pageRecordsMax) {
      const first = records[0]
      if (first === undefined || from < first.offset || from - first.offset >= records.length) return undefined
      return records.slice(from - first.offset, from - first.offset + pageRecordsMax)
    },
    forget() {
      records = []
    },
  }
}
