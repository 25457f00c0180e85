/**
 * Verify. Reads the log, folds every order from its records, and compares with what the shop wrote down: snapshots, journals and
 * the cheese report (P4, P7). Works beside a running shop, on the cut of its newest checkpoint.
 *
 * An order is too old to compare when the log has deleted one of the records it was made from, which its journal names. Its journal
 * must lead to its snapshot all the same.
 *
 * Large logs are folded in parts, so memory is bounded by `ordersPerPart` and not by the number of orders.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Coordinates, EventLog, LogRecord, Positions } from '../log/event-log.ts'
import { createOrderMachine } from '../machines/order.machine.ts'
import type { Recipe } from '../menu.ts'
import { parsePizza, parseTopped } from '../records.ts'
import type { Topics } from '../topics.ts'
import { createFold, type Fold } from './fold.ts'
import type { OrderMachine } from './live-order.ts'
import { parseEnvelope, type JournalEntry, type OrderSnapshot } from './order-envelope.ts'
import { foldJournal } from './order-view.ts'
import type { OrderStore, StoredOrder } from './order-store.ts'
import type { ReportStore } from './report-store.ts'

/** Something the shop wrote down that the log does not say, or the other way round. */
export interface Difference {
  /** An order id, or `report`. */
  readonly where: string
  readonly what: string
}

export interface Verdict {
  readonly orders: number
  readonly records: number
  /** Orders whose log has two answers (fold.ts, G2); only counted. */
  readonly ambiguous: number
  /** Orders of which the log has deleted records; only counted. */
  readonly tooOld: number
  /** The log has deleted records that the cheese report counts, so it is not compared. */
  readonly isReportTooOld: boolean
  readonly differences: readonly Difference[]
}

export interface VerifyOptions {
  readonly log: EventLog
  readonly recipe: Recipe
  readonly topics: Topics
  /** Absent: that part is not compared. Read-only handles. */
  readonly orderStore?: OrderStore
  readonly reportStore?: ReportStore
  readonly ordersPerPart?: number
  /** Told how many of how many records have been read, about every thousand. */
  readonly onProgress?: (read: number, total: number) => void
}

/** Compares the stores with the log. */
export async function verify(options: VerifyOptions): Promise<Verdict> {
  const { orderStore, reportStore } = options
  const progress = createProgress(options)
  const parts = [
    ...(orderStore ? [await verifyOrders(options, orderStore, progress)] : []),
    ...(reportStore ? [await verifyReport(options, reportStore, progress)] : []),
  ]
  return {
    orders: parts.reduce((sum, part) => sum + part.orders, 0),
    ambiguous: parts.reduce((sum, part) => sum + part.ambiguous, 0),
    tooOld: parts.reduce((sum, part) => sum + part.tooOld, 0),
    isReportTooOld: parts.some(({ isReportTooOld }) => isReportTooOld),
    records: progress.read,
    differences: parts.flatMap((part) => part.differences),
  }
}

type Part = Omit<Verdict, 'records'>

async function verifyOrders(options: VerifyOptions, store: OrderStore, progress: Progress): Promise<Part> {
  const { recipe, topics, ordersPerPart = 100_000 } = options
  const machine = createOrderMachine(recipe)
  const held = store.hold()
  const positions = store.positions()
  const { preparing, ready } = store.counts()
  const parts = Math.max(1, Math.ceil((preparing + ready) / ordersPerPart))
  const refused = await readRefused(options)
  await progress.expect(positions, [topics.orders, ...topics.toppingOf.keys()], parts)
  const agedUntil = store.agedUntil()
  const isAged = ({ value, context }: OrderSnapshot): boolean => value === 'ready' && context.readyAt < agedUntil
  /** While a partition is being taken over from another host, what there is of it is of no one moment. */
  const isWhole = ({ partition }: StoredOrder): boolean => positions.get(topics.orders)?.has(partition) === true
  const differences: Difference[] = []
  let ambiguous = 0
  let tooOld = 0
  for (let part = 0; part < parts; part++) {
    const isMine = (orderId: string): boolean => parts === 1 || hashId(orderId) % parts === part
    const fold = createFold(recipe, machine, isMine)
    await readInto(fold, options, positions, refused, progress)
    const isDeleted = await readDeleted(options, [topics.orders, ...topics.toppingOf.keys()])
    for (const stored of store.all()) {
      if (!isMine(stored.order_id) || !isWhole(stored)) continue
      const where = stored.order_id
      if (fold.isAmbiguous(where)) {
        ambiguous++
        continue
      }
      const entries = store.journal(where).flatMap((chunk) => chunk.entries)
      const isTooOld = entries.some(isDeleted)
      if (isTooOld) tooOld++
      else if (!fold.has(where)) {
        differences.push({ where, what: 'is in the store and not on the log' })
        continue
      }
      const snapshot = attempt(() => plain(parseEnvelope(stored.envelope, where).snapshot))
      if (snapshot === undefined) {
        differences.push({ where, what: 'its snapshot cannot be read' })
        continue
      }
      if (!isTooOld) differences.push(...compareWithLog(fold, where, snapshot))
      differences.push(...compareWithJournal(machine, { stored, snapshot, entries }))
    }
    for (const orderId of fold.orderIds) {
      if (store.load(orderId) === undefined && !isAged(fold.snapshot(orderId)))
        differences.push({ where: orderId, what: 'is on the log and not in the store' })
    }
  }
  held.release()
  return { orders: preparing + ready, ambiguous, tooOld, isReportTooOld: false, differences }
}

