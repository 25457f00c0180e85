import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { claimPartitions, planGroup } from '../../src/log/local-group.ts'

const memberNames = ['a', 'b', 'c', 'd', 'e']
const group = fc
  .record({
    members: fc.uniqueArray(fc.constantFrom(...memberNames), { minLength: 1 }),
    partitions: fc.integer({ min: 0, max: 12 }),
    owners: fc.dictionary(fc.integer({ min: 0, max: 11 }).map(String), fc.constantFrom(...memberNames)),
  })
  .map(({ members, partitions, owners }) => ({
    members,
    partitions,
    // Owners that died have no rows left: only members own something.
    owners: new Map(
      Object.entries(owners)
        .map(([partition, owner]) => [Number(partition), owner] as const)
        .filter(([partition, owner]) => partition < partitions && members.includes(owner)),
    ),
  }))

const countOf = (plan: ReadonlyMap<number, string>, member: string) =>
  [...plan.values()].filter((one) => one === member).length

describe('A group plan', () => {
  it('gives every partition to one member, and members as many as each other, give or take one (G1)', () => {
    fc.assert(
      fc.property(group, ({ members, owners, partitions }) => {
        const plan = planGroup(members, owners, partitions)
        expect([...plan.keys()].toSorted((a, b) => a - b)).toEqual(Array.from({ length: partitions }, (_, i) => i))
        const counts = members.map((member) => countOf(plan, member))
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }),
    )
  })

  it('takes from an owner only what is above its share (G2), whatever the order of the rows', () => {
    fc.assert(
      fc.property(group, ({ members, owners, partitions }) => {
        const plan = planGroup(members, owners, partitions)
        for (const member of members) {
          const had = [...owners].filter(([, owner]) => owner === member).length
          const kept = [...owners].filter(
            ([partition, owner]) => owner === member && plan.get(partition) === member,
          ).length
          expect(kept).toBe(Math.min(had, countOf(plan, member)))
        }
        expect(planGroup(members.toReversed(), new Map([...owners].toReversed()), partitions)).toEqual(plan)
      }),
    )
  })

  it('settles, with one owner each, in whatever order members claim and release (G3)', () => {
    const order = fc.array(fc.nat(), { minLength: 40, maxLength: 40 })
    fc.assert(
      fc.property(group, order, ({ members, owners, partitions }, turns) => {
        const rows = new Map(owners)
        const step = (member: string) => {
          const { surplus } = claimPartitions(member, planGroup(members, rows, partitions), rows, (partition) => {
            expect(rows.has(partition)).toBe(false)
            rows.set(partition, member)
          })
          for (const partition of surplus) rows.delete(partition)
        }
        for (const turn of turns) step(members[turn % members.length]!)
        for (const member of [...members, ...members]) step(member)
        const settled = new Map(rows)
        for (const member of members) step(member)
        expect(rows).toEqual(settled)
        expect(rows).toEqual(planGroup(members, rows, partitions))
      }),
    )
  })

  it('is carried out when each member looked once after the last change, for a claim tells nobody (G3)', () => {
    const order = fc.array(fc.nat(), { minLength: 200, maxLength: 200 })
    fc.assert(
      fc.property(group, order, ({ members, owners, partitions }, turns) => {
        const rows = new Map(owners)
        let waiting = [...members]
        for (const turn of turns) {
          const [member] = waiting.splice(turn % Math.max(1, waiting.length), 1)
          if (member === undefined) break
          const plan = planGroup(members, rows, partitions)
          const { surplus } = claimPartitions(member, plan, rows, (partition) => rows.set(partition, member))
          for (const partition of surplus) rows.delete(partition)
          // A release is told to all, as joining and leaving are.
          if (surplus.length > 0) waiting = [...members]
        }
        expect(waiting).toEqual([])
        expect(rows).toEqual(planGroup(members, rows, partitions))
      }),
      { numRuns: 500 },
    )
  })

  it('moves only what a member that joins is due', () => {
    const owners = new Map([0, 1, 2, 3, 4, 5].map((partition) => [partition, partition < 3 ? 'a' : 'b']))
    const plan = planGroup(['a', 'b', 'c'], owners, 6)
    expect([0, 1, 2, 3, 4, 5].map((partition) => plan.get(partition))).toEqual(['a', 'a', 'c', 'b', 'b', 'c'])
  })
})
