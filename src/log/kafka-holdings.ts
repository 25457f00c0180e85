/**
 * Kafka holdings. Which partitions a member holds, and which it is to hold; says what to give back and what to take. Does no I/O.
 *
 * H1: what a member was given counts as claimed, taken or not: it may take it while a join is under way, and then no other may have it.
 * H2: what was renounced is given back, also when a round that went on meanwhile left it here; the round after that assigns it.
 */

export function createKafkaHoldings() {
  let held: readonly number[] = []
  let target: readonly number[] = []
  /** Of those held, what the owner gives back. */
  const renounced = new Set<number>()

  const surplus = () => held.filter((partition) => renounced.has(partition) || !target.includes(partition))
  const missing = () => target.filter((partition) => !held.includes(partition))

  return {
    /** Ascending. */
    held: () => held,
    /** What to tell the group, so that nobody else is given it (H1). */
    claimed: () => [...new Set([...held, ...target])],
    surplus,
    missing,
    hasChanged: () => surplus().length > 0 || missing().length > 0,
    /**
     * What the group has assigned.
     * @returns whether the group has to be told that something claimed is free: it was not taken yet, and so is given back already.
     */
    assign(partitions: readonly number[]): boolean {
      const isFree = missing().some((partition) => !partitions.includes(partition))
      target = partitions
      return isFree
    },
    renounce(partitions: readonly number[]): void {
      for (const partition of partitions) if (held.includes(partition)) renounced.add(partition)
    },
    take(partitions: readonly number[]): void {
      held = [...held, ...partitions].toSorted((a, b) => a - b)
    },
    /** Taking did not succeed: to be taken again. */
    untake(partitions: readonly number[]): void {
      held = held.filter((partition) => !partitions.includes(partition))
    },
    giveBack(partitions: readonly number[]): void {
      held = held.filter((partition) => !partitions.includes(partition))
      target = target.filter((partition) => !partitions.includes(partition))
      for (const partition of partitions) renounced.delete(partition)
    },
    /** Nothing is assigned any more; what is held is to be given back. */
    lose(): void {
      target = []
    },
    clear(): void {
      held = []
      target = []
      renounced.clear()
    },
  }
}
