/**
 * Position keeper. Gathers the positions that a group's handlers have passed and commits them together, on a cadence or when
 * told to. Owns the positions between the handler and the commit; a commit that fails puts them back.
 */
import { LogError, type Positions } from './event-log.ts'
import type { Schedule } from './local-schedule.ts'

export interface PositionKeeperOptions {
  readonly commit: (positions: Positions) => Promise<void>
  readonly schedule: Schedule
  readonly commitMs: number
  readonly onFenced: () => void
  readonly onError: (error: unknown) => void
}

export interface PositionKeeper {
  /** Notes that everything before `position` is handled. */
  move(topic: string, partition: number, position: number): void
  /** Commits what is there, after a commit that is still under way. */
  flush(): Promise<void>
  /** Drops what is not committed. */
  forget(): void
}

export function createPositionKeeper({
  commit,
  schedule,
  commitMs,
  onFenced,
  onError,
}: PositionKeeperOptions): PositionKeeper {
  let moved = new Map<string, Map<number, number>>()
  let cancel: (() => void) | undefined
  let last: Promise<void> = Promise.resolve()

  function move(topic: string, partition: number, position: number): void {
    let byPartition = moved.get(topic)
    if (!byPartition) moved.set(topic, (byPartition = new Map<number, number>()))
    byPartition.set(partition, position)
    arm()
  }

  function arm(): void {
    cancel ??= schedule(() => {
      cancel = undefined
      flush().catch((error: unknown) => {
        onError(error)
        arm()
      })
    }, commitMs)
  }

  async function commitMoved(): Promise<void> {
    if (moved.size === 0) return
    const taken = moved
    moved = new Map()
    try {
      await commit(taken)
    } catch (error) {
      if (error instanceof LogError && error.code === 'fenced') return onFenced()
      for (const [topic, byPartition] of moved) {
        const before = taken.get(topic)
        if (before) for (const [partition, position] of byPartition) before.set(partition, position)
        else taken.set(topic, byPartition)
      }
      moved = taken
      throw error
    }
  }

  function flush(): Promise<void> {
    const next = last.then(commitMoved)
    last = next.catch(() => {})
    return next
  }

  return {
    move,
    flush,
    forget() {
      cancel?.()
      cancel = undefined
      moved.clear()
    },
  }
}