async function readInto(
  fold: Fold,
  options: VerifyOptions,
  positions: Positions,
  refused: ReadonlySet<string>,
  progress: Progress,
): Promise<void> {
  const { topics } = options
  const isPart = (record: LogRecord): boolean => !refused.has(toKey(record)) || isTaken(options, record)
  for await (const record of readTopic(options, topics.orders, positions, progress)) {
    if (isPart(record)) fold.place(record)
  }
  for (const [topic, topping] of topics.toppingOf) {
    for await (const record of readTopic(options, topic, positions, progress)) {
      if (isPart(record)) fold.top(record, topping)
    }
  }
}

/** Whether the log has deleted a record. Asked after reading: what is deleted meanwhile was perhaps not read. */
async function readDeleted({ log }: VerifyOptions, topics: readonly string[]): Promise<(at: Coordinates) => boolean> {
  const starts = await log.starts(topics)
  return ({ topic, partition, offset }) => offset < (starts.get(topic)?.[partition] ?? 0)
}

function compareWithLog(fold: Fold, where: string, snapshot: OrderSnapshot): Difference[] {
  const expected = plain(fold.snapshot(where))
  if (isDeepStrictEqual(snapshot, expected)) return []
  return [{ where, what: `snapshot differs from the log: stored ${brief(snapshot)}, log says ${brief(expected)}` }]
}

interface Written {
  readonly stored: StoredOrder
  readonly snapshot: OrderSnapshot
  readonly entries: readonly JournalEntry[]
}

function compareWithJournal(machine: OrderMachine, { stored, snapshot, entries }: Written): Difference[] {
  const where = stored.order_id
  const differences: Difference[] = []
  if (entries.length !== stored.version) {
    differences.push({ where, what: `journal has ${entries.length} events, the snapshot took ${stored.version}` })
  } else if (!isDeepStrictEqual(plain(foldJournal(machine, where, entries)), snapshot)) {
    differences.push({ where, what: 'journal does not lead to the snapshot' })
  }
  const isReady = snapshot.value === 'ready'
  if ((stored.status === 'ready') !== isReady) {
    differences.push({ where, what: `is listed as ${stored.status}, its snapshot is ${snapshot.value}` })
  }
  return differences
}

/** Each partition of the store is compared as of its own position: those that went to another reporter stay where they are. */
async function verifyReport(options: VerifyOptions, store: ReportStore, progress: Progress): Promise<Part> {
  const topic = options.topics.stages.get('cheese')!.to
  const held = store.hold()
  const positions = store.positions()
  const ofTopic = [...(positions.get(topic) ?? [])]
  const found = new Map(ofTopic.map(([partition]) => [partition, store.counts(partition)]))
  held.release()
  await progress.expect(positions, [topic], 1)
  const differences: Difference[] = []
  for (const [partition, position] of ofTopic) {
    const at = new Map([[topic, new Map([[partition, position]])]])
    const expected = await countCheeses(readTopic(options, topic, at, progress))
    const stored = found.get(partition)!
    for (const choice of new Set([...stored.keys(), ...expected.keys()])) {
      const [has, wanted] = [stored.get(choice) ?? 0, expected.get(choice) ?? 0]
      if (has === wanted) continue
      const what = `${choice}: the report counts ${has} on partition ${partition}, the log says ${wanted}`
      differences.push({ where: 'report', what })
    }
  }
  const starts = await options.log.starts([topic])
  const isReportTooOld = (starts.get(topic) ?? []).some((start) => start > 0)
  return { orders: 0, ambiguous: 0, tooOld: 0, isReportTooOld, differences: isReportTooOld ? [] : differences }
}

