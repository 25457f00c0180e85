/**
 * Redrive judge. Says what would come of a dead letter's record if it were appended once more: what each reader of its topic would do
 * with it, and whether that is worth doing. The rules are the roles' own: the order host's router on a copy (order-trial.ts), the
 * topping services' `topPizza`, the reporter's parser and what it has counted.
 *
 * Z1: a redrive is for the role that refused the record: where that role would refuse or ignore it again, nothing is appended,
 *     whatever other readers would do with it.
 * Z2: a topping service passes everything on, so what counts is what comes of its output: the judge follows it to the last topic.
 */
import type { AppendRecord, LogRecord } from '../log/event-log.ts'
import type { Recipe, Step } from '../menu.ts'
import { parseOrder, parseTopped } from '../records.ts'
import type { Topics } from '../topics.ts'
import type { OrderTrial } from './order-trial.ts'
import { isCounted } from './report-fold.ts'
import type { ReportStore } from './report-store.ts'
import { topPizza } from './topping-service.ts'

/** What one reader would do with the record. */
export interface Effect {
  readonly role: string
  /** `passes-on`: makes its own record of it, which `then` tells about. `unknown`: this machine cannot tell. */
  readonly outcome: 'takes' | 'passes-on' | 'ignores' | 'refuses' | 'unknown'
  readonly text: string
  /** Whether anything of the shop would be another than before. */
  readonly changes: boolean
}

export interface Judgement {
  readonly isWorthIt: boolean
  /** Why it is refused, or what it is for. */
  readonly text: string
  /** Of every reader of the topic, in the order of the work. */
  readonly effects: readonly Effect[]
}

export interface JudgeOptions {
  readonly topics: Topics
  readonly recipe: Recipe
  readonly trial: OrderTrial
  /** Missing: it is not on this machine. */
  readonly reportStore?: Pick<ReportStore, 'counted' | 'positions'>
}

/** Judges a record that `role` refused. */
export async function judgeRedrive(options: JudgeOptions, role: string, record: AppendRecord): Promise<Judgement> {
  const effects = await follow(options, record)
  if (effects.length === 0) {
    return { isWorthIt: false, text: `no role of this shop reads the topic ${record.topic}`, effects }
  }
  const own = effects.filter((effect) => effect.role === role)
  // A role that does not read the topic any more, or never did: then any reader will do.
  const [first, ...rest] = own.length > 0 ? own : effects
  const worth = [first!, ...rest].find(({ changes, outcome }) => changes || outcome === 'unknown')
  if (worth !== undefined) return { isWorthIt: true, text: worth.text, effects }
  if (first!.outcome === 'refuses')
    return { isWorthIt: false, text: `would be a dead letter again: ${first!.text}`, effects }
  return { isWorthIt: false, text: `${first!.text}: nothing would change`, effects }
}

/** What every reader of the record's topic would do with it. */
async function follow(options: JudgeOptions, record: AppendRecord): Promise<Effect[]> {
  const { topics, recipe } = options
  const effects: Effect[] = []
  if (record.topic === topics.orders || topics.toppingOf.has(record.topic))
    effects.push(await askOrders(options, record))
  for (const step of recipe) {
    const stage = topics.stages.get(step.topping)!
    if (stage.from === record.topic) effects.push(await askTopping(options, step, stage.to, record))
  }
  if (topics.stages.get('cheese')?.to === record.topic) effects.push(askReporter(options, record))
  return effects
}

async function askOrders({ topics, trial }: JudgeOptions, record: AppendRecord): Promise<Effect> {
  const role = 'orders'
  const topping = topics.toppingOf.get(record.topic)
  const value = toBuffer(record.value)
  const tried = await trial.try(record)
  const orderId = attempt(() => (topping === undefined ? parseOrder(value) : parseTopped(value, topping)).order_id)
  if (tried.outcome === 'takes') {
    const { pizza, count } = tried.entry
    const text =
      pizza === null
        ? `order ${orderId} is placed, with ${count} pizza${count === 1 ? '' : 's'}`
        : `pizza ${pizza.pizza_id} of order ${orderId} gets its ${pizza.topping}: ${pizza.choice}`
    return { role, outcome: 'takes', text, changes: true }
  }
  // What was read of the order may not be all there was.
  if (orderId !== undefined && !trial.isComplete(orderId)) {
    const text = `order ${orderId} is not known here; where it is, a duplicate would be ignored`
    return { role, outcome: 'unknown', text, changes: true }
  }
  if (tried.outcome === 'refuses') return { role, outcome: 'refuses', text: tried.why, changes: false }
  return { role, outcome: 'ignores', text: ignoredBecause(orderId!, topping, value), changes: false }
}

function ignoredBecause(orderId: string, topping: string | undefined, value: Buffer | null): string {
  if (topping === undefined) return `order ${orderId} is placed already`
  const { pizza_id } = parseTopped(value, topping)
  if (pizza_id === undefined) return `every pizza of order ${orderId} has its ${topping} already`
  return `pizza ${pizza_id} of order ${orderId} has its ${topping} already`
}

async function askTopping(options: JudgeOptions, step: Step, to: string, record: AppendRecord): Promise<Effect> {
  const role = step.topping
  let value: string
  try {
    value = topPizza(step, toLogRecord(record))
  } catch (error) {
    return { role, outcome: 'refuses', text: (error as Error).message, changes: false }
  }
  const then = await follow(options, { topic: to, key: record.key, value })
  const change = then.find(({ changes }) => changes)
  const said = change ?? then.find(({ outcome }) => outcome === 'ignores') ?? then[0]
  const text = said === undefined ? `${role} makes its record again` : `${role} makes its record again; ${said.text}`
  return { role, outcome: 'passes-on', text, changes: change !== undefined }
}

function askReporter({ trial, reportStore }: JudgeOptions, record: AppendRecord): Effect {
  const role = 'cheese-reporter'
  try {
    const { order_id, pizza_id, choice } = parseTopped(toBuffer(record.value), 'cheese')
    const text = `the cheese report counts it: ${choice}`
    // Such records cannot be told from their duplicates.
    if (pizza_id === undefined)
      return { role, outcome: 'takes', text: `${text}, once more for each time`, changes: true }
    // It counts by partition, which without a key may be any; and this store may have those of other partitions.
    const partition = record.key === null ? -1 : trial.partitionOf(record)
    const hasRead = reportStore?.positions().get(record.topic)?.has(partition) ?? false
    if (reportStore === undefined || !hasRead) {
      return { role, outcome: 'unknown', text: `${text}, unless it has`, changes: false }
    }
    const counted = reportStore.counted(partition, order_id)
    if (isCounted(counted ?? new Uint8Array(0), pizza_id)) {
      return { role, outcome: 'ignores', text: 'the cheese report has counted this pizza', changes: false }
    }
    return { role, outcome: 'takes', text, changes: true }
  } catch (error) {
    return { role, outcome: 'refuses', text: (error as Error).message, changes: false }
  }
}

function toLogRecord({ topic, key, value }: AppendRecord): LogRecord {
  // Without a pizza id the choice comes from the coordinates, which it will only get when it is appended.
  return { topic, partition: 0, offset: 0, timestampMs: 0, key: toBuffer(key), value: toBuffer(value) }
}

function toBuffer(bytes: string | Buffer | null): Buffer | null {
  return typeof bytes === 'string' ? Buffer.from(bytes) : bytes
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}
