/**
 * Local consumer. The loop of one group member over a log that this process reads directly (memory, file): follows the group,
 * collects batches, calls the handler, keeps the group's positions. Does no I/O itself; a LocalStore does.
 *
 * C1: everything happens in one loop, so callbacks and the handler never overlap, and a partition is released only when the
 *     handler has settled and its position is committed.
 * C2: a cursor moves only when the handler has resolved.
 * C3: every turn ends in the event loop, and reads `batchRecordsMax` records at most.
 */
import {
  LogError,
  type Assignment,
  type Consumer,
  type ConsumeOptions,
  type LogRecord,
  type Positions,
} from './event-log.ts'
import { createCursors, type Cursors } from './local-cursors.ts'
import type { Claim } from './local-group.ts'
import { createPositionKeeper, type PositionKeeper } from './local-positions.ts'
import { createSleeper, type Schedule } from './local-schedule.ts'
import { createReporter } from './reporter.ts'

/** What the loop needs of the log. Reads are short and synchronous; writes may wait for their turn. */
export interface LocalStore {
  /** Looks whether another process wrote, and notifies consumers. Called before every batch, so it must be cheap. */
  refresh(): void
  /** @param address where the member can be reached, for those logs that tell owners. */
  join(groupId: string, topics: readonly string[], address: string | undefined): Promise<string>
  leave(groupId: string, member: string): Promise<void>
  /** Must be cheap. */
  isMember(groupId: string, member: string): boolean
  /** Claims what is free and due to the member; undefined when it is no member any more. */
  claim(groupId: string, member: string): Promise<Claim | undefined>
  release(groupId: string, member: string, partitions: readonly number[]): Promise<void>
  /** @throws LogError `fenced` */
  commit(groupId: string, member: string, positions: Positions): Promise<void>
  committed(groupId: string, topics: readonly string[]): Positions
  page(topic: string, partition: number, from: number, recordsMax: number): LogRecord[]
  start(topic: string, partition: number): number
  end(topic: string, partition: number): number
}

export interface LocalConsumer extends Consumer {
  readonly groupId: string
  /** Joins the group and starts the loop. To be called once, when the owner is ready to pass notifications on. */
  start(): Promise<void>
  /** Records may have been appended: to one partition, or (no argument) to any. */
  notifyRecords(topic?: string, partition?: number): void
  /** Members or owners of the group changed. */
  notifyGroup(): void
  /** Ends the loop as a crash would: no commit, no leave. */
  crash(): void
}

export interface LocalConsumerOptions {
  readonly store: LocalStore
  readonly schedule: Schedule
  /** How long positions of the group wait to be committed together. */
  readonly commitMs: number
}

const backOffMsMin = 20
const backOffMsMax = 5_000

/** Creates a consumer that has not joined yet. */
export function createLocalConsumer(local: LocalConsumerOptions, options: ConsumeOptions): LocalConsumer {
  const { store, schedule, commitMs } = local
  const sleeper = createSleeper(schedule)
  const cursors = createCursors(options.topics, options.batchRecordsMax ?? 1_000, store.page)
  const report = createReporter(options)
  const membership = createMembership(store, options, cursors, report)
  const { commit } = membership
  const positions = createPositionKeeper({ commit, schedule, commitMs, onFenced: notifyGroup, onError: report })
  let state: 'running' | 'stopping' | 'abandoned' | 'crashed' = 'running'
  let groupChanged = true
  /** Resolves when the loop has ended, or nobody waits for it any more. */
  const ended = Promise.withResolvers<void>()

  const isRunning = () => state === 'running'
  const isAbandoned = () => state === 'abandoned' || state === 'crashed'

  function notifyGroup(): void {
    groupChanged = true
    sleeper.wake()
  }

  /** One round of the loop. @returns whether there was anything to do. */
  async function turn(): Promise<boolean> {
    store.refresh()
    if (groupChanged) {
      // Cleared first: a change that comes while this one is followed must be followed too.
      groupChanged = false
      try {
        if (await membership.follow(positions, isAbandoned)) groupChanged = true
      } catch (error) {
        groupChanged = true
        throw error
      }
      return true
    }
    const batch = cursors.collect()
    if (batch.records.length === 0) return false
    try {
      await options.onBatch(batch.records)
    } catch (error) {
      for (const cursor of batch.from) cursor.hasNews = true
      throw error
    }
    if (isAbandoned()) return false
    cursors.advance(batch)
    if (options.positions === 'own') return true
    for (const { topic, partition, position } of batch.from) positions.move(topic, partition, position)
    return true
  }

  async function run(): Promise<void> {
    let failures = 0
    while (isRunning()) {
      let delayMs: number | undefined
      try {
        const hasWorked = await turn()
        failures = 0
        if (hasWorked || groupChanged || cursors.hasNews()) delayMs = 0
      } catch (error) {
        if (!isAbandoned()) report(error)
        delayMs = Math.min(backOffMsMin * 2 ** failures++, backOffMsMax)
      }
      if (isRunning()) await sleeper.sleep(delayMs)
    }
    if (isAbandoned()) return dropOut()
    await positions.flush().catch(report)
    await membership.leave().catch(report)
    positions.forget()
  }

  /** Ends the loop where it is; what a handler or a callback still does, counts for nothing. */
  function cut(as: 'abandoned' | 'crashed'): void {
    state = as
    positions.forget()
    sleeper.wake()
  }

  /** Also at the end of an abandoned loop, which may have joined meanwhile. */
  async function dropOut(): Promise<void> {
    if (state !== 'crashed') await membership.leave().catch(report)
  }

  return {
    groupId: options.groupId,
    assigned: membership.owned,
    isConfirmed: membership.isMember,
    commit,
    pause: cursors.pause,
    resume(topics) {
      cursors.resume(topics)
      sleeper.wakeForRecords()
    },
    renounce(partitions) {
      membership.renounce(partitions)
      notifyGroup()
    },
    async start() {
      await membership.join()
      void run().then(ended.resolve)
    },
    abandon() {
      cut('abandoned')
      ended.resolve(dropOut())
    },
    async stop() {
      if (isRunning()) state = 'stopping'
      sleeper.wake()
      await ended.promise
    },
    notifyRecords(topic, partition) {
      if (cursors.markNews(topic, partition)) sleeper.wakeForRecords()
    },
    notifyGroup,
    crash() {
      cut('crashed')
      ended.resolve()
    },
  }
}

