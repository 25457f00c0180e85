/**
 * Kafka consumer. The loop that delivers records to one handler: follows the assignment, fetches, calls the handler, moves positions.
 * Owns the partitions it holds; kafka-group owns the membership and runs beside it.
 *
 * D1: callbacks and the handler never overlap: all are called from this loop, one at a time.
 * D2: partitions are given back only when the handler has settled, positions are committed and `onRevoked` has resolved; only then
 *     does the group hear of it.
 * D3: nothing that a callback, a handler or the cluster throws ends the loop; it backs off and goes on until `stop`.
 */
import { LogError, type ConsumeOptions, type Consumer, type Positions } from './event-log.ts'
import type { KafkaClient } from './kafka-client.ts'
import { createKafkaCursors, type Cursor, type KafkaCursors, type Passed } from './kafka-cursors.ts'
import { protocolErrorType } from './kafka-errors.ts'
import { createKafkaHoldings } from './kafka-holdings.ts'
import { createKafkaGroup, type KafkaGroup, type KafkaGroupTimes, type Processes } from './kafka-group.ts'
import { createPositionKeeper, type PositionKeeper } from './local-positions.ts'
import { createSleeper, scheduleOnLoop } from './local-schedule.ts'
import { createReporter } from './reporter.ts'

export interface KafkaConsumerTimes extends KafkaGroupTimes {
  /** How long positions of the group wait to be committed together. */
  readonly commitMs: number
  /** How long a broker holds a fetch that finds nothing; also how late a resumed topic may begin. */
  readonly fetchWaitMs: number
  /** Most bytes of one partition in one fetch. */
  readonly fetchBytesMax: number
}

/** What a consumer needs beside its options. */
export interface KafkaConsumerContext {
  /** Opens a connection of the consumer's own. */
  readonly openClient: () => KafkaClient
  readonly processes: Processes
  readonly times: KafkaConsumerTimes
}

export interface KafkaConsumer extends Consumer {
  start(): void
  /** Ends the loop as a crash would: no commit, no leave. */
  crash(): void
}

const backOffMsMin = 20
const backOffMsMax = 1_000

export function createKafkaConsumer(
  { openClient, processes, times }: KafkaConsumerContext,
  options: ConsumeOptions,
): KafkaConsumer {
  const { groupId, topics, batchRecordsMax = 1_000 } = options
  const client = openClient()
  const sleeper = createSleeper(scheduleOnLoop)
  const report = createReporter(options)
  const onFetched = sleeper.wakeForRecords
  const cursors = createKafkaCursors({ cluster: client.cluster, batchRecordsMax, ...times, onFetched })
  let state: 'running' | 'stopping' | 'abandoned' = 'running'
  const holdings = createKafkaHoldings()
  let lost: PromiseWithResolvers<void> | undefined
  let leaving: Promise<void> | undefined
  /** Resolves when the loop has ended, or nobody waits for it any more. */
  const ended = Promise.withResolvers<void>()

  const group: KafkaGroup = createKafkaGroup({
    client,
    openClient,
    processes,
    groupId,
    topics,
    ...times,
    address: options.address,
    held: holdings.claimed,
    onAssigned(partitions) {
      if (holdings.assign(partitions)) group.rejoin()
      sleeper.wake()
    },
    onLost() {
      lost = Promise.withResolvers()
      holdings.lose()
      sleeper.wake()
      return lost.promise
    },
    onError: report,
  })

  async function commit(positions: Positions): Promise<void> {
    assertHeld(positions, lost ? [] : holdings.held(), groupId)
    await group.commit(positions)
  }

  const keeper = createKeeper(commit, times.commitMs, report)

  const isRunning = () => state === 'running'
  const hasChanged = () => lost !== undefined || holdings.hasChanged()

  /** Gives partitions back, then takes the ones that came. */
  async function follow(): Promise<void> {
    const wasLost = lost
    const surplus = holdings.surplus()
    if (wasLost) keeper.forget()
    if (surplus.length > 0) {
      await keeper.flush().catch(report)
      await revoke(surplus)
      // What could not be committed is not this member's to commit later.
      keeper.forget()
      holdings.giveBack(surplus)
      cursors.drop(surplus)
      if (!wasLost) group.rejoin()
    }
    if (wasLost) {
      lost = undefined
      wasLost.resolve()
    }
    const added = holdings.missing()
    if (added.length > 0 && isRunning() && !lost) await take(added)
  }

  async function revoke(surplus: readonly number[]): Promise<void> {
    try {
      await options.onRevoked?.(surplus)
    } catch (error) {
      report(error)
    }
  }

  async function take(added: readonly number[]): Promise<void> {
    holdings.take(added)
    try {
      await begin(added, { client, group, options, cursors, keeper })
    } catch (error) {
      holdings.untake(added)
      throw error
    }
  }

  async function deliver(): Promise<boolean> {
    const batch = cursors.collect()
    if (batch.records.length > 0) {
      await options.onBatch(batch.records)
      if (state === 'abandoned') return true
      keep(cursors.advance(batch), options, keeper)
    }
    const passed = cursors.collectPassed()
    if (passed.length === 0) return batch.records.length > 0
    await options.onPassed?.(toPositions(passed))
    if (state !== 'abandoned') keep(cursors.pass(passed), options, keeper)
    return true
  }

  async function turn(): Promise<void> {
    if (hasChanged()) return follow()
    if (await deliver()) return
    const failed = cursors.takeFailure()
    if (failed) return repair(failed.error, client, options, cursors, report)
    cursors.fetch()
    if (isRunning() && !hasChanged()) await sleeper.sleep()
  }

  async function run(): Promise<void> {
    let failures = 0
    while (isRunning()) {
      try {
        await turn()
        if (cursors.takeSuccess()) failures = 0
      } catch (error) {
        if (state === 'abandoned') return
        report(error)
        if (isRunning()) await sleeper.sleep(Math.min(backOffMsMin * 2 ** failures++, backOffMsMax))
      }
    }
    if (state === 'abandoned') return
    await keeper.flush().catch(report)
    keeper.forget()
    lost?.resolve()
    holdings.clear()
  }

  /** Ends the loop where it is; what a handler or a callback still does, counts for nothing. */
  function cut(): void {
    state = 'abandoned'
    keeper.forget()
    holdings.clear()
    lost?.resolve()
    sleeper.wake()
    ended.resolve()
  }

  async function leave(): Promise<void> {
    await group.stop()
    await client.close()
  }

  return {
    assigned: holdings.held,
    isConfirmed: () => isRunning() && lost === undefined && group.isConfirmed(),
    commit,
    pause: cursors.pause,
    resume(resumed) {
      cursors.resume(resumed)
      sleeper.wakeForRecords()
    },
    renounce(partitions) {
      holdings.renounce(partitions)
      sleeper.wake()
    },
    start() {
      group.start()
      void run().then(ended.resolve)
    },
    abandon: cut,
    async stop() {
      if (isRunning()) state = 'stopping'
      sleeper.wake()
      await ended.promise
      await (leaving ??= leave())
    },
    crash() {
      cut()
      group.abandon()
      client.destroy()
    },
  }
}

