/**
 * Records of the embedded log: one rowid table for each topic partition, so that an append goes to the right edge of a tree
 * without a second index, and offset = rowid - 1 is given by SQLite inside the write transaction.
 *
 * R1: whoever deletes rows keeps the last one, or the rowid, and with it the offset, would begin again.
 */
import type { StatementSync } from 'node:sqlite'
import type { AppendRecord, Coordinates, LogRecord, TopicPartition, TopicSpec } from './event-log.ts'
import { createPlacer, otherPartitionCount, unknownPartition, unknownTopic } from './local-append.ts'
import type { SqliteFile } from './sqlite-file.ts'
import { createTail, type Tail } from './sqlite-tail.ts'

/** One partition and the statements on its table. */
export interface SqlitePartition {
  readonly topic: string
  readonly partition: number
  readonly insert: StatementSync
  readonly page: StatementSync
  readonly start: StatementSync
  readonly end: StatementSync
  readonly oldest: StatementSync
  readonly removeTo: StatementSync
  readonly tail: Tail
}

export interface SqliteRecords {
  ensureTopics(topics: readonly TopicSpec[]): Promise<void>
  /** Whether the topic exists. */
  has(topic: string): boolean
  partitionCount(topic: string): number
  /** Every partition of a compacted topic. */
  compacted(): TopicPartition[]
  /** Inserts one record; to be called inside a transaction. Adds the partition to `touched`. */
  insert(record: AppendRecord, timestampMs: number, touched: Set<SqlitePartition>): Coordinates
  /** Keeps a record that was inserted, once its transaction is committed, for this process's own readers. */
  remember(record: AppendRecord, at: Coordinates, timestampMs: number): void
  /** Another process has committed something. */
  forgetTails(): void
  page(topic: string, partition: number, from: number, recordsMax: number): LogRecord[]
  start(topic: string, partition: number): number
  end(topic: string, partition: number): number
  /** The first record that is still there. */
  oldest(topic: string, partition: number): { offset: number; timestampMs: number } | undefined
  /** Deletes the oldest records, as far as all of this allows; inside a transaction. @returns how many. */
  cut(topic: string, partition: number, range: CutRange): number
  /** Deletes records that one between offsets `from` and `to` replaces, of a compacted topic; inside a transaction. @returns how many. */
  compact(topic: string, partition: number, range: { from: number; to: number }): number
}

export interface CutRange {
  /** Records from this offset on stay. */
  readonly below: number
  /** The first record that is not older stays, and all after it. */
  readonly olderThanMs: number
  readonly recordsMax: number
}

interface Topic {
  readonly id: number
  /** Prepared when first used: a process rarely touches every partition. */
  readonly partitions: (SqlitePartition | undefined)[]
}

type Part = string | Uint8Array | null
type Row = [seq: number, key: Part, value: Part, headers: string | null, timestampMs: number]

/** The name of a partition's table; `seq` is the offset plus 1. */
function tableOf(topicId: number, partition: number): string {
  return `records_${topicId}_${partition}`
}

