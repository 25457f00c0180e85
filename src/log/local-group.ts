/**
 * Group plan. Decides which member of a group should own which partition; does no I/O and is a function of its input, so
 * every process that sees the same rows comes to the same plan.
 *
 * G1: partition counts of two members differ by one at most.
 * G2: a partition that its owner may keep stays (the lowest numbers first), so a change moves as few as it can.
 * G3: carrying out a part of the plan and planning again gives the owners that were planned.
 */

/** For each partition the member that should own it. `owners` holds the present owner of those that have one. */
export function planGroup(
  members: readonly string[],
  owners: ReadonlyMap<number, string>,
  partitions: number,
): Map<number, string> {
  const kept = new Map<string, number[]>(members.toSorted().map((member) => [member, []]))
  for (let partition = 0; partition < partitions; partition++) kept.get(owners.get(partition) ?? '')?.push(partition)
  const plan = new Map<number, string>()
  if (kept.size === 0) return plan
  // Who has an odd one already keeps it, and nothing has to move. All else goes by name and not by who has most, because a claim
  // changes who has most: members that plan one after the other would then each leave the same partition to another.
  const share = Math.floor(partitions / kept.size)
  const hasOdd = ([, mine]: [string, number[]]) => mine.length > share
  const ranked = [...[...kept].filter(hasOdd), ...[...kept].filter((one) => !hasOdd(one))]
  const odd = new Set(ranked.slice(0, partitions % kept.size).map(([member]) => member))
  const quota = (member: string) => share + (odd.has(member) ? 1 : 0)
  for (const [member, mine] of kept) {
    for (const partition of mine.slice(0, quota(member))) plan.set(partition, member)
  }
  let free = 0
  for (const [member, mine] of kept) {
    for (let missing = quota(member) - mine.length; missing > 0; missing--) {
      while (plan.has(free)) free++
      plan.set(free, member)
    }
  }
  return plan
}

/** What one member does next: the partitions it should claim or has, and those it has to give away. */
export interface Claim {
  readonly owned: readonly number[]
  readonly surplus: readonly number[]
}

/** Reads a member's part out of the plan; `take` is called for each free partition that it claims. */
export function claimPartitions(
  member: string,
  plan: ReadonlyMap<number, string>,
  owners: ReadonlyMap<number, string>,
  take: (partition: number) => void,
): Claim {
  const owned: number[] = []
  const surplus: number[] = []
  for (const [partition, planned] of [...plan].toSorted(([a], [b]) => a - b)) {
    const owner = owners.get(partition)
    if (owner === member) (planned === member ? owned : surplus).push(partition)
    if (owner === undefined && planned === member) {
      take(partition)
      owned.push(partition)
    }
  }
  return { owned, surplus }
}
