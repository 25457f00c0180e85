/**
 * Handover: how the state of a partition gets from one owner to the next. The order host asks for it when partitions come and when
 * it checkpoints; where its store is the only copy there is nothing to do.
 */
import type { Checkpoint } from './order-store.ts'

export interface Handover {
  /** Before the first partition comes: gets what can be had while others own it, so that taking it over is short. */
  prepare(): Promise<void>
  /** Makes the store hold the newest checkpoint of these partitions, and this host the only one that can write another. @throws LogError */
  take(partitions: readonly number[]): Promise<void>
  /**
   * Puts a checkpoint where the next owner finds it. Partitions that it cannot be put for are lost: `onLost` was told of each.
   * @returns reads what of it may be written to the store; to be called in the turn in which it is written.
   */
  publish(checkpoint: Checkpoint): Promise<() => Checkpoint>
  /** These partitions are no longer this host's. */
  drop(partitions: readonly number[]): void
  /** What it has done, for metrics. */
  stats(): HandoverStats
  stop(): void
}

export interface HandoverStats {
  /** Records and bytes that were read to take partitions over. */
  readonly restoredRecords: number
  readonly restoredBytes: number
  /** Bytes that were read to follow partitions of other owners. */
  readonly followedBytes: number
  /** Checkpoints that were refused because another owner had taken the partition. */
  readonly refused: number
}

/** For a store that is the only copy: every partition stays where it is. */
export const keptHere: Handover = {
  prepare: async () => {},
  take: async () => {},
  publish: async (checkpoint) => () => checkpoint,
  drop: () => {},
  stats: () => ({ restoredRecords: 0, restoredBytes: 0, followedBytes: 0, refused: 0 }),
  stop: () => {},
}
