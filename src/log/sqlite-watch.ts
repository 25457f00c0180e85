/**
 * Watch over one log file for what other processes do to it: commits (PRAGMA data_version), changes of groups, deaths.
 * Own commits wake consumers directly and never pass here. Looks often while others write and seldom while they do not.
 */
import type { LocalConsumer } from './local-consumer.ts'
import type { Schedule } from './local-schedule.ts'
import type { SqliteFile } from './sqlite-file.ts'
import type { SqliteGroups } from './sqlite-groups.ts'
import type { Presence } from './sqlite-presence.ts'

export interface Watch {
  /** Looks for commits of others and notifies the consumers. */
  refresh(): void
  /** Looks again and again for as long as there are consumers. May be called when it already does. */
  start(): void
  stop(): void
}

export interface WatchOptions {
  readonly sqlite: SqliteFile
  readonly groups: SqliteGroups
  readonly presence: Presence
  readonly consumers: ReadonlySet<LocalConsumer>
  readonly schedule: Schedule
  /** The longest time between two looks for commits. */
  readonly pollMs: number
  /** The time between two looks for dead processes. */
  readonly lookMs: number
  readonly heartbeatMs: number
  /** Told of a commit of another process, before consumers are. */
  readonly onForeignCommit: () => void
  readonly onError: (error: unknown) => void
}

const busyPollMs = 1

export function createWatch(options: WatchOptions): Watch {
  const { sqlite, groups, presence, consumers, schedule, pollMs, lookMs, heartbeatMs } = options
  const { onForeignCommit, onError } = options
  const dataVersion = sqlite.db.prepare('PRAGMA data_version')
  dataVersion.setReturnArrays(true)
  let seenVersion: unknown
  let seenChanges = -1
  let peers: string[] = []
  let delayMs = busyPollMs
  let isEvicting = false
  let cancels: (() => void)[] = []

  function refresh(): void {
    sqlite.read('read', () => {
      const [version] = dataVersion.get() as unknown as [number]
      if (version === seenVersion) return
      const changes = groups.changes()
      // Only once all reads have succeeded: what was not passed on must be seen again.
      peers = changes === seenChanges ? peers : groups.processes().filter((name) => name !== presence.process)
      onForeignCommit()
      for (const consumer of consumers) {
        if (changes !== seenChanges) consumer.notifyGroup()
        consumer.notifyRecords()
      }
      seenVersion = version
      seenChanges = changes
      delayMs = busyPollMs
    })
  }

  async function evictGone(): Promise<void> {
    for (const name of presence.findGone(peers)) {
      await sqlite.transact('take a dead process out of', () => {
        if (groups.evict(name)) for (const consumer of consumers) consumer.notifyGroup()
        presence.removeFile(name)
      })
      peers = peers.filter((peer) => peer !== name)
    }
  }

  function look(): void {
    if (isEvicting) return
    isEvicting = true
    void evictGone()
      .catch(onError)
      .finally(() => (isEvicting = false))
  }

  /** Repeats until stopped; an error is reported and the next round comes all the same. */
  function repeat(slot: number, run: () => void, nextDelayMs: () => number): void {
    cancels[slot] = schedule(() => {
      try {
        run()
      } catch (error) {
        onError(error)
      }
      if (cancels.length > 0) repeat(slot, run, nextDelayMs)
    }, nextDelayMs())
  }

  return {
    refresh,
    start() {
      if (cancels.length > 0) return
      repeat(0, refresh, () => (delayMs = Math.min(delayMs * 1.25, pollMs)))
      repeat(1, look, () => lookMs)
      repeat(2, presence.beat, () => heartbeatMs)
    },
    stop() {
      for (const cancel of cancels) cancel()
      cancels = []
    },
  }
}
