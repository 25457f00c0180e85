/**
 * Memory log: the log port over plain arrays, for tests and for the simulation. Handles on one storage stand for processes.
 * Nothing here knows a clock or a timer but through `now` and `schedule`, so a seeded scheduler replays every run.
 *
 * M1: an append happens in one step of the scheduler: a crash before it loses the records, after it keeps them all.
 * M2: a crash takes the members of the handle out of their groups at once, as if the others had noticed.
 */
import { createBatcher } from './batcher.ts'
import { claimedSince } from './claim.ts'
import {
  LogError,
  type AppendRecord,
  type Coordinates,
  type EventLog,
  type LogRecord,
  type Positions,
  type TopicPartition,
} from './event-log.ts'
import {
  createPlacer,
  otherPartitionCount,
  recordBytesMaxDefault,
  sharedPartitionCount,
  unknownPartition,
  unknownTopic,
} from './local-append.ts'
import type { LocalConsumer } from './local-consumer.ts'
import { claimPartitions, planGroup } from './local-group.ts'
import { createLocalLog, type LocalBackend } from './local-log.ts'
import { scheduleOnLoop, type Schedule } from './local-schedule.ts'

type GroupStore = Pick<
  LocalBackend,
  'join' | 'leave' | 'isMember' | 'claim' | 'release' | 'commit' | 'committed' | 'owners'
>

interface MemoryPartition {
  /** Offset of the first record that is kept. */
  start: number
  records: LogRecord[]
  /** How many claims were made to it; the last one writes. */
  claims: number
}

interface MemoryMember {
  /** The handle it lives in. */
  readonly handle: object
  readonly address: string | undefined
}

interface MemoryGroup {
  readonly partitions: number
  readonly members: Map<string, MemoryMember>
  readonly owners: Map<number, string>
}

/** What all handles share: the records, and who reads them. */
export interface MemoryStorage {
  readonly topics: Map<string, MemoryPartition[]>
  readonly groups: Map<string, MemoryGroup>
  readonly committed: Map<string, Map<string, Map<number, number>>>
  readonly consumers: Set<LocalConsumer>
  members: number
  /** While true every write fails with `unavailable`. */
  isAway: boolean
}

export function createMemoryStorage(): MemoryStorage {
  const empty = { topics: new Map(), groups: new Map(), committed: new Map(), consumers: new Set<LocalConsumer>() }
  return { ...empty, members: 0, isAway: false }
}

/** Deletes the records of a partition below an offset, as retention would. */
export function deleteBelow(storage: MemoryStorage, at: TopicPartition, offset: number): void {
  const partition = partitionOf(storage, at.topic, at.partition)
  partition.records = partition.records.slice(Math.max(0, offset - partition.start))
  partition.start = Math.max(partition.start, offset)
}

/** Takes a member out of its group, as a log does that takes it for dead; the member itself learns of it when it claims or commits. */
export function evictMember(storage: MemoryStorage, groupId: string, pick: (count: number) => number): void {
  const members = [...(storage.groups.get(groupId)?.members.keys() ?? [])]
  const member = members[pick(members.length)]
  if (member !== undefined) removeMember(storage, groupId, member)
}

export interface MemoryLogOptions {
  readonly storage?: MemoryStorage
  readonly schedule?: Schedule
  readonly now?: () => number
  readonly recordBytesMax?: number
  readonly commitMs?: number
}

export interface MemoryLog extends EventLog {
  /** Ends the handle as kill -9 ends a process: handlers under way count for nothing, appends not yet written are lost. */
  crash(): void
}

function topicOf(storage: MemoryStorage, topic: string): MemoryPartition[] {
  const partitions = storage.topics.get(topic)
  if (!partitions) throw unknownTopic(topic)
  return partitions
}

function partitionOf(storage: MemoryStorage, topic: string, partition: number): MemoryPartition {
  const partitions = topicOf(storage, topic)
  const found = partitions[partition]
  if (!found) throw unknownPartition(topic, partition, partitions.length)
  return found
}

