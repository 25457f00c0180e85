/**
 * Redrive: takes dead letters' records once more. First a plan, which changes nothing and says of each what would come of it; then
 * what the plan allows is appended.
 *
 * X1: a record is appended as it was, key and value byte for byte, to the topic it was on. Its key leads it to its partition.
 * X2: the mark that a dead letter was redriven is appended after the record is durable. A crash between the two leaves the dead
 *     letter as it was, so it may be appended twice: a duplicate, which every reader ignores when it names its pizza. One without
 *     pizza id cannot be told from another: it then tops the next pizza that misses the topping, and the report counts it twice.
 * X3: marks are read again right before the append, so of two people who redrive at once only those within the same moment append
 *     twice, with the consequences of X2.
 */
import { LogError, type AppendRecord, type Coordinates, type EventLog } from '../log/event-log.ts'
import type { Recipe } from '../menu.ts'
import type { Topics } from '../topics.ts'
import type { DeadLetterDesk, Original } from './dead-letter-desk.ts'
import { findEnds } from './dead-letter-list.ts'
import { toMark, toRedriven, type DeadLetter, type RedriveMark } from './dead-letters.ts'
import { createOrderTrial, orderIdIn, type OrderTrial } from './order-trial.ts'
import type { OrderStore } from './order-store.ts'
import { judgeRedrive, type Effect } from './redrive-judge.ts'
import type { ReportStore } from './report-store.ts'

export interface RedriveParts {
  readonly log: EventLog
  readonly topics: Topics
  readonly recipe: Recipe
  readonly desk: DeadLetterDesk
  /** Read-only handles that are held still; missing where they are on another machine. */
  readonly orderStore?: OrderStore
  readonly reportStore?: ReportStore
}

/** What would come of one dead letter. */
export interface Planned {
  readonly id: string
  readonly letter?: DeadLetter
  readonly isRefused: boolean
  /** Why it is refused, or what it is for. */
  readonly text: string
  readonly effects: readonly Effect[]
  /** What to know before it is done. */
  readonly note?: string
  /** What will be appended; missing when it is refused. */
  readonly record?: AppendRecord
}

/** What came of one dead letter. */
export interface Redriven {
  readonly id: string
  readonly outcome: 'redriven' | 'refused' | 'failed'
  readonly text: string
  /** Where the record stands: `topic/partition/offset`. */
  readonly appended?: string
}

/** Records of one append, and after it of one append of marks. */
const chunkMax = 100

const keyless =
  'it has no key, so the log chooses its partition; an orders process that has other partitions refuses it'

/** A copy of the order host that knows the orders of these records. */
export function openTrial(parts: RedriveParts, originals: Iterable<Original | undefined>): Promise<OrderTrial> {
  const { orderStore: store } = parts
  const orderIds = new Set<string>()
  for (const original of originals) {
    const orderId = original && orderIdIn(original.record.value)
    if (orderId !== undefined) orderIds.add(orderId)
  }
  return createOrderTrial({ ...parts, orderIds, ...(store && { store }) })
}

/** A dead letter that was asked for; `undefined` when there is none of this id. */
export interface Chosen {
  readonly id: string
  readonly letter: DeadLetter | undefined
}

/** Plans the redrive of dead letters: orders before toppings, then oldest first. @throws LogError. */
export async function planRedrive(parts: RedriveParts, chosen: readonly Chosen[]): Promise<Planned[]> {
  const { desk, topics } = parts
  const found: Found[] = []
  for (const { id, letter } of chosen) found.push({ id, letter, original: letter && (await desk.findOriginal(letter)) })
  const isOrder = ({ original }: Found): number => (original?.record.topic === topics.orders ? 0 : 1)
  const ageOf = ({ original }: Found): number => original?.record.timestampMs ?? 0
  found.sort((a, b) => isOrder(a) - isOrder(b) || ageOf(a) - ageOf(b))
  const originals = found.map(({ original }) => original)
  const trial = await openTrial(parts, originals)
  await desk.readMarks(found.flatMap(({ letter }) => letter ?? []))
  const planned: Planned[] = []
  for (const one of found) planned.push(await planOne(parts, trial, one))
  return planned
}

