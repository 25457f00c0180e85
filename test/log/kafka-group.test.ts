import { expect, test } from 'vitest'
import { AssignerProtocol, type KafkaBroker, type KafkaClient } from '../../src/log/kafka-client.ts'
import { createKafkaGroup } from '../../src/log/kafka-group.ts'

/** A coordinator that answers as the test says, for a group of one member and a topic of two partitions. */
function createCoordinator() {
  const calls: string[] = []
  let failure: Error | undefined
  const called = Promise.withResolvers<void>()
  let waiting = { name: '', count: 0, resolve: called.resolve }
  const note = (name: string): void => {
    calls.push(name)
    if (calls.filter((call) => call === waiting.name).length >= waiting.count) waiting.resolve()
  }
  const broker = {
    describeGroups: async () => ({ groups: [] }),
    async joinGroup() {
      note('join')
      const failed = failure
      failure = undefined
      if (failed) throw failed
      return { generationId: calls.length, leaderId: 'other', memberId: 'me', members: [] }
    },
    async syncGroup() {
      note('sync')
      const userData = Buffer.alloc(0)
      return {
        memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 1, assignment: { t: [0, 1] }, userData }),
      }
    },
    async heartbeat() {
      note('heartbeat')
    },
    async leaveGroup() {},
  } as unknown as KafkaBroker
  const client = {
    cluster: {
      findGroupCoordinator: async () => broker,
      addMultipleTargetTopics: async () => {},
      refreshMetadata: async () => {},
      findTopicPartitionMetadata: () => [],
    },
    toLogError: (error: unknown) => error,
  } as unknown as KafkaClient
  return {
    client,
    calls,
    failNextJoin: (error: Error) => void (failure = error),
    /** Resolves when something was asked for so often. */
    async until(name: string, count: number): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>()
      waiting = { name, count, resolve }
      if (calls.filter((call) => call === name).length >= count) resolve()
      await promise
    },
  }
}

test('A member whose join failed joins again, though it still is a member: what it gave back is nobody’s until then', async () => {
  const { client, failNextJoin, until } = createCoordinator()
  const assigned: (readonly number[])[] = []
  const again = Promise.withResolvers<void>()
  const group = createKafkaGroup({
    client,
    openClient: () => client,
    groupId: 'g',
    topics: ['t'],
    address: undefined,
    processes: { own: { host: 'h', pid: 1 }, isAlive: () => true },
    held: () => [0],
    onAssigned(partitions) {
      assigned.push(partitions)
      if (assigned.length === 2) again.resolve()
    },
    onLost: async () => {},
    onError: () => {},
    sessionTimeoutMs: 6_000,
    rebalanceTimeoutMs: 1_000,
    heartbeatMs: 5,
  })
  group.start()
  await until('heartbeat', 1)
  failNextJoin(Object.assign(new Error('moved'), { type: 'NOT_COORDINATOR_FOR_GROUP' }))
  group.rejoin()
  await again.promise
  expect(assigned).toEqual([
    [0, 1],
    [0, 1],
  ])
  await group.stop()
})
