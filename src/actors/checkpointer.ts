/**
 * Checkpointer. Decides when state is written down, and writes it: one checkpoint at a time, soon after something changed.
 * Owns the journal feed: chunks are told to listeners once they are durable, so what was told never un-happens.
 *
 * K1: a cut is written only after the outputs put in before it are durable.
 * K2: a cut that the disk refused is kept and tried again, before any newer one.
 * K3: checkpoints take at most about a tenth of the time: a slow one delays the next.
 */
import type { Positions } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import { createBackoff } from './backoff.ts'
import { cutDirtyOrder, type LiveOrder } from './live-order.ts'
import type { Checkpoint, JournalChunk, OrderStore } from './order-store.ts'

export interface Checkpointer {
  /** Something was applied: write within `checkpointMs`, or at once when `dirtyCount` is at its limit. */
  soon(dirtyCount: number): void
  /** Resolves when everything applied before the call is in the store. */
  now(): Promise<void>
  onWritten(listener: (chunks: readonly JournalChunk[]) => void): () => void
  /** Since when the store refuses to write, in milliseconds since 1970; `undefined` while it works. */
  readonly failingSince: number | undefined
  /** Writes what is left, unless the outputs cannot become durable any more. */
  stop(): Promise<void>
}

export interface CheckpointerOptions {
  readonly store: OrderStore
  readonly logger: Logger
  readonly checkpointMs: number
  readonly checkpointOrdersMax: number
  /** Takes the dirty orders and the positions of this moment. */
  readonly cut: () => { orders: LiveOrder[]; positions: Positions }
  readonly outputsSettled: () => Promise<void>
  readonly written: (orders: readonly LiveOrder[], positions: Positions) => void
}

/** Creates a checkpointer that writes nothing until something was applied. */
export function createCheckpointer(options: CheckpointerOptions): Checkpointer {
  const { store, logger, checkpointMs, checkpointOrdersMax } = options
  const stopping = new AbortController()
  const listeners = new Set<(chunks: readonly JournalChunk[]) => void>()
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  let pauseMs = 0
  let failingSince: number | undefined

  const write = async (): Promise<void> => {
    const startedAt = performance.now()
    const { orders, positions } = options.cut()
    const dirty = orders.map(cutDirtyOrder)
    const spentMs = performance.now() - startedAt
    await options.outputsSettled()
    const writtenAt = performance.now()
    const chunks = await writeUntilDurable({ positions, orders: dirty })
    pauseMs = 9 * (spentMs + performance.now() - writtenAt)
    options.written(orders, positions)
    for (const listener of listeners) listener(chunks)
  }

  const writeUntilDurable = async (checkpoint: Checkpoint): Promise<JournalChunk[]> => {
    const backoff = createBackoff({ signal: stopping.signal })
    for (;;) {
      try {
        const chunks = store.checkpoint(checkpoint)
        failingSince = undefined
        return chunks
      } catch (error) {
        failingSince ??= Date.now()
        logger.error({ err: error, role: 'orders' }, 'Cannot write the state store; trying again')
        if (stopping.signal.aborted) throw error
        await backoff.wait()
      }
    }
  }

  const start = (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    running = write().finally(() => {
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
      if (!stopping.signal.aborted) logger.error({ err: error, role: 'orders' }, 'A checkpoint failed')
    })
  }

  return {
    soon(dirtyCount) {
      if (dirtyCount >= checkpointOrdersMax && running === undefined) writeNow()
      else timer ??= setTimeout(writeNow, Math.max(checkpointMs, pauseMs))
    },
    now,
    onWritten(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    get failingSince() {
      return failingSince
    },
    async stop() {
      clearTimeout(timer)
      stopping.abort()
      await now().catch(() =>
        logger.info({ role: 'orders' }, 'Stopped without a last checkpoint; the log repeats the rest'),
      )
    },
  }
}
