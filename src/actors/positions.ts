/** Positions as maps (event-log.ts): small helpers. */
import type { Positions } from '../log/event-log.ts'

export type MutablePositions = Map<string, Map<number, number>>

/** Sets one position. */
export function setPosition(positions: MutablePositions, topic: string, partition: number, to: number): void {
  const ofTopic = positions.get(topic)
  if (ofTopic === undefined) positions.set(topic, new Map([[partition, to]]))
  else ofTopic.set(partition, to)
}

/** The ends of topics (`EventLog.ends`) as positions, of these partitions (default: all). */
export function toPositions(ends: ReadonlyMap<string, readonly number[]>, partitions?: readonly number[]): Positions {
  const isWanted = (partition: number): boolean => partitions?.includes(partition) ?? true
  return new Map(
    [...ends].map(([topic, ofTopic]) => [topic, new Map([...ofTopic.entries()].filter(([p]) => isWanted(p)))]),
  )
}

/** A copy of the positions of some partitions. */
export function pickPartitions(positions: Positions, isPicked: (partition: number) => boolean): MutablePositions {
  return new Map(
    [...positions].map(([topic, ofTopic]) => [
      topic,
      new Map([...ofTopic].filter(([partition]) => isPicked(partition))),
    ]),
  )
}

/**
 * Where a role that keeps its own positions reads on: at the stored position, or at the start of what the log still has. Every
 * partition is named, because for one that is missing the log would take the group's position, and a deleted store would stay empty.
 */
export function toReadPositions(
  stored: Positions,
  starts: ReadonlyMap<string, readonly number[]>,
  partitions: readonly number[],
): Positions {
  const positions: MutablePositions = new Map()
  for (const [topic, ofTopic] of starts) {
    for (const partition of partitions) {
      setPosition(
        positions,
        topic,
        partition,
        Math.max(stored.get(topic)?.get(partition) ?? 0, ofTopic[partition] ?? 0),
      )
    }
  }
  return positions
}
