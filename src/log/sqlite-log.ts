/**
 * SQLite log: the embedded log, one file for all topics, written and read by one process or several. Appends and positions
 * of one turn of the event loop share one durable transaction; consumers of this process are woken by its commits, those of
 * other processes notice them within a few milliseconds.
 *
 * Q1: what a synced `append` has answered is on the disk; an ordered one, or a position, survives the processes (sqlite-file.ts, F2).
 * Q2: a member that dies loses its partitions at the next look, one that hangs after `sessionTimeoutMs`, and neither can
 *     commit afterwards.
 */
import { resolve } from 'node:path'
import { createBatcher } from './batcher.ts'
import { LogError, type AppendRecord, type Coordinates, type EventLog } from './event-log.ts'
import { recordBytesMaxDefault, sharedPartitionCount } from './local-append.ts'
import type { LocalConsumer } from './local-consumer.ts'
import { createLocalLog, type LocalBackend } from './local-log.ts'
import { scheduleOnLoop } from './local-schedule.ts'
import { openSqliteFile } from './sqlite-file.ts'
import { createSqliteGroups, type PositionsCommit } from './sqlite-groups.ts'
import { createPresence } from './sqlite-presence.ts'
import { createRetention, type RetentionOptions } from './sqlite-retention.ts'
import { createSqliteRecords, type SqlitePartition } from './sqlite-records.ts'
import { createWatch } from './sqlite-watch.ts'

export interface SqliteLogOptions {
  /** The log file. Beside it stand `-wal`, `-shm` and the folder `-members`. On a local disk: locks on network disks lie. */
  readonly file: string
  /** A process that is silent for so long loses its partitions (default 6 s). Death is noticed at once. */
  readonly sessionTimeoutMs?: number
  /** How often a process shows that it works (default 500 ms). */
  readonly heartbeatMs?: number
  /** How long positions of groups wait to be committed together (default 100 ms). */
  readonly commitMs?: number
  /** Key, value and headers of a record together (default 65 KiB). */
  readonly recordBytesMax?: number
  /** The longest time until another process's commit is noticed (default 20 ms; 1 ms while they come). */
  readonly pollMs?: number
  /** How long a write waits for another program's lock before it fails with `unavailable` (default 5 s). */
  readonly busyTimeoutMs?: number
  /** Which old records to delete (default: none). Compacted topics are compacted all the same. */
  readonly retention?: RetentionOptions
  /** Told of trouble that belongs to no call and no consumer. */
  readonly onError?: (error: unknown) => void
}

const lookMs = 50

type Write = AppendRecord | PositionsCommit
type Written = Coordinates | LogError | undefined

/** Opens the log, creating the file when it is missing. */
export function createSqliteLog(options: SqliteLogOptions): EventLog {
  const { sessionTimeoutMs = 6_000, heartbeatMs = 500, commitMs = 100, pollMs = 20, busyTimeoutMs = 5_000 } = options
  const { recordBytesMax = recordBytesMaxDefault, onError = () => {} } = options
  const file = resolve(options.file)
  const schedule = scheduleOnLoop
  const sqlite = openSqliteFile({ file, schedule, busyTimeoutMs })
  const consumers = new Set<LocalConsumer>()
  const records = createSqliteRecords(sqlite)
  const groups = createSqliteGroups(sqlite)
  const presence = createPresence({ file, sessionTimeoutMs, lookMs })
  const onForeignCommit = () => records.forgetTails()
  const seen = { sqlite, groups, presence, consumers, onForeignCommit, onError }
  const watch = createWatch({ ...seen, schedule, pollMs, lookMs, heartbeatMs })
  const keepAll = { readers: new Map(), settle: async () => {} }
  const retention = createRetention(options.retention ?? keepAll, { sqlite, records, groups, schedule, onError })
  const partitionsOf = new Map<string, number>()

  const batcher = createBatcher<Write, Written>({
    async write(writes) {
      const touched = new Set<SqlitePartition>()
      let timestampMs = 0
      const written = await sqlite.transact('append to', () => {
        // Inside the transaction: a write that waited for the lock is as young as what came before it.
        timestampMs = Date.now()
        return writes.map((write) =>
          'positions' in write ? groups.commit(write) : records.insert(write, timestampMs, touched),
        )
      })
      for (const [index, write] of writes.entries()) {
        if ('topic' in write) records.remember(write, written[index] as Coordinates, timestampMs)
      }
      for (const { topic, partition } of touched) {
        for (const consumer of consumers) consumer.notifyRecords(topic, partition)
      }
      return written
    },
  })

  /** Changes the group in one transaction and tells this process's members; other processes notice by themselves. */
  async function changeGroup<T>(groupId: string, change: () => T): Promise<T> {
    const result = await sqlite.transact('change a group in', change)
    for (const consumer of consumers) if (consumer.groupId === groupId) consumer.notifyGroup()
    return result
  }

  const backend: LocalBackend = {
    kind: 'sqlite',
    ...records,
    async append(appended, durability) {
      const coordinates = (await batcher.add(appended)) as Coordinates[]
      if (durability === 'synced') await sqlite.sync()
      return coordinates
    },
    sync: () => sqlite.sync(),
    refresh: watch.refresh,
    async join(groupId, topics) {
      partitionsOf.set(groupId, sharedPartitionCount(topics, records.partitionCount))
      const member = await changeGroup(groupId, () => {
        presence.enter()
        return groups.join(groupId, presence.process)
      })
      watch.start()
      retention.start()
      return member
    },
    // Its partitions go to others only when its process is gone (sqlite-presence.ts).
    isMember: () => true,
    leave: (groupId, member) => changeGroup(groupId, () => groups.leave(member)),
    claim: (groupId, member) =>
      sqlite.transact('claim partitions in', () => groups.claim(groupId, member, partitionsOf.get(groupId)!)),
    release: (groupId, member, partitions) => changeGroup(groupId, () => groups.release(groupId, member, partitions)),
    async commit(groupId, member, positions) {
      const [refusal] = await batcher.add([{ groupId, member, positions }])
      if (refusal instanceof LogError) throw refusal
    },
    committed: groups.committed,
    // Members are not asked where they can be reached: state is not handed over from owner to owner here (no `claim`).
    owners: () => new Map(),
    async dispose() {
      await Promise.all([batcher.idle(), retention.stop()])
      watch.stop()
      // Waits for the syncs that appends still wait for, too; their descriptor is closed with the file.
      await sqlite.sync()
      presence.leave()
      sqlite.close()
    },
  }
  return createLocalLog({ backend, consumers, schedule, commitMs, recordBytesMax })
}
