/**
 * Order trial: a copy of the order host beside the running shop, to see what it would do with a record. It decides with the host's
 * own router on orders hydrated from the store and brought up to the end of the log, and writes nothing.
 *
 * Y1: what the store has plus what the log holds after it is the state of the shop at the end of the log, however old the store
 *     is, and without any store when the log is whole. Where records between the two were deleted it says so (`isComplete`).
 * Y2: what the host refused is no part of an order, although it can be read: the dead letters say which records these are.
 * Y3: `try` leaves no trace. What was taken by `take` stays, so that what is tried after it meets the orders as they would be then.
 */
import type { AppendRecord, Coordinates, EventLog, LogRecord } from '../log/event-log.ts'
import { placeKey } from '../log/placement.ts'
import { createOrderMachine } from '../machines/order.machine.ts'
import type { Recipe } from '../menu.ts'
import { parsePizza } from '../records.ts'
import type { Topics } from '../topics.ts'
import { createApplied } from './applied.ts'
import { findEnds } from './dead-letter-list.ts'
import { isMark, parseLetter } from './dead-letters.ts'
import { createHeldRecords } from './held-records.ts'
import { entriesAfter, type LiveOrder } from './live-order.ts'
import { createOrderCache } from './order-cache.ts'
import type { JournalEntry } from './order-envelope.ts'
import { silentRebuilds } from './order-rebuild.ts'
import { createOrderRouter } from './order-router.ts'
import type { OrderStore } from './order-store.ts'
import { toPositions } from './positions.ts'

export interface OrderTrialOptions {
  readonly log: EventLog
  readonly topics: Topics
  readonly recipe: Recipe
  /** The host's store, on a read-only handle that is held still. Missing: everything is read from the log. */
  readonly store?: Pick<OrderStore, 'load' | 'journal' | 'positions' | 'held'>
  /** The orders that records will be tried for. */
  readonly orderIds: ReadonlySet<string>
}

/** What the order host would do with a record. */
export type Tried =
  | { readonly outcome: 'takes'; readonly entry: JournalEntry }
  | { readonly outcome: 'ignores' }
  | { readonly outcome: 'refuses'; readonly why: string }

export interface OrderTrial {
  /** Tries a record as if it were appended now. */
  try(record: AppendRecord): Promise<Tried>
  /** Takes a record that will be appended, if its topic is one that the host reads. */
  take(record: AppendRecord): Promise<void>
  /** An order as it is, or would be after what was tried. */
  find(orderId: string): LiveOrder | undefined
  /** Where a record goes when it is appended; anywhere without a key. */
  partitionOf(record: AppendRecord): number
  /** Whether all that the order could have taken is in the store or still on the log. */
  isComplete(orderId: string): boolean
}

