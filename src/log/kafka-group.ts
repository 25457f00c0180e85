/**
 * Kafka group. One member's side of a consumer group: joins, assigns when it leads, sends heartbeats, commits, leaves. Owns the
 * membership, not the partitions: what is held is the consumer's to say, and is told to the leader at every join.
 *
 * G1: a rebalance waits for no handler. The member joins again at once, claiming what it still holds; what it is to give away it
 *     gives back later, by `rejoin` (kafka-assignor A3). So a slow handler never costs the membership.
 * G2: a member that was taken for dead joins again only after `onLost` has resolved: it then claims nothing.
 * G3: a member whose process is known to be gone is dismissed by the one that joins after it, which then need not wait for the
 *     rebalance time-out. It is dismissed after the join was sent: an empty group would wait for its initial delay (3 s by default).
 */
import { LogError, type Positions } from './event-log.ts'
import { assignPartitions, type GroupMember } from './kafka-assignor.ts'
import { AssignerProtocol, type KafkaBroker, type KafkaClient } from './kafka-client.ts'
import { protocolErrorType } from './kafka-errors.ts'
import { createSleeper, scheduleOnLoop } from './local-schedule.ts'

const { MemberAssignment, MemberMetadata } = AssignerProtocol
const protocolName = 'pizza-actors-copartition'
const backOffMsMax = 1_000

export interface KafkaGroupTimes {
  /** A member that sends no heartbeat for so long is dead; brokers allow no less than 6 s by default. */
  readonly sessionTimeoutMs: number
  /** How long a rebalance waits for members: what a live one needs to notice it by a heartbeat, and a dead one costs. */
  readonly rebalanceTimeoutMs: number
  readonly heartbeatMs: number
}

/** What tells a dead member from a slow one. */
export interface Processes {
  /** This process, among all that may be members: host, and the process number there. */
  readonly own: { readonly host: string; readonly pid: number }
  /** Whether a process of this host is alive. */
  readonly isAlive: (pid: number) => boolean
}

export interface KafkaGroupOptions extends KafkaGroupTimes {
  readonly client: KafkaClient
  readonly groupId: string
  readonly topics: readonly string[]
  readonly processes: Processes
  /** Where this member can be reached. */
  readonly address: string | undefined
  /** Opens another connection: the one that joins is blocked until all others have joined. */
  readonly openClient: () => KafkaClient
  /** Partition numbers that the consumer has not given back. */
  readonly held: () => readonly number[]
  readonly onAssigned: (partitions: readonly number[]) => void
  /** Others took this member for dead. Resolves when nothing is held any more. */
  readonly onLost: () => Promise<void>
  readonly onError: (error: unknown) => void
}

export interface KafkaGroup {
  start(): void
  /** Whether the coordinator cannot have given this member's partitions away yet. */
  isConfirmed(): boolean
  /** Asks for a new round, after partitions were given back. */
  rejoin(): void
  /** @throws LogError `fenced` when the member is no member any more, `unavailable`. */
  commit(positions: Positions): Promise<void>
  committed(): Promise<Positions>
  /** Leaves the group, so that others take over at once. */
  stop(): Promise<void>
  /** Ends without leaving, as a crash does. */
  abandon(): void
}

interface Membership {
  readonly memberId: string
  readonly generationId: number
}

