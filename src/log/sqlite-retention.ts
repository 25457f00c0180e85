/**
 * Retention of the embedded log. Deletes the oldest records, by age and by the size of the file, and of compacted topics those
 * that a newer record of the same key has replaced. Works beside the shop, a little at a time.
 *
 * N1: a record goes only when every group that reads its topic has passed it: those that are expected, and any other that has a
 *     position. An expected group without a position in a partition keeps all of that partition.
 * N2: before records go, what groups made from them is on the disk (`settle`): their stores are other files than the log.
 * N3: the last record of a partition stays, because offsets go on from it (sqlite-records.ts, R1).
 * N4: one transaction deletes `chunkRecords` at most, and deleting takes a tenth of the event loop's time.
 *
 * Space is used again by new records. What stays free beyond a quarter of the file is given back to the disk.
 */
import type { Schedule } from './local-schedule.ts'
import type { SqliteFile } from './sqlite-file.ts'
import type { SqliteGroups } from './sqlite-groups.ts'
import type { SqliteRecords } from './sqlite-records.ts'

export interface RetentionOptions {
  /** Records that are older may go (default: age is no reason). */
  readonly ageMsMax?: number
  /** The oldest may go while the log takes more of its file (default: size is no reason). */
  readonly bytesMax?: number
  /** The groups that read each topic, whether they have been there yet or not. Topics without any are kept whole. */
  readonly readers: ReadonlyMap<string, readonly string[]>
  /** Brings to the disk what those groups keep outside the log. */
  readonly settle: () => Promise<void>
  /** The time between two rounds (default 10 s). */
  readonly everyMs?: number
}

export interface Retention {
  /** Works a round every now and then. May be called when it already does. */
  start(): void
  /** Deletes what may go at present. @returns how many records it deleted. */
  sweep(): Promise<number>
  /** Resolves when nothing is being deleted any more. */
  stop(): Promise<void>
}

export interface RetentionParts {
  readonly sqlite: SqliteFile
  readonly records: SqliteRecords
  readonly groups: SqliteGroups
  readonly schedule: Schedule
  readonly onError: (error: unknown) => void
}

const chunkRecords = 1_000
const everyMsDefault = 10_000
/** What a share of the file may stay free for records to come. */
const freeShareMax = 0.25
const freePagesMin = 4_096
const vacuumPages = 200

interface Candidate {
  readonly topic: string
  readonly partition: number
  /** Records below this offset may go. */
  readonly below: number
  readonly oldestMs: number
}

/** Creates the retention of one log file. Several processes may each have one. */
export function createRetention(options: RetentionOptions, parts: RetentionParts): Retention {
  const { ageMsMax = Infinity, bytesMax = Infinity, readers, settle, everyMs = everyMsDefault } = options
  const { sqlite, records, groups, schedule, onError } = parts
  const space = createSpace(sqlite)
  const compacted = new Map<string, number>()
  let cancel: (() => void) | undefined
  let running: Promise<number> | undefined
  let isStopped = false

  /** Lets the event loop do nine times as much as was done since. */
  const rest = (sinceMs: number): Promise<void> =>
    new Promise((resolve) => void schedule(resolve, 9 * (performance.now() - sinceMs)))

  /** Where something may go. What a group passes meanwhile is left for the next round. */
  function candidates(): Candidate[] {
    const found: Candidate[] = []
    for (const [topic, expected] of readers) {
      if (expected.length === 0 || !records.has(topic)) continue
      const passed = groups.passed(topic, expected)
      for (let partition = 0; partition < records.partitionCount(topic); partition++) {
        const below = Math.min(passed.get(partition) ?? 0, records.end(topic, partition) - 1)
        const oldest = records.oldest(topic, partition)
        if (oldest !== undefined && oldest.offset < below) {
          found.push({ topic, partition, below, oldestMs: oldest.timestampMs })
        }
      }
    }
    return found
  }

  async function cutOld(): Promise<number> {
    if (ageMsMax === Infinity && bytesMax === Infinity) return 0
    const olderThanMs = (): number => (space.usedBytes() > bytesMax ? Infinity : Date.now() - ageMsMax)
    const cuttable = new Map(sqlite.read('read', candidates).map((one) => [`${one.topic}/${one.partition}`, one]))
    const isDue = (): boolean => [...cuttable.values()].some(({ oldestMs }) => oldestMs < olderThanMs())
    if (!isDue()) return 0
    await settle()
    let cut = 0
    while (isDue() && !isStopped) {
      const sinceMs = performance.now()
      const [key, at] = [...cuttable].reduce((a, b) => (b[1].oldestMs < a[1].oldestMs ? b : a))
      const { topic, partition, below } = at
      const range = { below, olderThanMs: olderThanMs(), recordsMax: chunkRecords }
      cut += await sqlite.transact('delete old records of', () => records.cut(topic, partition, range))
      const oldest = sqlite.read('read', () => records.oldest(topic, partition))
      if (oldest === undefined || oldest.offset >= below) cuttable.delete(key)
      else cuttable.set(key, { ...at, oldestMs: oldest.timestampMs })
      await rest(sinceMs)
    }
    return cut
  }

  async function compact(): Promise<number> {
    let dropped = 0
    for (const { topic, partition } of records.compacted()) {
      const key = `${topic}/${partition}`
      const end = records.end(topic, partition)
      for (let from = compacted.get(key) ?? 0; from < end && !isStopped; from = compacted.get(key)!) {
        const sinceMs = performance.now()
        const to = Math.min(from + chunkRecords, end)
        dropped += await sqlite.transact('compact', () => records.compact(topic, partition, { from, to }))
        compacted.set(key, to)
        await rest(sinceMs)
      }
    }
    return dropped
  }

  async function giveBack(): Promise<void> {
    while (space.hasSurplus() && !isStopped) {
      const sinceMs = performance.now()
      if (!space.shrink()) return
      await rest(sinceMs)
    }
  }

  async function round(): Promise<number> {
    const gone = (await cutOld()) + (await compact())
    await giveBack()
    return gone
  }

  function sweep(): Promise<number> {
    running ??= round().finally(() => (running = undefined))
    return running
  }

  function arm(): void {
    cancel = schedule(
      () =>
        void sweep()
          .catch(onError)
          .finally(() => isStopped || arm()),
      everyMs,
    )
  }

  return {
    start() {
      if (cancel === undefined && !isStopped) arm()
    },
    sweep,
    async stop() {
      isStopped = true
      cancel?.()
      await running?.catch(() => {})
    },
  }
}

/** The file's space: how much of it holds something, and how what is free goes back to the disk. */
function createSpace({ db, read }: SqliteFile) {
  const [pages, free, pageBytes, mode] = ['page_count', 'freelist_count', 'page_size', 'auto_vacuum'].map((name) => {
    const statement = db.prepare(`PRAGMA ${name}`)
    statement.setReturnArrays(true)
    return () => read('read', () => (statement.get() as unknown as [number])[0])
  }) as [() => number, () => number, () => number, () => number]
  const incremental = 2
  // A file that was made without it would have to be written anew as a whole: it stays as large as it was.
  const canShrink = mode() === incremental
  return {
    usedBytes: () => (pages() - free()) * pageBytes(),
    hasSurplus: () => canShrink && free() > Math.max(freePagesMin, pages() * freeShareMax),
    /** @returns false when another process is writing: there is time until the next round. */
    shrink(): boolean {
      try {
        db.exec(`PRAGMA incremental_vacuum(${vacuumPages})`)
        return true
      } catch {
        return false
      }
    },
  }
}