interface Found extends Chosen {
  readonly original: Original | undefined
}

/** Plans one dead letter, whose marks were read. The trial then has its orders as they would be after it. */
export async function planOne(parts: RedriveParts, trial: OrderTrial, found: Found): Promise<Planned> {
  const { desk, topics, recipe, reportStore } = parts
  const { id, letter, original } = found
  const refuse = (text: string, effects: readonly Effect[] = []): Planned => ({
    id,
    ...(letter && { letter }),
    isRefused: true,
    text,
    effects,
  })
  if (letter === undefined) return refuse('there is no such dead letter')
  const mark = desk.markOf(id)
  if (mark !== undefined) return refuse(toMarked(mark))
  if (original === undefined) return refuse('it does not say which record it came from')
  if (original.state === 'cut') {
    return refuse('the record is not on the log any more, and the copy here was cut: the rest is gone')
  }
  const record = toRedriven(id, original.record)
  const judge = { topics, recipe, trial, ...(reportStore && { reportStore }) }
  const { isWorthIt, text, effects } = await judgeRedrive(judge, letter.role, record)
  if (!isWorthIt) return refuse(text, effects)
  await trial.take(record)
  return { id, letter, isRefused: false, text, effects, record, ...(record.key === null && { note: keyless }) }
}

/** Does what a plan allows, telling of each dead letter as it goes. Safe to repeat (X2). @throws LogError when the log cannot take more. */
export async function* redrive(parts: RedriveParts, planned: readonly Planned[]): AsyncGenerator<Redriven> {
  for (const { id, text, isRefused } of planned) if (isRefused) yield { id, outcome: 'refused', text }
  const open = planned.flatMap(({ id, text, letter, record }): Open[] =>
    letter === undefined || record === undefined ? [] : [{ id, text, letter, record }],
  )
  for (let from = 0; from < open.length; from += chunkMax) {
    yield* appendChunk(parts, open.slice(from, from + chunkMax))
  }
}

interface Open {
  readonly id: string
  readonly text: string
  readonly letter: DeadLetter
  readonly record: AppendRecord
}

async function* appendChunk(parts: RedriveParts, chunk: readonly Open[]): AsyncGenerator<Redriven> {
  const { log, topics, desk } = parts
  const topic = topics.deadLetters
  const left: Open[] = []
  await desk.readMarks(chunk.map(({ letter }) => letter))
  for (const one of chunk) {
    const mark = desk.markOf(one.id)
    if (mark === undefined) left.push(one)
    else yield { id: one.id, outcome: 'refused', text: toMarked(mark) }
  }
  if (left.length === 0) return
  const appended = await appendAll(log, left)
  if (appended instanceof LogError) {
    // The header that names the dead letter was too much for one of them.
    if (left.length > 1) for (const one of left) yield* appendChunk(parts, [one])
    else yield { id: left[0]!.id, outcome: 'failed', text: appended.message }
    return
  }
  const partitions = (await findEnds(log, topic)).length
  await log.append(left.map(({ letter }, index) => toMark(topic, letter, partitions, appended[index]!)))
  for (const [index, { id, text }] of left.entries()) {
    const { topic: to, partition, offset } = appended[index]!
    yield { id, outcome: 'redriven', text, appended: `${to}/${partition}/${offset}` }
  }
}

async function appendAll(log: EventLog, chunk: readonly Open[]): Promise<Coordinates[] | LogError> {
  try {
    return await log.append(chunk.map(({ record }) => record))
  } catch (error) {
    if (error instanceof LogError && error.code === 'record-too-large') return error
    throw error
  }
}

function toMarked({ atMs, appended }: RedriveMark): string {
  return `already redriven at ${new Date(atMs).toISOString()}, to ${appended}`
}
