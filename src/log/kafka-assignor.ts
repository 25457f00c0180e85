/**
 * Kafka assignor. Decides which member of a group gets which partition numbers; pure.
 *
 * A1: a member gets the same partition numbers of every topic.
 * A2: numbers are spread evenly, and members keep what they hold as far as that allows.
 * A3: a number that another live member still holds goes to nobody: its holder gives it back first and asks for the next round
 *     (incremental cooperative rebalancing, as KIP-429), so that no number is ever with two members.
 */

export interface GroupMember {
  readonly memberId: string
  /** Partition numbers that it holds and has not given back. */
  readonly held: readonly number[]
}

/** @returns the partition numbers of each member, ascending. */
export function assignPartitions(members: readonly GroupMember[], partitionCount: number): Map<string, number[]> {
  const sorted = members.toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1))
  const holders = new Map<number, string>()
  for (const { memberId, held } of sorted) {
    for (const partition of held)
      if (partition < partitionCount && !holders.has(partition)) holders.set(partition, memberId)
  }
  const heldBy = (memberId: string) =>
    [...holders].flatMap(([partition, holder]) => (holder === memberId ? [partition] : []))
  const floor = Math.floor(partitionCount / sorted.length)
  // Those who hold most get the shares that are one larger: fewer partitions move.
  const byHeld = sorted.toSorted((a, b) => heldBy(b.memberId).length - heldBy(a.memberId).length)
  const shares = new Map(
    byHeld.map(({ memberId }, i) => [memberId, floor + (i < partitionCount % sorted.length ? 1 : 0)]),
  )
  const target = new Map(sorted.map(({ memberId }) => [memberId, heldBy(memberId).slice(0, shares.get(memberId))]))
  const kept = new Set([...target.values()].flat())
  const free = Array.from({ length: partitionCount }, (_, partition) => partition).filter(
    (partition) => !kept.has(partition),
  )
  for (const [memberId, partitions] of target) {
    const due = free.splice(0, shares.get(memberId)! - partitions.length)
    partitions.push(...due.filter((partition) => !holders.has(partition)))
    partitions.sort((a, b) => a - b)
  }
  return target
}