async function countCheeses(records: AsyncIterable<LogRecord>): Promise<Map<string, number>> {
  const counted = new Set<string>()
  const counts = new Map<string, number>()
  for await (const { value } of records) {
    const topped = attempt(() => parseTopped(value, 'cheese'))
    if (topped === undefined) continue
    if (topped.pizza_id !== undefined) {
      const pizza = `${topped.order_id}/${topped.pizza_id}`
      if (counted.has(pizza)) continue
      counted.add(pizza)
    }
    counts.set(topped.choice, (counts.get(topped.choice) ?? 0) + 1)
  }
  return counts
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch {
    return undefined
  }
}

/** Coordinates of the records that the order host refused: they are no part of any order. */
async function readRefused(options: VerifyOptions): Promise<ReadonlySet<string>> {
  const { log, topics } = options
  const ends = await log.ends([topics.deadLetters])
  const refused = new Set<string>()
  for (const [partition, to] of ends.get(topics.deadLetters)!.entries()) {
    for await (const page of log.read({ topic: topics.deadLetters, partition }, { from: 0, to })) {
      for (const { headers } of page) {
        if (headers?.['role'] === 'orders')
          refused.add(`${headers['topic']}/${headers['partition']}/${headers['offset']}`)
      }
    }
  }
  return refused
}

/** What was refused before a crash may be taken after it, because the order is known then. The journal says so. */
function isTaken({ orderStore }: VerifyOptions, { topic, partition, offset, value }: LogRecord): boolean {
  const orderId = attempt(() => parsePizza(value).order_id)
  if (orderId === undefined || orderStore === undefined) return false
  const entries = orderStore.journal(orderId).flatMap((chunk) => chunk.entries)
  return entries.some((entry) => entry.topic === topic && entry.partition === partition && entry.offset === offset)
}

function toKey({ topic, partition, offset }: LogRecord): string {
  return `${topic}/${partition}/${offset}`
}

async function* readTopic(
  { log }: VerifyOptions,
  topic: string,
  positions: Positions,
  progress: Progress,
): AsyncGenerator<LogRecord> {
  for (const [partition, to] of positions.get(topic) ?? []) {
    for await (const page of log.read({ topic, partition }, { from: 0, to })) {
      yield* page
      progress.advance(page.length)
    }
  }
}

interface Progress {
  readonly read: number
  /** That what the log has of these topics, below these positions, will be read so many times. */
  expect(positions: Positions, topics: readonly string[], times: number): Promise<void>
  advance(records: number): void
}

function createProgress({ log, onProgress }: VerifyOptions): Progress {
  let read = 0
  let total = 0
  return {
    get read() {
      return read
    },
    async expect(positions, topics, times) {
      for (const [topic, ofTopic] of await log.starts(topics)) {
        for (const [partition, end] of positions.get(topic) ?? [])
          total += Math.max(0, end - (ofTopic[partition] ?? 0)) * times
      }
    },
    advance(records) {
      read += records
      onProgress?.(read, total)
    },
  }
}

/** As JSON keeps it: `undefined` fields gone. */
function plain(snapshot: OrderSnapshot): OrderSnapshot {
  return JSON.parse(JSON.stringify(snapshot)) as OrderSnapshot
}

function brief({ value, context, children }: OrderSnapshot): string {
  const pizzas = Object.values(children).map(({ snapshot }) => `${snapshot.context.pizza_id}:${snapshot.value}`)
  return `${value} ${context.readyCount}/${context.count} (${pizzas.slice(0, 5).join(' ')}${pizzas.length > 5 ? ' …' : ''})`
}

function hashId(orderId: string): number {
  let h = 0
  for (let i = 0; i < orderId.length; i++) h = (Math.imul(h, 31) + orderId.charCodeAt(i)) | 0
  return h >>> 0
}
