/**
 * Outbox. Appends a role's outputs to the log in order, and says when they are durable; retries for as long as it takes.
 * Owns the outputs between a machine's emit and the log; decides nothing about positions.
 *
 * B1: records leave in the order they were put in, and one append is in flight at a time, so a retry cannot reorder a key.
 * B2: `settled` resolves when everything put in before the call is durable (`ordered`: it is derived from records of the same
 *     log, and can be derived again). Positions move only after it.
 * B3: an append whose outcome is unknown is repeated: every output is deterministic, so a double changes nothing.
 */
import { LogError, type AppendRecord, type EventLog } from '../log/event-log.ts'
import { createBackoff } from './backoff.ts'
import { systemClock, type Clock } from './clock.ts'

export interface Outbox {
  put(record: AppendRecord): void
  /** Resolves when everything put in so far is durable; rejects only when the outbox was stopped before that. */
  settled(): Promise<void>
  /** As `settled`; the outputs, and the records they were made from, are then `synced` as well (event-log.ts). */
  synced(): Promise<void>
  /** How many records are not durable yet. */
  readonly size: number
  /** Since when appends fail, in milliseconds since 1970; `undefined` while they work. */
  readonly failingSince: number | undefined
  /** Gives up what is left; `settled` then rejects with `closed`. */
  stop(): void
}

export interface OutboxOptions {
  readonly log: EventLog
  /** Told of each failed append with the number of the attempt. */
  readonly onError: (error: unknown, attempt: number) => void
  readonly batchRecordsMax?: number
  readonly clock?: Clock
}

/** Creates an empty outbox. */
export function createOutbox(options: OutboxOptions): Outbox {
  const { log, onError, batchRecordsMax = 1_000, clock = systemClock } = options
  const stopping = new AbortController()
  let queue: AppendRecord[] = []
  let unsettled = 0
  let failingSince: number | undefined
  let flushing: Promise<void> | undefined

  const flush = async (): Promise<void> => {
    // Records of the same turn of the event loop leave together.
    await Promise.resolve()
    while (queue.length > 0) {
      const batch = queue.length > batchRecordsMax ? queue.slice(0, batchRecordsMax) : queue
      queue = queue.length > batchRecordsMax ? queue.slice(batchRecordsMax) : []
      await appendUntilDurable(batch)
      unsettled -= batch.length
    }
    flushing = undefined
  }

  const appendUntilDurable = (batch: readonly AppendRecord[]): Promise<void> =>
    attempt(async () => {
      await log.append(batch, { durability: 'ordered' })
    })

  /** Repeats until it works or the outbox is stopped. */
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    const backoff = createBackoff({ signal: stopping.signal, clock })
    for (let count = 1; ; count++) {
      if (stopping.signal.aborted)
        throw new LogError('closed', 'The outbox was stopped before its records were durable')
      try {
        await work()
        failingSince = undefined
        return
      } catch (error) {
        failingSince ??= clock.now()
        onError(error, count)
        await backoff.wait()
      }
    }
  }

  const settled = (): Promise<void> => flushing ?? Promise.resolve()

  return {
    put(record) {
      queue.push(record)
      unsettled++
      if (flushing === undefined) {
        flushing = flush()
        // Whoever needs the outcome awaits `settled`; without a waiter the rejection after `stop` must not crash the process.
        flushing.catch(() => {})
      }
    },
    settled,
    async synced() {
      await settled()
      await attempt(() => log.sync())
    },
    get size() {
      return unsettled
    },
    get failingSince() {
      return failingSince
    },
    stop: () => stopping.abort(),
  }
}
