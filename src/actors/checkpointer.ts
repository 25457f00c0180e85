/**
 * Checkpointer. Decides when state is written down, and writes it: one checkpoint at a time, soon after something changed.
 * Knows no orders and no store: a cut is what the owner takes at one moment, and writes in one transaction.
 *
 * K1: a cut is written only after the outputs put in before it, and the records it was made from, are durable.
 * K2: a cut that the disk refused is kept and tried again, before any newer one; once one was given up, none is written.
 * K3: checkpoints take at most about a tenth of the time: a slow one delays the next. Publishing costs others time, a cluster's brokers,
 *     and leaves this process free: it delays the next checkpoint as much, within a bound.
 */
import type { Logger } from '../logger.ts'
import { createBackoff } from './backoff.ts'
import { systemClock, type Clock } from './clock.ts'

export interface CheckpointStats {
  /** Checkpoints that are in the store. */
  readonly written: number
  /** Time they took of the event loop: to cut and to write, without waiting for the outputs. */
  readonly busyMs: number
  /** Writes that the disk refused. */
  readonly failures: number
  /** How old the oldest change is that is not in the store; 0 when everything is. */
  readonly ageMs: number
}

export interface Checkpointer<Written> {
  /** Something was applied: write within `checkpointMs`, or at once when `dirtyCount` is at its limit. */
  soon(dirtyCount: number): void
  /** Resolves when everything applied before the call is in the store. */
  now(): Promise<void>
  /** Whether a cut has been taken that is not in the store yet. */
  readonly isRunning: boolean
  /** Tells of each checkpoint once it is in the store. @returns a function that withdraws. */
  onWritten(listener: (written: Written) => void): () => void
  /** Since when the store refuses to write, in milliseconds since 1970; `undefined` while it works. */
  readonly failingSince: number | undefined
  stats(): CheckpointStats
  /** Writes what is left, unless the outputs cannot become durable any more. */
  stop(): Promise<void>
}

export interface CheckpointerOptions<Cut, Written> {
  readonly role: string
  readonly logger: Logger
  readonly checkpointMs: number
  readonly checkpointDirtyMax: number
  /** Takes the changes and the positions of this moment; from here on they count as written. */
  readonly cut: () => Cut
  /** Resolves when the role's outputs, and what they were made from, are durable. */
  readonly settled: () => Promise<void>
  /** Puts a cut where it has to be before it is written (default: nowhere). */
  readonly publish?: (cut: Cut) => Promise<void>
  /** Writes a cut in one transaction. Throws when the disk refuses. */
  readonly write: (cut: Cut) => Written
  readonly written?: (cut: Cut) => void
  readonly clock?: Clock
}

/** How many times as long as a checkpoint took the next one waits. */
const pauseFactor = 9
/** Changes wait no longer for the store because a cluster is slow. */
const publishPauseMsMax = 400

/** Creates a checkpointer that writes nothing until something was applied. */
export function createCheckpointer<Cut, Written>(options: CheckpointerOptions<Cut, Written>): Checkpointer<Written> {
  const { role, logger, checkpointMs, checkpointDirtyMax, clock = systemClock } = options
  const stopping = new AbortController()
  const listeners = new Set<(written: Written) => void>()
  let cancelTimer: (() => void) | undefined
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  let pauseMs = 0
  let failingSince: number | undefined
  let isLost = false
  let written = 0
  let failures = 0
  let busyMs = 0
  /** Since when something is applied that no cut has, and since when something that the running cut has. */
  let changedAt: number | undefined
  let cutChangedAt: number | undefined

  const checkpoint = async (): Promise<void> => {
    // A later cut has the positions of the lost one and not its changes: they would never be read again.
    if (isLost) throw new Error('An earlier checkpoint was given up')
    isLost = true
    const cutAt = clock.elapsed()
    cutChangedAt = changedAt
    changedAt = undefined
    const cut = options.cut()
    const cutMs = clock.elapsed() - cutAt
    await options.settled()
    const publishedAt = clock.elapsed()
    await options.publish?.(cut)
    const writtenAt = clock.elapsed()
    const result = await writeUntilDurable(cut)
    isLost = false
    const tookMs = cutMs + clock.elapsed() - writtenAt
    pauseMs = Math.max(pauseFactor * tookMs, Math.min(pauseFactor * (writtenAt - publishedAt), publishPauseMsMax))
    busyMs += tookMs
    written++
    cutChangedAt = undefined
    options.written?.(cut)
    for (const listener of listeners) listener(result)
  }

  const writeUntilDurable = async (cut: Cut): Promise<Written> => {
    const backoff = createBackoff({ signal: stopping.signal, clock })
    for (;;) {
      try {
        const result = options.write(cut)
        failingSince = undefined
        return result
      } catch (error) {
        failures++
        failingSince ??= clock.now()
        logger.error({ err: error, role }, 'Cannot write the state store; trying again')
        if (stopping.signal.aborted) throw error
        await backoff.wait()
      }
    }
  }

  const start = (): Promise<void> => {
    cancelTimer?.()
    cancelTimer = undefined
    running = checkpoint().finally(() => {
      running = undefined
    })
    return running
  }

  const now = (): Promise<void> => {
    if (running === undefined) return start()
    next ??= running
      .catch(() => {})
      .then(() => {
        next = undefined
        return start()
      })
    return next
  }

  const writeNow = (): void => {
    now().catch((error: unknown) => {
      if (!stopping.signal.aborted) logger.error({ err: error, role }, 'A checkpoint failed')
    })
  }

  return {
    soon(dirtyCount) {
      changedAt ??= clock.elapsed()
      if (dirtyCount >= checkpointDirtyMax && running === undefined) writeNow()
      else cancelTimer ??= clock.later(writeNow, Math.max(checkpointMs, pauseMs))
    },
    now,
    get isRunning() {
      return running !== undefined
    },
    onWritten(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    get failingSince() {
      return failingSince
    },
    stats() {
      const oldest = cutChangedAt ?? changedAt
      return { written, busyMs, failures, ageMs: oldest === undefined ? 0 : clock.elapsed() - oldest }
    },
    async stop() {
      cancelTimer?.()
      stopping.abort()
      await now().catch(() => logger.info({ role }, 'Stopped without a last checkpoint; the log repeats the rest'))
    },
  }
}