export function createKafkaGroup(options: KafkaGroupOptions): KafkaGroup {
  const { client, groupId, topics, heartbeatMs, onError } = options
  const { cluster } = client
  const sleeper = createSleeper(scheduleOnLoop)
  let state: 'running' | 'stopping' | 'abandoned' = 'running'
  let coordinator: KafkaBroker | undefined
  let membership: Membership | undefined
  let mustJoin = true
  let joining = Promise.resolve()
  /** When the last request was sent that the coordinator has answered to this member as such. */
  let confirmedAt = -Infinity
  let finished: Promise<void> | undefined

  const isRunning = () => state === 'running'

  async function findCoordinator(): Promise<KafkaBroker> {
    return (coordinator ??= await cluster.findGroupCoordinator({ groupId }))
  }

  async function join(): Promise<void> {
    mustJoin = false
    await cluster.addMultipleTargetTopics(topics)
    const broker = await findCoordinator()
    const dead = membership === undefined ? await findDead(options, broker) : []
    const joined = joinAndSync(options, broker, membership?.memberId ?? '')
    if (dead.length > 0) void dismiss(options, dead)
    const { memberId, generationId, partitions, sentAt } = await joined
    membership = { memberId, generationId }
    confirmedAt = sentAt
    if (state !== 'abandoned') options.onAssigned(partitions)
  }

  async function recover(error: unknown, failures: number): Promise<void> {
    if (!isRunning()) return
    switch (protocolErrorType(error)) {
      case 'REBALANCE_IN_PROGRESS':
        mustJoin = true
        return
      case 'UNKNOWN_MEMBER_ID':
      case 'ILLEGAL_GENERATION':
      case 'FENCED_INSTANCE_ID':
        membership = undefined
        mustJoin = true
        onError(
          new LogError(
            'fenced',
            `Lost the partitions of group ${groupId}: others took this member for dead; joining again`,
          ),
        )
        await options.onLost()
        return
      default:
        // The coordinator may have moved or be away. The membership outlives that: it is asked for again by the next heartbeat.
        coordinator = undefined
        mustJoin ||= membership === undefined
        // A coordinator that moves or loads takes a moment; that is no trouble yet.
        if (failures >= 5 || !isCoordinatorMoving(error))
          onError(client.toLogError(error, `take part in group ${groupId}`))
        await sleeper.sleep(Math.min(50 * 2 ** failures, backOffMsMax))
        await cluster.refreshMetadata().catch(() => {})
    }
  }

  async function run(): Promise<void> {
    for (let failures = 0; isRunning();) {
      try {
        if (mustJoin) {
          const joined = join()
          joining = joined.catch(() => {})
          await joined.catch((error: unknown) => {
            // The membership may outlive it, but what made this member join does, too: partitions that it gave back are nobody's yet.
            mustJoin = true
            throw error
          })
        } else {
          const broker = await findCoordinator()
          const sentAt = performance.now()
          await broker.heartbeat({ groupId, ...toRequest(membership) })
          confirmedAt = sentAt
        }
        failures = 0
        if (isRunning() && !mustJoin) await sleeper.sleep(heartbeatMs)
      } catch (error) {
        await recover(error, failures++)
      }
    }
  }

  async function leave(): Promise<void> {
    if (!membership || state === 'abandoned') return
    await (await findCoordinator()).leaveGroup({ groupId, memberId: membership.memberId })
  }

  return {
    start() {
      finished = run()
    },
    // A rebalance that begins right after an answer waits this long for a member before it gives its partitions away.
    isConfirmed: () => membership !== undefined && performance.now() - confirmedAt < options.rebalanceTimeoutMs,
    rejoin() {
      mustJoin = true
      sleeper.wake()
    },
    async commit(positions) {
      const request = [...positions].map(([topic, byPartition]) => ({
        topic,
        partitions: [...byPartition].map(([partition, offset]) => ({ partition, offset: String(offset) })),
      }))
      await client.attempt(`commit positions of group ${groupId}`, async () => {
        // A join blocks the connection, and changes the generation.
        await joining
        const broker = await findCoordinator()
        if (!membership) throw new LogError('fenced', `Cannot commit positions of group ${groupId}: not a member`)
        try {
          await broker.offsetCommit({ groupId, ...toRequest(membership), topics: request })
        } catch (error) {
          // Told early: the next heartbeat would tell the same. REBALANCE_IN_PROGRESS is tried again after the join.
          if (protocolErrorType(error) === 'REBALANCE_IN_PROGRESS') mustJoin = true
          coordinator = undefined
          sleeper.wake()
          throw error
        }
      })
    },
    async committed() {
      return fetchCommitted(await findCoordinator(), groupId, toPartitions(topics, options))
    },
    async stop() {
      if (isRunning()) state = 'stopping'
      sleeper.wake()
      await finished
      await leave().catch(() => {})
      membership = undefined
    },
    abandon() {
      state = 'abandoned'
      sleeper.wake()
    },
  }
}

function isCoordinatorMoving(error: unknown): boolean {
  const type = protocolErrorType(error) ?? (error as Error).name
  return [
    'GROUP_LOAD_IN_PROGRESS',
    'GROUP_COORDINATOR_NOT_AVAILABLE',
    'NOT_COORDINATOR_FOR_GROUP',
    'KafkaJSGroupCoordinatorNotFound',
  ].includes(type)
}

function toRequest(membership: Membership | undefined) {
  return { memberId: membership?.memberId ?? '', groupGenerationId: membership?.generationId ?? -1 }
}

function toPartitions(topics: readonly string[], { client }: KafkaGroupOptions): Map<string, number[]> {
  return new Map(topics.map((topic) => [topic, partitionsOf(client, topic)]))
}

function partitionsOf({ cluster }: KafkaClient, topic: string): number[] {
  return cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId)
}

/** Positions that a group has committed; partitions without one are missing. */
export async function fetchCommitted(
  coordinator: KafkaBroker,
  groupId: string,
  partitionsByTopic: ReadonlyMap<string, readonly number[]>,
): Promise<Map<string, Map<number, number>>> {
  const topics = [...partitionsByTopic].map(([topic, numbers]) => ({
    topic,
    partitions: numbers.map((partition) => ({ partition })),
  }))
  const { responses } = await coordinator.offsetFetch({ groupId, topics })
  const positions = new Map<string, Map<number, number>>()
  for (const { topic, partitions } of responses) {
    const known = partitions.filter(({ offset }) => Number(offset) >= 0)
    positions.set(topic, new Map(known.map(({ partition, offset }) => [partition, Number(offset)])))
  }
  return positions
}