/** The member's side of its group: joins, takes what it is given, gives away what others are due. */
function createMembership(
  store: LocalStore,
  options: ConsumeOptions,
  cursors: Cursors,
  report: (error: unknown) => void,
) {
  const { groupId, topics, address } = options
  /** Of those owned, what the owner gives back. */
  const renounced = new Set<number>()
  /** Partitions are owned from the claim on; they get cursors when `onAssigned` has said where to begin. */
  const owned = new Set<number>()
  let member: string | undefined

  function drop(partitions: readonly number[]): void {
    cursors.drop(partitions)
    for (const partition of partitions) owned.delete(partition)
  }

  async function revoke(partitions: readonly number[]): Promise<void> {
    if (partitions.length === 0) return
    try {
      await options.onRevoked?.(partitions)
    } catch (error) {
      report(error)
    }
    drop(partitions)
  }

  async function begin(partitions: readonly number[], keeper: PositionKeeper): Promise<void> {
    const assignment: Assignment = (await options.onAssigned?.(partitions)) ?? {}
    const committed = store.committed(groupId, topics)
    cursors.pause(assignment.pausedTopics ?? [])
    const fromEnd: [string, number, number][] = []
    cursors.add(partitions, (topic, partition) => {
      const known = assignment.positions?.get(topic)?.get(partition) ?? committed.get(topic)?.get(partition)
      if (known !== undefined || options.startFrom === 'earliest')
        return Math.max(known ?? 0, store.start(topic, partition))
      const end = store.end(topic, partition)
      fromEnd.push([topic, partition, end])
      return end
    })
    // Without this a member that dies before its first commit would make the next one skip what came meanwhile.
    if (options.positions === 'group') for (const at of fromEnd) keeper.move(...at)
  }

  /** Gives partitions back, those that are not owned any more included: a release may be tried again. */
  async function giveBack(partitions: readonly number[], keeper: PositionKeeper, isAbandoned: () => boolean) {
    if (partitions.length === 0) return
    await keeper.flush()
    await revoke(partitions.filter((partition) => owned.has(partition)))
    if (isAbandoned()) return
    await store.release(groupId, member!, partitions)
    for (const partition of partitions) renounced.delete(partition)
  }

  return {
    renounce(partitions: readonly number[]): void {
      for (const partition of partitions) if (owned.has(partition)) renounced.add(partition)
    },
    owned: () => [...owned].toSorted((a, b) => a - b),
    isMember: () => member !== undefined && store.isMember(groupId, member),
    async join(): Promise<void> {
      member = await store.join(groupId, topics, address)
    },
    /** Brings the member in line with its group. @returns whether it has to look again. */
    async follow(keeper: PositionKeeper, isAbandoned: () => boolean): Promise<boolean> {
      if (member !== undefined) await giveBack([...renounced], keeper, isAbandoned)
      if (isAbandoned()) return false
      member ??= await store.join(groupId, topics, address)
      const claim = await store.claim(groupId, member)
      if (isAbandoned()) return false
      if (!claim) {
        keeper.forget()
        renounced.clear()
        member = undefined
        report(
          new LogError(
            'fenced',
            `Lost the partitions of group ${groupId}: others took this member for dead; joining again`,
          ),
        )
        await revoke([...owned])
        return true
      }
      await giveBack(claim.surplus, keeper, isAbandoned)
      if (isAbandoned()) return false
      for (const partition of claim.owned) owned.add(partition)
      const fresh = claim.owned.filter((partition) => !cursors.has(partition))
      if (fresh.length > 0 && !isAbandoned()) await begin(fresh, keeper)
      return false
    },
    commit(moved: Positions): Promise<void> {
      for (const byPartition of moved.values()) {
        for (const partition of byPartition.keys()) {
          if (member !== undefined && owned.has(partition)) continue
          const message = `Cannot commit positions of group ${groupId}: this member does not own partition ${partition}`
          return Promise.reject(new LogError('fenced', message))
        }
      }
      return member === undefined ? Promise.resolve() : store.commit(groupId, member, moved)
    },
    async leave(): Promise<void> {
      const left = member
      member = undefined
      drop([...owned])
      if (left !== undefined) await store.leave(groupId, left)
    },
  }
}