/** Creates the copy, brought up to the end of the log. @throws LogError. */
export async function createOrderTrial(options: OrderTrialOptions): Promise<OrderTrial> {
  const { log, topics, recipe, store = nothingStored, orderIds } = options
  const read = [topics.orders, ...topics.toppingOf.keys()]
  const [starts, ends] = await Promise.all([log.starts(read), log.ends(read)])
  const stored = store.positions()
  const partitions = ends.get(topics.orders)!.length
  const machine = createOrderMachine(recipe)
  const applied = createApplied()
  const last: { refusal?: string } = {}
  const router = createOrderRouter({
    topics,
    applied,
    held: createHeldRecords(Infinity),
    createCache: (effects) =>
      createOrderCache({ machine, recipe, store, effects, liveActorsMax: Infinity, rebuilds: silentRebuilds }),
    requestPizzas: () => {},
    isRequested: () => false,
    announceReady: () => {},
    refuse: (_record, error) => (last.refusal = error instanceof Error ? error.message : String(error)),
    repaired: () => {},
  })
  const { cache } = router
  const homes = homesOf(orderIds, partitions)
  const refused = await readRefused(log, topics.deadLetters, homes)
  const isWanted = (record: LogRecord): boolean =>
    orderIds.has(orderIdIn(record.value) ?? '') && !refused.has(toKey(record))
  const settle = () => router.settleHeld(async () => toPositions(ends))

  applied.load(stored)
  router.holdAgain(store.held().filter(isWanted))
  for (const partition of homes) {
    for (const topic of read) {
      const range = { from: stored.get(topic)?.get(partition) ?? 0, to: ends.get(topic)?.[partition] ?? 0 }
      if (range.from >= range.to) continue
      for await (const records of log.read({ topic, partition }, range)) router.apply(records.filter(isWanted))
    }
  }
  applied.load(toPositions(ends))
  await settle()

  const partitionOf = ({ key }: AppendRecord): number => placeKey(key ?? '', partitions)
  const next = new Map<string, number>()
  const toNext = ({ topic, key, value }: AppendRecord): LogRecord => {
    const partition = partitionOf({ topic, key, value })
    const offset = next.get(`${topic}/${partition}`) ?? ends.get(topic)![partition]!
    next.set(`${topic}/${partition}`, offset + 1)
    return { topic, partition, offset, key: toBuffer(key), value: toBuffer(value), timestampMs: Date.now() }
  }
  const apply = async (record: LogRecord): Promise<Tried> => {
    const orderId = orderIdIn(record.value) ?? ''
    const before = cache.get(orderId)?.version ?? 0
    delete last.refusal
    router.apply([record])
    await settle()
    if (last.refusal !== undefined) return { outcome: 'refuses', why: last.refusal }
    const order = cache.get(orderId)
    const entry = order && entriesAfter(order, before)[0]
    return entry === undefined ? { outcome: 'ignores' } : { outcome: 'takes', entry }
  }

  return {
    find: (orderId) => cache.get(orderId),
    partitionOf,
    isComplete(orderId) {
      const home = placeKey(orderId, partitions)
      return read.every((topic) => (starts.get(topic)?.[home] ?? 0) <= (stored.get(topic)?.get(home) ?? 0))
    },
    async try(appended) {
      const record = toNext(appended)
      const tried = await apply(record)
      const order = cache.get(orderIdIn(record.value) ?? '')
      if (tried.outcome === 'takes' && order !== undefined) cache.repair(order, [record])
      return tried
    },
    async take(appended) {
      if (read.includes(appended.topic)) await apply(toNext(appended))
    },
  }
}

/** The order a record names; `undefined` when it cannot be read. */
export function orderIdIn(value: Buffer | null): string | undefined {
  try {
    return parsePizza(value).order_id
  } catch {
    return undefined
  }
}

const nothingStored: Pick<OrderStore, 'load' | 'journal' | 'positions' | 'held'> = {
  load: () => undefined,
  journal: () => [],
  positions: () => new Map(),
  held: () => [],
}

/** Coordinates of the records that the host made dead letters: they have the key, and so the partition, of their record. */
async function readRefused(log: EventLog, topic: string, homes: ReadonlySet<number>): Promise<ReadonlySet<string>> {
  const refused = new Set<string>()
  const found = await findEnds(log, topic)
  for (const partition of homes) {
    const { start = 0, end = 0 } = found[partition] ?? {}
    for await (const records of log.read({ topic, partition }, { from: start, to: end })) {
      for (const record of records) {
        const letter = parseLetter(record)
        if (!isMark(letter) && letter.role === 'orders' && letter.source !== undefined)
          refused.add(toKey(letter.source))
      }
    }
  }
  return refused
}

function toKey({ topic, partition, offset }: Coordinates): string {
  return `${topic}/${partition}/${offset}`
}

/** An order and its toppings have their order id as their key, so they are on its partition. */
function homesOf(orderIds: ReadonlySet<string>, partitions: number): Set<number> {
  return new Set([...orderIds].map((orderId) => placeKey(orderId, partitions)))
}

function toBuffer(bytes: string | Buffer | null): Buffer | null {
  return typeof bytes === 'string' ? Buffer.from(bytes) : bytes
}