const endOf = ({ start, records }: MemoryPartition) => start + records.length

function copyPositions(positions: Map<string, Map<number, number>> | undefined, topics: readonly string[]): Positions {
  return new Map(topics.map((topic) => [topic, new Map(positions?.get(topic))]))
}

/** Groups of the storage, for the consumers of one handle. */
function createGroups(storage: MemoryStorage, handle: object): GroupStore {
  const groupOf = (groupId: string) => storage.groups.get(groupId)!
  return {
    async join(groupId, topics, address) {
      assertNotAway(storage)
      const partitions = sharedPartitionCount(topics, (topic) => topicOf(storage, topic).length)
      if (!storage.groups.has(groupId))
        storage.groups.set(groupId, { partitions, members: new Map(), owners: new Map() })
      // Numbers of equal length, so that the order of names is the order of joining.
      const member = `member-${String(++storage.members).padStart(9, '0')}`
      groupOf(groupId).members.set(member, { handle, address })
      notifyGroup(storage, groupId)
      return member
    },
    async leave(groupId, member) {
      removeMember(storage, groupId, member)
    },
    isMember: (groupId, member) => groupOf(groupId).members.has(member),
    async claim(groupId, member) {
      assertNotAway(storage)
      const { partitions, members, owners } = groupOf(groupId)
      if (!members.has(member)) return undefined
      const plan = planGroup([...members.keys()], owners, partitions)
      return claimPartitions(member, plan, owners, (partition) => owners.set(partition, member))
    },
    async release(groupId, member, partitions) {
      assertNotAway(storage)
      const { owners } = groupOf(groupId)
      for (const partition of partitions) if (owners.get(partition) === member) owners.delete(partition)
      notifyGroup(storage, groupId)
    },
    async commit(groupId, member, positions) {
      assertNotAway(storage)
      commitPositions(storage, groupId, member, positions)
    },
    committed: (groupId, topics) => copyPositions(storage.committed.get(groupId), topics),
    owners(groupId) {
      const { members, owners } = storage.groups.get(groupId) ?? {}
      const addresses = [...(owners ?? [])].map(([partition, member]) => [partition, members?.get(member)?.address])
      return new Map(addresses.filter((one): one is [number, string] => one[1] !== undefined))
    },
  }
}

function removeMember(storage: MemoryStorage, groupId: string, member: string): void {
  const group = storage.groups.get(groupId)!
  group.members.delete(member)
  for (const [partition, owner] of group.owners) if (owner === member) group.owners.delete(partition)
  notifyGroup(storage, groupId)
}

function notifyGroup(storage: MemoryStorage, groupId: string): void {
  for (const consumer of storage.consumers) if (consumer.groupId === groupId) consumer.notifyGroup()
}

function assertNotAway(storage: MemoryStorage): void {
  if (storage.isAway) throw new LogError('unavailable', 'Cannot write to the memory log: it was taken away')
}

function commitPositions(storage: MemoryStorage, groupId: string, member: string, positions: Positions): void {
  const { owners } = storage.groups.get(groupId)!
  for (const byPartition of positions.values()) {
    for (const partition of byPartition.keys()) {
      if (owners.get(partition) === member) continue
      throw new LogError(
        'fenced',
        `Cannot commit partition ${partition} of group ${groupId}: ${member} does not own it`,
      )
    }
  }
  const committed = storage.committed.get(groupId) ?? new Map<string, Map<number, number>>()
  storage.committed.set(groupId, committed)
  for (const [topic, byPartition] of positions) {
    committed.set(topic, new Map([...(committed.get(topic) ?? []), ...byPartition]))
  }
}

/** Writes records in one step and tells every consumer, of this handle or another. */
function writeRecords(
  storage: MemoryStorage,
  records: readonly AppendRecord[],
  place: ReturnType<typeof createPlacer>,
  timestampMs: number,
): Coordinates[] {
  assertNotAway(storage)
  return records.map((record) => {
    const { topic, key } = record
    return writeRecord(storage, { topic, partition: place(key, topicOf(storage, topic).length) }, record, timestampMs)
  })
}

