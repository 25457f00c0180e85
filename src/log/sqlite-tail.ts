/**
 * Tail of one partition of the embedded log: the newest records as this process appended them, so that its own consumers need not
 * read them back. Owns no truth: what is not here is in the file.
 *
 * T1: the records are contiguous and committed. A gap (another process appended between two of ours) starts the tail anew.
 * T2: whoever learns of another process's commit forgets the tail: a page that ends with it would hide what came after.
 * T3: it is bounded in records and in bytes, because there is one for each partition and a record may be large.
 */
import type { LogRecord } from './event-log.ts'

export interface Tail {
  add(record: LogRecord): void
  /** Records from offset `from` on; `undefined` when the tail does not reach back to it. */
  page(from: number, recordsMax: number): LogRecord[] | undefined
  /** Records below this offset are deleted from the log. */
  dropBelow(offset: number): void
  forget(): void
}

const bytesOf = ({ key, value }: LogRecord): number => (key?.length ?? 0) + (value?.length ?? 0)

/** Creates an empty tail. It grows to at most these limits and then drops its older half. */
export function createTail({ recordsMax = 1_024, bytesMax = 256 * 1_024 } = {}): Tail {
  let records: LogRecord[] = []
  let bytes = 0
  const keep = (kept: LogRecord[]): void => {
    records = kept
    bytes = kept.reduce((sum, record) => sum + bytesOf(record), 0)
  }
  return {
    add(record) {
      const last = records.at(-1)
      if (last !== undefined && record.offset !== last.offset + 1) keep([])
      while (records.length >= recordsMax || (records.length > 0 && bytes + bytesOf(record) > bytesMax)) {
        keep(records.slice(Math.ceil(records.length / 2)))
      }
      records.push(record)
      bytes += bytesOf(record)
    },
    page(from, pageRecordsMax) {
      const first = records[0]
      if (first === undefined || from < first.offset || from - first.offset >= records.length) return undefined
      return records.slice(from - first.offset, from - first.offset + pageRecordsMax)
    },
    dropBelow(offset) {
      if (records[0] !== undefined && records[0].offset < offset)
        keep(records.filter((record) => record.offset >= offset))
    },
    forget: () => keep([]),
  }
}