function keep(moved: readonly Cursor[], { positions }: ConsumeOptions, keeper: PositionKeeper): void {
  if (positions === 'own') return
  for (const { topic, partition, position } of moved) keeper.move(topic, partition, position)
}

function toPositions(passed: readonly Passed[]): Positions {
  const positions = new Map<string, Map<number, number>>()
  for (const { cursor, position } of passed) {
    const { topic, partition } = cursor
    positions.set(topic, (positions.get(topic) ?? new Map<number, number>()).set(partition, position))
  }
  return positions
}

function createKeeper(
  commit: (positions: Positions) => Promise<void>,
  commitMs: number,
  onError: (error: unknown) => void,
): PositionKeeper {
  // The group's next heartbeat notices the same as a commit that is fenced, and takes the partitions away.
  return createPositionKeeper({ commit, schedule: scheduleOnLoop, commitMs, onFenced: () => {}, onError })
}

/** @throws LogError `fenced` */
function assertHeld(positions: Positions, held: readonly number[], groupId: string): void {
  const foreign = [...positions.values()]
    .flatMap((byPartition) => [...byPartition.keys()])
    .find((it) => !held.includes(it))
  if (foreign === undefined) return
  throw new LogError(
    'fenced',
    `Cannot commit positions of group ${groupId}: this member does not own partition ${foreign}`,
  )
}

interface Beginning {
  readonly client: KafkaClient
  readonly group: KafkaGroup
  readonly options: ConsumeOptions
  readonly cursors: KafkaCursors
  readonly keeper: PositionKeeper
}

/** Finds where to begin: the caller's positions, else the group's, else where `startFrom` says. */
async function begin(added: readonly number[], { client, group, options, cursors, keeper }: Beginning): Promise<void> {
  const { topics, startFrom } = options
  const assignment = (await options.onAssigned?.(added)) ?? {}
  const action = `look up positions of group ${options.groupId}`
  const committed = await client.attempt(action, () => group.committed())
  cursors.pause(assignment.pausedTopics ?? [])
  for (const topic of topics) {
    const known = (partition: number) =>
      assignment.positions?.get(topic)?.get(partition) ?? committed.get(topic)?.get(partition)
    const fresh = added.filter((partition) => known(partition) === undefined)
    const initial = await client.attempt(action, () => lookUpOffsets(client, topic, fresh, startFrom))
    // Without this a member that dies before its first commit would make the next one skip what came meanwhile.
    if (options.positions === 'group' && startFrom === 'latest') {
      for (const [partition, position] of initial) keeper.move(topic, partition, position)
    }
    cursors.add(topic, new Map(added.map((partition) => [partition, known(partition) ?? initial.get(partition)!])))
  }
}

async function lookUpOffsets(
  { cluster }: KafkaClient,
  topic: string,
  partitions: readonly number[],
  from: ConsumeOptions['startFrom'],
): Promise<Map<number, number>> {
  if (partitions.length === 0) return new Map()
  const wanted = {
    topic,
    fromBeginning: from === 'earliest',
    partitions: partitions.map((partition) => ({ partition })),
  }
  const [found] = await cluster.fetchTopicsOffset([wanted])
  return new Map(found!.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
}

/** After a fetch that failed: a position that is no longer stored moves to the first one that is; else leaders are looked up again. */
async function repair(
  error: unknown,
  client: KafkaClient,
  options: ConsumeOptions,
  cursors: Beginning['cursors'],
  report: (error: unknown) => void,
): Promise<void> {
  const action = `read for group ${options.groupId}`
  const { topic, partition } = error as { topic?: string; partition?: number }
  if (protocolErrorType(error) !== 'OFFSET_OUT_OF_RANGE' || topic === undefined || partition === undefined) {
    await client.cluster.refreshMetadata().catch(() => {})
    throw client.toLogError(error, action)
  }
  const position = cursors.position(topic, partition)
  if (position === undefined) return
  const start = (await lookUpOffsets(client, topic, [partition], 'earliest')).get(partition)!
  cursors.seek(topic, partition, start)
  // Retention took records before they were read, or the topic was made anew: either way somebody should know.
  report(
    new LogError(
      'unavailable',
      `Cannot ${action}: ${topic}/${partition} has no offset ${position}; going on at ${start}`,
    ),
  )
}