function writeRecord(
  storage: MemoryStorage,
  { topic, partition }: TopicPartition,
  { key, value, headers }: Omit<AppendRecord, 'topic'>,
  timestampMs: number,
): Coordinates {
  const found = partitionOf(storage, topic, partition)
  const at = { topic, partition, offset: endOf(found) }
  const bytes = { key: toBytes(key), value: toBytes(value), timestampMs }
  found.records.push({ ...at, ...bytes, ...(headers && { headers: { ...headers } }) })
  for (const consumer of storage.consumers) consumer.notifyRecords(topic, partition)
  return at
}

const toBytes = (part: string | Buffer | null) => (part === null ? null : Buffer.from(part))

/** Creates a handle; handles that are given the same storage share the log. */
export function createMemoryLog(options: MemoryLogOptions = {}): MemoryLog {
  const { storage = createMemoryStorage(), schedule = scheduleOnLoop, now = Date.now, commitMs = 100 } = options
  const { recordBytesMax = recordBytesMaxDefault } = options
  const handle = {}
  const place = createPlacer()
  const consumers = createConsumerSet(storage.consumers)
  let isCrashed = false
  const batcher = createBatcher<AppendRecord, Coordinates>({
    schedule: (run) => void schedule(run, 0),
    write: (records) => (isCrashed ? new Promise(() => {}) : writeRecords(storage, records, place, now())),
  })
  const backend: LocalBackend = {
    kind: 'memory',
    ...createGroups(storage, handle),
    refresh() {},
    async ensureTopics(topics) {
      for (const { name, partitions } of topics) {
        const has = storage.topics.get(name)?.length ?? partitions
        if (has !== partitions) throw otherPartitionCount(name, has, partitions)
        if (storage.topics.has(name)) continue
        storage.topics.set(
          name,
          Array.from({ length: partitions }, () => ({ start: 0, records: [], claims: 0 })),
        )
      }
    },
    async claimPartition(at) {
      assertNotAway(storage)
      const partition = partitionOf(storage, at.topic, at.partition)
      const number = ++partition.claims
      return async (records) => {
        await new Promise<void>((resolve) => void schedule(resolve, 0))
        if (isCrashed) return new Promise(() => {})
        assertNotAway(storage)
        if (number !== partition.claims) throw claimedSince(at)
        for (const record of records) writeRecord(storage, at, record, now())
        return endOf(partition)
      }
    },
    partitionCount: (topic) => topicOf(storage, topic).length,
    append: (records) => batcher.add(records),
    sync: () => Promise.resolve(),
    page(topic, partition, from, recordsMax) {
      const { start, records } = partitionOf(storage, topic, partition)
      const first = Math.max(0, from - start)
      return records.slice(first, first + recordsMax)
    },
    start: (topic, partition) => partitionOf(storage, topic, partition).start,
    end: (topic, partition) => endOf(partitionOf(storage, topic, partition)),
    dispose: batcher.idle,
  }
  return {
    ...createLocalLog({ backend, consumers, schedule, commitMs, recordBytesMax }),
    crash() {
      isCrashed = true
      for (const consumer of consumers) consumer.crash()
      for (const consumer of consumers) consumers.delete(consumer)
      for (const [groupId, { members }] of storage.groups) {
        for (const [member, of] of members) if (of.handle === handle) removeMember(storage, groupId, member)
      }
    },
  }
}

/** The consumers of one handle; each is in the storage's set too, while it is here. */
function createConsumerSet(all: Set<LocalConsumer>): Set<LocalConsumer> {
  const mine = new Set<LocalConsumer>()
  const { add, delete: remove } = mine
  return Object.assign(mine, {
    add(consumer: LocalConsumer) {
      all.add(consumer)
      return add.call(mine, consumer)
    },
    delete(consumer: LocalConsumer) {
      all.delete(consumer)
      return remove.call(mine, consumer)
    },
  })
}
