/**
 * Tallies: what a role has done since it started, as plain numbers. Counting costs an addition and nothing else; whoever wants
 * metrics reads them when asked (metrics.ts).
 */
import { LogError } from '../log/event-log.ts'
import { recordErrorReasons } from '../records.ts'

export interface Tallies {
  /** Records taken from the log; those that come again after a failed batch count again. */
  recordsTaken: number
  /** By reason (dead-letters.ts). */
  readonly deadLetters: Map<string, number>
  /** Attempts to append that failed. */
  appendFailures: number
  /** Batches and reads that failed. */
  readFailures: number
  /** Times that the log took this member for dead. */
  fenced: number
  /** Times that partitions came or went. */
  rebalances: number
  /** Times that a consumer was replaced because it did nothing (supervisor.ts). */
  recycled: number
}

/** Creates tallies at zero. Each reason is there from the start: Prometheus sees no growth from nothing to one. */
export function createTallies(): Tallies {
  const deadLetters = new Map<string, number>(recordErrorReasons.map((reason) => [reason, 0]))
  return { recordsTaken: 0, deadLetters, appendFailures: 0, readFailures: 0, fenced: 0, rebalances: 0, recycled: 0 }
}

/** Counts what a consumer's `onError` was told. */
export function tallyReadFailure(tallies: Tallies, error: unknown): void {
  if (error instanceof LogError && error.code === 'fenced') tallies.fenced++
  else tallies.readFailures++
}
