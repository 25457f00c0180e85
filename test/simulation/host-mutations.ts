/**
 * Host mutations. Programs in which a rule of handing partitions over is broken (mutations.ts): the claim, the checkpoint's way into
 * the topic of snapshots and back, and what an owner does when it has lost a partition.
 */
import { createClaim } from '../../src/log/claim.ts'
import {
  LogError,
  type Claim,
  type ClaimRecord,
  type Consumer,
  type ConsumeOptions,
  type EventLog,
  type TopicPartition,
} from '../../src/log/event-log.ts'
import type { Mutation } from './mutation.ts'
import type { SimProcess } from './scheduler.ts'

type ClaimOf = NonNullable<EventLog['claim']>
/** Appends through claims, as changed. `claim` claims anew. */
type ChangedAppend = (
  records: readonly ClaimRecord[],
  by: { claimed: Claim; claim: () => Promise<Claim>; log: EventLog; process: SimProcess },
) => Promise<number>

const onHosts =
  (change: (log: EventLog, process: SimProcess) => EventLog): NonNullable<Mutation['log']> =>
  (log, role, process) =>
    role === 'orders' && log.claim !== undefined ? change(log, process) : log

const claiming = (change: (at: TopicPartition, claim: ClaimOf, log: EventLog, process: SimProcess) => Promise<Claim>) =>
  onHosts((log, process) => ({ ...log, claim: (at) => change(at, log.claim!, log, process) }))

const appending = (append: ChangedAppend) =>
  claiming(async (at, claim, log, process) => {
    const claimed = await claim(at)
    return createClaim(at, (records) => append(records, { claimed, claim: () => claim(at), log, process }))
  })

const consuming = (
  change: (options: ConsumeOptions) => Partial<ConsumeOptions>,
  map = (consumer: Consumer) => consumer,
) =>
  onHosts((log) => ({
    ...log,
    consume: async (options) => map(await log.consume({ ...options, ...change(options) })),
  }))

const isHeld = ({ key }: ClaimRecord): boolean => key.startsWith(':held:')
const isPositions = ({ key }: ClaimRecord): boolean => key === ':positions'
const isJournal = ({ key }: ClaimRecord): boolean => !key.startsWith(':') && key.includes(':')

/** Where the topic will end if nobody else writes. */
async function endAfter(log: EventLog, { topic, partition }: TopicPartition, records: number): Promise<number> {
  return ((await log.ends([topic])).get(topic)?.[partition] ?? 0) + records
}

const readNothing = (log: EventLog): EventLog => ({
  ...log,
  read: (at, range) => (at.topic === 'order-snapshots' ? log.read(at, { from: 0, to: 0 }) : log.read(at, range)),
})

export const hostMutations: readonly Mutation[] = [
  {
    name: 'an owner that lost its partition goes on writing: no claim is ever refused',
    log: appending(async (records, { claimed, claim }) => {
      for (let writer = claimed; ; writer = await claim()) {
        try {
          return await writer.append(records)
        } catch (error) {
          if (!(error instanceof LogError && error.code === 'fenced')) throw error
        }
      }
    }),
  },
  {
    name: 'a partition is claimed when it is first written, not before it is read',
    log: claiming(async (at, claim) => {
      let claimed: Claim | undefined
      return createClaim(at, async (records) => (claimed ??= await claim(at)).append(records))
    }),
  },
  {
    name: 'a checkpoint is in the store before it is in the topic of snapshots',
    log: appending(async (records, { claimed, log, process }) => {
      const end = await endAfter(log, claimed, records.length)
      process.schedule(() => void claimed.append(records).catch(() => {}), 20)
      return end
    }),
  },
  {
    name: 'a checkpoint that the topic of snapshots refused is taken for written',
    log: appending(async (records, { claimed, log }) => {
      const end = await endAfter(log, claimed, 0)
      return claimed.append(records).catch(() => end)
    }),
  },
  {
    name: 'positions go to the topic before their snapshots, not in one transaction',
    log: appending(async (records, { claimed }) => {
      const end = await claimed.append(records.filter(isPositions))
      const others = records.filter((record) => !isPositions(record))
      return others.length === 0 ? end : claimed.append(others)
    }),
  },
  {
    name: 'a take-over does not read the topic of snapshots',
    log: onHosts(readNothing),
  },
  {
    name: 'a take-over forgets the journal',
    orderStore: (store) => ({ ...store, restore: (restored) => store.restore({ ...restored, chunks: [] }) }),
  },
  {
    name: 'a checkpoint goes to the topic without its journal',
    log: appending((records, { claimed }) => claimed.append(records.filter((record) => !isJournal(record)))),
  },
  {
    name: 'held records are not handed over',
    log: appending((records, { claimed }) => claimed.append(records.filter((record) => !isHeld(record)))),
  },
  {
    name: 'a lost partition stays in memory',
    log: consuming(() => ({ onRevoked: () => {} })),
  },
  {
    name: 'a partition that was lost without the group is not given back',
    log: consuming(
      () => ({}),
      (consumer) => ({ ...consumer, renounce() {} }),
    ),
  },
  {
    name: 'a host answers from rows of partitions that others own by now',
    orderStore: (store) => ({
      ...store,
      list: ({ partitions: _, ...query }) => store.list(query),
    }),
  },
  {
    name: 'the stream of one order goes on when its partition has gone',
    host: (host) => ({ ...host, gate: { ...host.gate, has: () => true } }),
  },
]