async function joinAndSync(options: KafkaGroupOptions, coordinator: KafkaBroker, memberId: string) {
  const { groupId, topics, held, sessionTimeoutMs, rebalanceTimeoutMs, processes, address } = options
  const userData = Buffer.from(JSON.stringify({ held: held(), ...processes.own, address } satisfies MemberData))
  const joined = await coordinator.joinGroup({
    groupId,
    memberId,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: rebalanceTimeoutMs,
    groupProtocols: [
      { name: protocolName, metadata: MemberMetadata.encode({ version: 1, topics: [...topics], userData }) },
    ],
  })
  const { generationId } = joined
  const groupAssignment = joined.leaderId === joined.memberId ? await assign(options, joined.members) : []
  const sentAt = performance.now()
  const synced = await coordinator.syncGroup({ groupId, generationId, memberId: joined.memberId, groupAssignment })
  const partitions = parseAssignment(synced.memberAssignment)
  return { memberId: joined.memberId, generationId, partitions, sentAt }
}

async function assign(options: KafkaGroupOptions, members: readonly { memberId: string; memberMetadata: Buffer }[]) {
  const { client, topics } = options
  await client.cluster.refreshMetadata()
  const counts = topics.map((topic) => partitionsOf(client, topic).length)
  const target = assignPartitions(members.map(toMember), Math.max(...counts))
  return [...target].map(([memberId, partitions]) => {
    const assignment = Object.fromEntries(
      topics.map((topic, i) => [topic, partitions.filter((partition) => partition < counts[i]!)]),
    )
    return {
      memberId,
      memberAssignment: MemberAssignment.encode({ version: 1, assignment, userData: Buffer.alloc(0) }),
    }
  })
}

/** What a member says of itself when it joins. */
interface MemberData {
  readonly held: readonly number[]
  readonly host: string
  readonly pid: number
  readonly address: string | undefined
}

/** @returns undefined for a member of another program, and while the group is changing: brokers show nothing then. */
function parseMetadata(memberMetadata: Buffer): MemberData | undefined {
  try {
    const data = JSON.parse(String(MemberMetadata.decode(memberMetadata)?.userData)) as Partial<MemberData> | null
    return Array.isArray(data?.held) ? (data as MemberData) : undefined
  } catch {
    return undefined
  }
}

function toMember({ memberId, memberMetadata }: { memberId: string; memberMetadata: Buffer }): GroupMember {
  return { memberId, held: parseMetadata(memberMetadata)?.held ?? [] }
}

function parseAssignment(memberAssignment: Buffer): number[] {
  const assignment = MemberAssignment.decode(memberAssignment)?.assignment ?? {}
  return [...new Set(Object.values(assignment).flat())].toSorted((a, b) => a - b)
}

/** The addresses of a group's members by the partition numbers that are theirs. */
export async function fetchOwners(coordinator: KafkaBroker, groupId: string): Promise<Map<number, string>> {
  const { groups } = await coordinator.describeGroups({ groupIds: [groupId] })
  const owners = new Map<number, string>()
  for (const { memberMetadata, memberAssignment } of groups.flatMap((group) => group.members)) {
    const address = parseMetadata(memberMetadata)?.address
    if (address === undefined) continue
    for (const partition of parseAssignment(memberAssignment)) owners.set(partition, address)
  }
  return owners
}

/** Members whose process ran on this host and is gone. Brokers show what members said of themselves while no rebalance is under way. */
async function findDead({ groupId, processes }: KafkaGroupOptions, coordinator: KafkaBroker): Promise<string[]> {
  const { groups } = await coordinator.describeGroups({ groupIds: [groupId] })
  const isDead = ({ memberMetadata }: { memberMetadata: Buffer }) => {
    const data = parseMetadata(memberMetadata)
    if (data?.host !== processes.own.host) return false
    return data.pid !== processes.own.pid && !processes.isAlive(data.pid)
  }
  const members = groups.flatMap((group) => group.members)
  return members.filter(isDead).map(({ memberId }) => memberId)
}

/** Takes dead members out of their group. Should that fail, the rebalance time-out does it. */
async function dismiss(
  { groupId, openClient, onError }: KafkaGroupOptions,
  memberIds: readonly string[],
): Promise<void> {
  const client = openClient()
  try {
    const coordinator = await client.cluster.findGroupCoordinator({ groupId })
    for (const memberId of memberIds) await coordinator.leaveGroup({ groupId, memberId })
  } catch (error) {
    // Another member that joins may have been first.
    if (protocolErrorType(error) !== 'UNKNOWN_MEMBER_ID')
      onError(client.toLogError(error, `dismiss the dead of ${groupId}`))
  } finally {
    await client.close()
  }
}
