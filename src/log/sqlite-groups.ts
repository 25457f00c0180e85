/**
 * Groups of the embedded log: members, owners of partitions and positions as rows of the log file, so that every process sees
 * and changes them in one order. Plans by local-group.ts.
 *
 * S1: a partition has one owner row or none; it is taken only when there is none.
 * S2: positions are written in a transaction that has seen the member own the partition. A member that was taken out is
 *     never put back under its name, so a late commit of it is refused (`fenced`).
 */
import { randomUUID } from 'node:crypto'
import { LogError, type Positions } from './event-log.ts'
import { claimPartitions, planGroup, type Claim } from './local-group.ts'
import type { SqliteFile } from './sqlite-file.ts'

export interface PositionsCommit {
  readonly groupId: string
  readonly member: string
  readonly positions: Positions
}

/** Statements on the group tables. All but `committed`, `changes` and `processes` are to be called inside a transaction. */
export interface SqliteGroups {
  join(groupId: string, name: string): string
  leave(member: string): void
  claim(groupId: string, member: string, partitions: number): Claim | undefined
  release(groupId: string, member: string, partitions: readonly number[]): void
  /** Takes every member of a process out of its group. @returns whether there was one. */
  evict(name: string): boolean
  /** @returns why the commit is refused, or undefined when it is written. */
  commit(commit: PositionsCommit): LogError | undefined
  committed(groupId: string, topics: readonly string[]): Positions
  /** By partition, what every group has passed that reads the topic; missing where an expected one has no position. */
  passed(topic: string, expected: readonly string[]): ReadonlyMap<number, number>
  /** A number that grows whenever members or owners of any group change. */
  changes(): number
  /** Processes that have members in any group. */
  processes(): string[]
}

export function createSqliteGroups({ db, read }: SqliteFile): SqliteGroups {
  const addMember = db.prepare('INSERT INTO members (member, group_id, process) VALUES (?, ?, ?)')
  const removeMember = db.prepare('DELETE FROM members WHERE member = ?')
  const membersOf = db.prepare('SELECT member FROM members WHERE group_id = ?')
  const membersIn = db.prepare('SELECT member FROM members WHERE process = ?')
  const distinctProcesses = db.prepare('SELECT DISTINCT process AS name FROM members')
  const ownersOf = db.prepare('SELECT partition, member FROM owners WHERE group_id = ?')
  const ownerOf = db.prepare('SELECT member FROM owners WHERE group_id = ? AND partition = ?')
  const addOwner = db.prepare('INSERT INTO owners (group_id, partition, member) VALUES (?, ?, ?)')
  const removeOwner = db.prepare('DELETE FROM owners WHERE group_id = ? AND partition = ? AND member = ?')
  const removeOwners = db.prepare('DELETE FROM owners WHERE member = ?')
  const setPosition = db.prepare(`
    INSERT INTO positions (group_id, topic, partition, position) VALUES (?, ?, ?, ?)
    ON CONFLICT (group_id, topic, partition) DO UPDATE SET position = excluded.position`)
  const positionsOf = db.prepare('SELECT partition, position FROM positions WHERE group_id = ? AND topic = ?')
  const positionsOn = db.prepare('SELECT group_id, partition, position FROM positions WHERE topic = ?')
  const countChange = db.prepare('UPDATE group_changes SET count = count + 1')
  const countOfChanges = db.prepare('SELECT count FROM group_changes')

  function leave(member: string): void {
    removeMember.run(member)
    removeOwners.run(member)
    countChange.run()
  }

  return {
    join(groupId, name) {
      const member = randomUUID()
      addMember.run(member, groupId, name)
      countChange.run()
      return member
    },
    leave,
    claim(groupId, member, partitions) {
      const members = (membersOf.all(groupId) as { member: string }[]).map((row) => row.member)
      if (!members.includes(member)) return undefined
      const rows = ownersOf.all(groupId) as { partition: number; member: string }[]
      const owners = new Map(rows.map((row) => [row.partition, row.member]))
      const plan = planGroup(members, owners, partitions)
      return claimPartitions(member, plan, owners, (partition) => addOwner.run(groupId, partition, member))
    },
    release(groupId, member, partitions) {
      for (const partition of partitions) removeOwner.run(groupId, partition, member)
      countChange.run()
    },
    evict(name) {
      const members = membersIn.all(name) as { member: string }[]
      for (const { member } of members) leave(member)
      return members.length > 0
    },
    commit({ groupId, member, positions }) {
      const partitions = new Set([...positions.values()].flatMap((byPartition) => [...byPartition.keys()]))
      for (const partition of partitions) {
        const owner = ownerOf.get(groupId, partition) as { member: string } | undefined
        if (owner?.member === member) continue
        const message = `Cannot commit positions of group ${groupId}: another member owns partition ${partition} or may take it`
        return new LogError('fenced', message)
      }
      for (const [topic, byPartition] of positions) {
        for (const [partition, position] of byPartition) setPosition.run(groupId, topic, partition, position)
      }
      return undefined
    },
    committed(groupId, topics) {
      return read('read', () => {
        const toPositions = (topic: string) => {
          const rows = positionsOf.all(groupId, topic) as { partition: number; position: number }[]
          return new Map(rows.map(({ partition, position }) => [partition, position]))
        }
        return new Map(topics.map((topic) => [topic, toPositions(topic)]))
      })
    },
    passed(topic, expected) {
      const rows = positionsOn.all(topic) as { group_id: string; partition: number; position: number }[]
      const least = new Map<number, number>()
      for (const { partition, position } of rows) {
        least.set(partition, Math.min(position, least.get(partition) ?? Infinity))
      }
      for (const partition of least.keys()) {
        const isThere = (name: string) => rows.some((row) => row.partition === partition && row.group_id === name)
        if (!expected.every(isThere)) least.delete(partition)
      }
      return least
    },
    changes: () => (countOfChanges.get() as { count: number }).count,
    processes: () => (distinctProcesses.all() as { name: string }[]).map(({ name }) => name),
  }
}
