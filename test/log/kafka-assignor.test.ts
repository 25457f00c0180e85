import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assignPartitions, type GroupMember } from '../../src/log/kafka-assignor.ts'

/** Runs rounds as a group does: who is to give a partition back does so, and another round follows, until nothing moves. */
function settle(
  members: readonly GroupMember[],
  partitionCount: number,
): { target: Map<string, number[]>; rounds: number } {
  let current = members
  for (let rounds = 1; ; rounds++) {
    const target = assignPartitions(current, partitionCount)
    const next = current.map(({ memberId }) => ({ memberId, held: target.get(memberId)! }))
    if (current.every(({ held }, i) => held.every((partition) => next[i]!.held.includes(partition))))
      return { target, rounds }
    current = next
  }
}

const memberIds = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,6}$/), { minLength: 1, maxLength: 6 })

/** Members that hold partitions, each held by one at most; some hold nothing, some partitions are free. */
const groups = fc.tuple(memberIds, fc.integer({ min: 1, max: 24 })).chain(([ids, partitionCount]) =>
  fc
    .array(fc.integer({ min: -1, max: ids.length - 1 }), { minLength: partitionCount, maxLength: partitionCount })
    .map((holders) => ({
      partitionCount,
      members: ids.map((memberId, i) => ({
        memberId,
        held: holders.flatMap((holder, p) => (holder === i ? [p] : [])),
      })),
    })),
)

describe('The assignor', () => {
  it('gives every partition to exactly one member, evenly, after at most two rounds', () => {
    fc.assert(
      fc.property(groups, ({ members, partitionCount }) => {
        const { target, rounds } = settle(members, partitionCount)
        expect([...target.values()].flat().toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: partitionCount }, (_, p) => p),
        )
        const sizes = [...target.values()].map((partitions) => partitions.length)
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
        expect(rounds).toBeLessThanOrEqual(2)
      }),
    )
  })

  it('never gives away what another member still holds', () => {
    fc.assert(
      fc.property(groups, ({ members, partitionCount }) => {
        const target = assignPartitions(members, partitionCount)
        for (const { memberId, held } of members) {
          for (const [other, partitions] of target) {
            if (other !== memberId) expect(partitions.filter((partition) => held.includes(partition))).toEqual([])
          }
        }
      }),
    )
  })

  it('moves nothing when the shares are even', () => {
    const members = [
      { memberId: 'b', held: [0, 3] },
      { memberId: 'a', held: [1, 2, 4] },
    ]
    expect(assignPartitions(members, 5)).toEqual(
      new Map([
        ['b', [0, 3]],
        ['a', [1, 2, 4]],
      ]),
    )
  })

  it('takes no more from a member than its share, when another joins', () => {
    const members = [
      { memberId: 'old', held: [0, 1, 2, 3] },
      { memberId: 'fresh', held: [] },
    ]
    expect(assignPartitions(members, 4)).toEqual(
      new Map([
        ['fresh', []],
        ['old', [0, 1]],
      ]),
    )
    expect(settle(members, 4).target).toEqual(
      new Map([
        ['fresh', [2, 3]],
        ['old', [0, 1]],
      ]),
    )
  })

  it('gives the partitions of a member that is gone to the others at once', () => {
    expect(assignPartitions([{ memberId: 'left', held: [0, 1] }], 4)).toEqual(new Map([['left', [0, 1, 2, 3]]]))
  })
})
