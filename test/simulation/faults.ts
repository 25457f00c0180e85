/**
 * Faults. What may go wrong in a simulation, by chance at any call (here) or planned at a step (plan.ts). Decides only whether;
 * sim-log.ts and cluster.ts do it. Counts what happened.
 */
import type { Random } from '../support/random.ts'

/** Faults of single calls, and how rarely they happen: once in so many calls. */
export const callFaults = {
  /** The log refuses: nothing is written. */
  'call refused': 25,
  /** The log does it and reports that it failed. */
  'answer lost': 25,
  /** A partition is claimed, or not, and the log reports that it was not. */
  'claim refused': 6,
  'claim lost': 6,
  /** A checkpoint goes to the topic of snapshots, or does not, and the log reports that it did not. */
  'snapshots refused': 20,
  'snapshots lost': 20,
  /** A batch is handled, and handed out once more. */
  'batch twice': 15,
  /** A batch is handled, then counts as failed and comes again after a back-off. */
  'batch again': 15,
  /** A batch fails before its handler sees it. */
  'batch refused': 30,
  /** The disk refuses a checkpoint. */
  'checkpoint refused': 8,
} as const

export type CallFault = keyof typeof callFaults

export interface Faults {
  /** Off while the world heals. */
  isOn: boolean
  /** Whether this fault happens at this call. */
  happens(kind: CallFault): boolean
  note(kind: string): void
  /** How often each kind happened. */
  readonly counts: ReadonlyMap<string, number>
}

/** Creates faults of these kinds only: with other kinds silent, each meets states that all together would hide. */
export function createFaults(random: Random, kinds: readonly CallFault[]): Faults {
  const counts = new Map<string, number>()
  const note = (kind: string): void => void counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return {
    isOn: true,
    happens(kind) {
      if (!this.isOn || !kinds.includes(kind) || !random.oneIn(callFaults[kind])) return false
      note(kind)
      return true
    },
    note,
    counts,
  }
}
