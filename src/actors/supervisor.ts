/**
 * Supervisor: a consumer that is replaced by a new one when it does nothing though there is something to do: its handler hangs, its
 * connection swallows everything, or its group does not answer it.
 *
 * U1: a consumer is replaced after `stallMs` without a batch while its partitions have more, while a handler runs, or while its group
 *     does not confirm it; but not while the log does not answer, or its role says why it cannot work: a new one could do no better.
 * U2: what did not help is tried ever more rarely, so that a handler that always hangs does not keep the role busy with itself.
 * U3: the handler that hung counts for nothing once its consumer is replaced: the records come again.
 * U4: partitions that the role does not work on, though they are its own, are given back to the group.
 */
import { LogError, type ConsumeOptions, type Consumer, type EventLog } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import { systemClock, type Clock } from './clock.ts'
import type { Tallies } from './tallies.ts'

export interface SupervisorOptions {
  readonly log: EventLog
  readonly logger: Logger
  readonly role: string
  readonly tallies: Tallies
  /** Whether the role knows why it does not get on, and tells of it. */
  readonly isExcused: () => boolean
  /** Partitions of its own that the role does not work on (default: none). */
  readonly orphans?: () => readonly number[]
  readonly clock?: Clock
  /** Default 10,000. */
  readonly stallMs?: number
}

const checkMs = 1_000
/** Longest wait for the log, and for a role to give its partitions back, before a consumer is replaced. */
const answerMs = 2_000
/** Doublings of `stallMs`: five minutes at most. */
const doublingsMax = 5

/** Joins a group as `EventLog.consume` does; the consumer it gives may be another one underneath from time to time. */
export async function consumeSupervised(options: ConsumeOptions, supervisor: SupervisorOptions): Promise<Consumer> {
  const { log, logger, role, tallies, isExcused, orphans, clock = systemClock, stallMs = 10_000 } = supervisor
  let generation = 0
  let handlers = 0
  let progressAt = clock.elapsed()
  /** When the group was last seen to count on the consumer. A single look means little: a busy process is late with its heartbeats. */
  let confirmedAt = progressAt
  let inVain = 0
  let paused = new Set<string>()
  let replacing: Promise<void> | undefined
  let isStopped = false

  const open = (): Promise<Consumer> => {
    const mine = ++generation
    handlers = 0
    const watched = async (handle: () => void | Promise<void>): Promise<void> => {
      handlers++
      try {
        await handle()
        if (mine === generation) [progressAt, inVain] = [clock.elapsed(), 0]
      } finally {
        if (mine === generation) handlers--
      }
    }
    return log.consume({
      ...options,
      async onAssigned(partitions) {
        const assignment = (await options.onAssigned?.(partitions)) ?? {}
        if (mine !== generation) return assignment
        for (const topic of assignment.pausedTopics ?? []) paused.add(topic)
        progressAt = clock.elapsed()
        return assignment
      },
      onBatch: (records) => watched(() => options.onBatch(records)),
      onPassed: (positions) => watched(() => options.onPassed?.(positions)),
    })
  }
  let inner = await open()

  const isBehind = async (): Promise<boolean> => {
    const topics = options.topics.filter((topic) => !paused.has(topic))
    const [ends, committed] = await Promise.all([log.ends(topics), log.committed(options.groupId, topics)])
    if (handlers > 0 || isOverdue(confirmedAt)) return true
    return topics.some((topic) =>
      inner.assigned().some((partition) => {
        const position = committed.get(topic)?.get(partition)
        return position !== undefined && (ends.get(topic)?.[partition] ?? 0) > position
      }),
    )
  }

  const replace = async (): Promise<void> => {
    tallies.recycled++
    inVain = Math.min(inVain + 1, doublingsMax)
    const partitions = inner.assigned()
    logger.error(
      { role, partitions, handlers },
      'The consumer does nothing though there is something to do; replacing it',
    )
    inner.abandon()
    await Promise.race([Promise.resolve(options.onRevoked?.(partitions)).catch(() => {}), wait(clock, answerMs)])
    paused = new Set()
    progressAt = confirmedAt = clock.elapsed()
    inner = await open()
    if (isStopped) await inner.stop()
  }

  const isOverdue = (since: number): boolean => clock.elapsed() - since >= stallMs * 2 ** inVain

  const check = async (): Promise<void> => {
    if (inner.isConfirmed()) confirmedAt = clock.elapsed()
    const idle = orphans?.() ?? []
    if (idle.length > 0) inner.renounce(idle)
    if (!isOverdue(progressAt) || isExcused()) return
    const isStalled = await Promise.race([isBehind(), wait(clock, answerMs)]).catch((error: unknown) => {
      // Closed under it, as by a crash: there is nothing to watch over any more.
      if (error instanceof LogError && error.code === 'closed') isStopped = true
      return false
    })
    if (isStalled === true && !isStopped) await replace()
  }

  const watch = (): (() => void) =>
    clock.later(() => {
      replacing = check()
        .catch((error: unknown) => logger.error({ err: error, role }, 'The consumer cannot be replaced; trying again'))
        .finally(() => {
          replacing = undefined
          if (!isStopped) cancel = watch()
        })
    }, checkMs)
  let cancel = watch()

  return {
    assigned: () => inner.assigned(),
    isConfirmed: () => inner.isConfirmed(),
    commit: (positions) => inner.commit(positions),
    pause(topics) {
      for (const topic of topics) paused.add(topic)
      inner.pause(topics)
    },
    resume(topics) {
      for (const topic of topics) paused.delete(topic)
      inner.resume(topics)
    },
    renounce: (partitions) => inner.renounce(partitions),
    abandon() {
      isStopped = true
      cancel()
      inner.abandon()
    },
    async stop() {
      isStopped = true
      cancel()
      await replacing
      await inner.stop()
    },
  }
}

function wait(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.later(resolve, ms))
}
