/**
 * Cursors of one group member: which partitions it owns, where it reads next in each, and which of them may have news, so
 * that an idle turn reads nothing. Collects batches that are fair over partitions; calls no handler and commits nothing.
 */
import type { LogRecord } from './event-log.ts'

export interface Cursor {
  readonly topic: string
  readonly partition: number
  position: number
  /** Whether reading from `position` may find something. */
  hasNews: boolean
}

export interface Batch {
  readonly records: LogRecord[]
  /** The cursors that the records were read with. */
  readonly from: Cursor[]
}

export interface Cursors {
  has(partition: number): boolean
  add(partitions: readonly number[], positionOf: (topic: string, partition: number) => number): void
  drop(partitions: readonly number[]): void
  pause(topics: readonly string[]): void
  resume(topics: readonly string[]): void
  /** Records may have been appended: to one partition, or (no argument) to any. @returns whether a cursor reads there. */
  markNews(topic?: string, partition?: number): boolean
  hasNews(): boolean
  collect(): Batch
  advance(batch: Batch): void
}

type ReadPage = (topic: string, partition: number, from: number, recordsMax: number) => LogRecord[]

/** Creates the cursors of a member that owns nothing yet. */
export function createCursors(topics: readonly string[], recordsMax: number, readPage: ReadPage): Cursors {
  const owned = new Map<number, Map<string, Cursor>>()
  const paused = new Set<string>()
  let cursors: Cursor[] = []
  let turns = 0

  /** By topic first, in the order the caller named them: a batch then brings causes before effects where it can. */
  function sort(): void {
    cursors = topics.flatMap((topic) => ownedNumbers().map((partition) => owned.get(partition)!.get(topic)!))
  }

  const ownedNumbers = () => [...owned.keys()].toSorted((a, b) => a - b)
  const isReady = ({ hasNews, topic }: Cursor) => hasNews && !paused.has(topic)

  return {
    has: (partition) => owned.has(partition),
    add(partitions, positionOf) {
      for (const partition of partitions) {
        const toCursor = (topic: string) =>
          [topic, { topic, partition, position: positionOf(topic, partition), hasNews: true }] as const
        owned.set(partition, new Map(topics.map(toCursor)))
      }
      sort()
    },
    drop(partitions) {
      for (const partition of partitions) owned.delete(partition)
      sort()
    },
    pause(names) {
      for (const name of names) paused.add(name)
    },
    resume(names) {
      for (const name of names) paused.delete(name)
    },
    markNews(topic, partition) {
      if (topic === undefined) {
        for (const cursor of cursors) cursor.hasNews = true
        return cursors.length > 0
      }
      const cursor = owned.get(partition!)?.get(topic)
      if (cursor) cursor.hasNews = true
      return cursor !== undefined
    },
    hasNews: () => cursors.some(isReady),
    collect: () => collectBatch(cursors.filter(isReady), recordsMax, turns++, readPage),
    advance: advanceCursors,
  }
}

/** Reads a batch, with the same share for every cursor that may have something. */
function collectBatch(ready: readonly Cursor[], recordsMax: number, turn: number, readPage: ReadPage): Batch {
  // With more cursors than records in a batch, each turn begins at another one so that all are served.
  const first = ready.length > recordsMax ? turn * recordsMax : 0
  const records: LogRecord[] = []
  const from: Cursor[] = []
  for (let i = 0; i < ready.length && records.length < recordsMax; i++) {
    const cursor = ready[(first + i) % ready.length]!
    const share = Math.max(1, Math.floor((recordsMax - records.length) / (ready.length - i)))
    const page = readPage(cursor.topic, cursor.partition, cursor.position, share)
    if (page.length < share) cursor.hasNews = false
    if (page.length === 0) continue
    for (const record of page) records.push(record)
    from.push(cursor)
  }
  return { records, from }
}

/** Moves the cursors past the records of a batch, which are in the order of its cursors. */
function advanceCursors({ records, from }: Batch): void {
  let next = 0
  for (const cursor of from) {
    for (let record = records[next]; record && isAt(record, cursor); record = records[++next]) {
      cursor.position = record.offset + 1
    }
  }
}

const isAt = (record: LogRecord, cursor: Cursor) =>
  record.partition === cursor.partition && record.topic === cursor.topic