export function createSqliteRecords(sqlite: SqliteFile): SqliteRecords {
  const { db, transact, read } = sqlite
  const topics = new Map<string, Topic>()
  const place = createPlacer()
  const findTopic = db.prepare('SELECT id, partitions FROM topics WHERE name = ?')
  const compactedTopics = db.prepare('SELECT name, partitions FROM topics WHERE compacted = 1')
  const addTopic = db.prepare('INSERT INTO topics (name, partitions, compacted) VALUES (?, ?, ?)')

  function lookUp(name: string): Topic | undefined {
    const known = topics.get(name)
    if (known) return known
    const row = read('read', () => findTopic.get(name)) as { id: number; partitions: number } | undefined
    if (!row) return undefined
    const topic = { id: row.id, partitions: Array.from({ length: row.partitions }, () => undefined) }
    topics.set(name, topic)
    return topic
  }

  function topicOf(name: string): Topic {
    const topic = lookUp(name)
    if (!topic) throw unknownTopic(name)
    return topic
  }

  function partitionOf(name: string, partition: number): SqlitePartition {
    const { id, partitions } = topicOf(name)
    const known = partitions[partition]
    if (known) return known
    if (partition < 0 || partition >= partitions.length) throw unknownPartition(name, partition, partitions.length)
    const table = tableOf(id, partition)
    const page = db.prepare(
      `SELECT seq, key, value, headers, timestamp_ms FROM ${table} WHERE seq > ? ORDER BY seq LIMIT ?`,
    )
    page.setReturnArrays(true)
    return (partitions[partition] = {
      topic: name,
      partition,
      insert: db.prepare(`INSERT INTO ${table} (key, value, headers, timestamp_ms) VALUES (?, ?, ?, ?)`),
      page,
      start: db.prepare(`SELECT coalesce(min(seq) - 1, 0) AS at FROM ${table}`),
      end: db.prepare(`SELECT coalesce(max(seq), 0) AS at FROM ${table}`),
      oldest: db.prepare(`SELECT seq, timestamp_ms AS timestampMs FROM ${table} ORDER BY seq LIMIT ?`),
      removeTo: db.prepare(`DELETE FROM ${table} WHERE seq <= ?`),
      tail: createTail(),
    })
  }

  /** @returns whether the topic has to be created. */
  function isMissing({ name, partitions }: TopicSpec): boolean {
    const topic = lookUp(name)
    if (topic && topic.partitions.length !== partitions)
      throw otherPartitionCount(name, topic.partitions.length, partitions)
    return topic === undefined
  }

  const oldest = (topic: string, partition: number, recordsMax: number) =>
    partitionOf(topic, partition).oldest.all(recordsMax) as { seq: number; timestampMs: number }[]

  const at = (statement: StatementSync) => read('read', () => (statement.get() as { at: number }).at)

  return {
    async ensureTopics(specs) {
      if (!specs.filter(isMissing).length) return
      await transact('create topics in', () => {
        for (const spec of specs) {
          if (!isMissing(spec)) continue
          const { lastInsertRowid: id } = addTopic.run(spec.name, spec.partitions, spec.compacted ? 1 : 0)
          for (let partition = 0; partition < spec.partitions; partition++) {
            const columns = 'seq INTEGER PRIMARY KEY, key, value, headers TEXT, timestamp_ms INTEGER NOT NULL'
            const table = tableOf(Number(id), partition)
            db.exec(`CREATE TABLE ${table} (${columns})`)
            if (spec.compacted) db.exec(`CREATE INDEX ${table}_by_key ON ${table} (key)`)
          }
        }
      }).catch((error: unknown) => {
        // What was looked up inside a transaction that failed may not be there.
        topics.clear()
        throw error
      })
    },
    has: (topic) => lookUp(topic) !== undefined,
    partitionCount: (topic) => topicOf(topic).partitions.length,
    compacted() {
      const rows = compactedTopics.all() as { name: string; partitions: number }[]
      return rows.flatMap(({ name: topic, partitions }) =>
        Array.from({ length: partitions }, (_, partition) => ({ topic, partition })),
      )
    },
    insert({ topic, key, value, headers }, timestampMs, touched) {
      const partition = partitionOf(topic, place(key, topicOf(topic).partitions.length))
      touched.add(partition)
      const text = headers ? JSON.stringify(headers) : null
      const { lastInsertRowid } = partition.insert.run(key, value, text, timestampMs)
      return { topic, partition: partition.partition, offset: Number(lastInsertRowid) - 1 }
    },
    remember({ key, value, headers }, at, timestampMs) {
      const record = { ...at, key: copy(key), value: copy(value), timestampMs }
      partitionOf(at.topic, at.partition).tail.add(headers === undefined ? record : { ...record, headers })
    },
    forgetTails() {
      for (const { partitions } of topics.values()) for (const partition of partitions) partition?.tail.forget()
    },
    page(topic, partition, from, recordsMax) {
      const { page, tail } = partitionOf(topic, partition)
      const known = tail.page(from, recordsMax)
      if (known !== undefined) return known
      const rows = read('read', () => page.all(from, recordsMax)) as unknown as Row[]
      return rows.map((row) => toRecord(topic, partition, row))
    },
    start: (topic, partition) => at(partitionOf(topic, partition).start),
    end: (topic, partition) => at(partitionOf(topic, partition).end),
    oldest(topic, partition) {
      const [first] = oldest(topic, partition, 1)
      return first && { offset: first.seq - 1, timestampMs: first.timestampMs }
    },
    cut(topic, partition, { below, olderThanMs, recordsMax }) {
      const { end, removeTo, tail } = partitionOf(topic, partition)
      const last = at(end)
      const rows = oldest(topic, partition, recordsMax)
      const mayGo = ({ seq, timestampMs }: (typeof rows)[number]) =>
        seq <= below && seq < last && timestampMs < olderThanMs
      const firstKept = rows.findIndex((row) => !mayGo(row))
      const upTo = rows[(firstKept < 0 ? rows.length : firstKept) - 1]
      if (upTo === undefined) return 0
      tail.dropBelow(upTo.seq)
      return Number(removeTo.run(upTo.seq).changes)
    },
    compact(topic, partition, { from, to }) {
      partitionOf(topic, partition)
      const table = tableOf(topicOf(topic).id, partition)
      const { changes } = db.prepare(compaction(table)).run({ from, to })
      return Number(changes)
    },
  }
}

/** Of each key in a range of rows the newest of the range stays; what stands before the range is compacted already. */
function compaction(table: string): string {
  return `DELETE FROM ${table} WHERE seq < $to AND key IN (SELECT key FROM ${table} WHERE seq > $from AND seq <= $to)
    AND EXISTS (SELECT 1 FROM ${table} AS newer WHERE newer.key = ${table}.key AND newer.seq > ${table}.seq AND newer.seq <= $to)`
}

/** The caller may reuse its buffer. */
function copy(part: string | Buffer | null): Buffer | null {
  if (part === null) return null
  return typeof part === 'string' ? Buffer.from(part) : Buffer.from(part)
}

/** Strings are stored as TEXT, whose UTF-8 is made and read faster than a BLOB (measured 1.5 times). */
function toBuffer(part: Part): Buffer | null {
  if (part === null) return null
  return typeof part === 'string' ? Buffer.from(part) : Buffer.from(part.buffer, part.byteOffset, part.byteLength)
}

function toRecord(topic: string, partition: number, [seq, key, value, headers, timestampMs]: Row): LogRecord {
  const offset = seq - 1
  const record = { topic, partition, offset, key: toBuffer(key), value: toBuffer(value), timestampMs }
  return headers === null ? record : { ...record, headers: JSON.parse(headers) as Record<string, string> }
}
