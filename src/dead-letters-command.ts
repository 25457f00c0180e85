/**
 * The `dead-letters` command: lists dead letters, shows one with all that is known about it, and redrives them. Works beside a running
 * shop. Only `redrive --yes` changes anything, and only by records on the log (redrive.ts).
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createDeadLetterDesk } from './actors/dead-letter-desk.ts'
import { createDeadLetterList, toRow } from './actors/dead-letter-list.ts'
import { describeOrder } from './actors/dead-letter-order.ts'
import { toRecordJson } from './actors/dead-letter-record.ts'
import { parseLetterId, toLetterId, type DeadLetter } from './actors/dead-letters.ts'
import { createOrderStore } from './actors/order-store.ts'
import { orderIdIn } from './actors/order-trial.ts'
import {
  openTrial,
  planOne,
  planRedrive,
  redrive,
  type Chosen,
  type Planned,
  type RedriveParts,
} from './actors/redrive.ts'
import { createReportStore } from './actors/report-store.ts'
import type { Config } from './config.ts'
import { printList, printOutcomes, printPlan, printShown, toPlanJson, type Outcome } from './dead-letters-print.ts'
import type { DeadLettersRequest } from './dead-letters-request.ts'
import type { EventLog } from './log/event-log.ts'
import { recipe } from './menu.ts'
import { createTopics } from './topics.ts'

export interface DeadLettersOutput {
  print(line: string): void
  /** For what went wrong, beside the answer. */
  complain(line: string): void
}

/** Does what was asked. @returns whether all of it could be done. @throws LogError. */
export async function runDeadLetters(
  config: Config,
  log: EventLog,
  request: DeadLettersRequest,
  output: DeadLettersOutput,
): Promise<boolean> {
  if (request.action === 'list') return list(config, log, request, output)
  const topics = createTopics(recipe, config.topics)
  const orderStore = openStore(join(config.dataDir, 'orders.sqlite'), createOrderStore)
  const reportStore = openStore(join(config.dataDir, 'report.sqlite'), createReportStore)
  const held = [orderStore?.hold(), reportStore?.hold()]
  const desk = createDeadLetterDesk(log, topics.deadLetters)
  const stores = { ...(orderStore && { orderStore }), ...(reportStore && { reportStore }) }
  const parts: RedriveParts = { log, topics, recipe, desk, ...stores }
  try {
    return await (request.action === 'show' ? show(parts, request, output) : runRedrive(parts, request, output))
  } finally {
    for (const one of held) one?.release()
    orderStore?.close()
    reportStore?.close()
  }
}

function openStore<T>(file: string, open: (file: string, options: { readOnly: boolean }) => T): T | undefined {
  return existsSync(file) ? open(file, { readOnly: true }) : undefined
}

type Wanted = Pick<DeadLettersRequest, 'reason' | 'role'>

function toFilter({ reason, role }: Wanted): (letter: DeadLetter) => boolean {
  return (letter) => (reason === undefined || letter.reason === reason) && (role === undefined || letter.role === role)
}

async function list(config: Config, log: EventLog, request: DeadLettersRequest, output: DeadLettersOutput) {
  const { deadLetters } = createTopics(recipe, config.topics)
  const isWanted = toFilter(request)
  const view = await createDeadLetterList(log, deadLetters, {
    begins: 'all',
    listedMax: request.limit,
    isWanted,
  }).look()
  const { total, by_reason, rows } = view
  if (request.json) output.print(JSON.stringify({ total, by_reason, dead_letters: rows }))
  else for (const line of printList(view, request)) output.print(line)
  return true
}

async function show(parts: RedriveParts, request: DeadLettersRequest, output: DeadLettersOutput): Promise<boolean> {
  const { desk, orderStore } = parts
  const place = parseLetterId(request.ids[0]!)!
  const letter = await desk.find(place)
  if (letter === undefined) {
    const message = `There is no dead letter ${request.ids[0]}. npm start -- dead-letters lists those there are.`
    output.complain(message)
    if (request.json) output.print(JSON.stringify({ dead_letter: null }))
    return false
  }
  const original = await desk.findOriginal(letter)
  const trial = await openTrial(parts, [original])
  const orderId = original && orderIdIn(original.record.value)
  const order =
    orderId === undefined
      ? null
      : await describeOrder({ ...parts, trial, ...(orderStore && { store: orderStore }) }, orderId, letter)
  await desk.readMarks([letter])
  const row = toRow(letter, desk.markOf(letter.id)?.atMs)
  const planned = await planOne(parts, trial, { id: letter.id, letter, original })
  const shown = { row, record: toRecordJson(letter, original), order, planned }
  if (request.json) {
    const { row: dead_letter, record } = shown
    output.print(JSON.stringify({ dead_letter, record, order, redrive: toPlanJson(planned) }))
  } else for (const line of printShown(shown)) output.print(line)
  return true
}

async function runRedrive(parts: RedriveParts, request: DeadLettersRequest, output: DeadLettersOutput) {
  const planned = await planRedrive(parts, await choose(parts, request))
  const outcomes = request.yes ? await act(parts, planned) : undefined
  const isDone =
    outcomes?.every(({ outcome }) => outcome === 'redriven') ?? planned.every(({ isRefused }) => !isRefused)
  if (request.json) {
    const dead_letters = outcomes ?? planned.map(toPlanJson)
    output.print(JSON.stringify({ is_preview: !request.yes, dead_letters }))
  } else for (const line of outcomes ? printOutcomes(outcomes) : printPlan(planned)) output.print(line)
  return isDone
}

/** Those named, each once; or those selected that were not redriven yet. */
async function choose({ desk }: RedriveParts, request: DeadLettersRequest): Promise<readonly Chosen[]> {
  if (request.ids.length === 0)
    return (await desk.select(toFilter(request))).map((letter) => ({ id: letter.id, letter }))
  const places = new Map(request.ids.map((id) => [toLetterId(parseLetterId(id)!), parseLetterId(id)!]))
  return Promise.all([...places].map(async ([id, place]) => ({ id, letter: await desk.find(place) })))
}

async function act(parts: RedriveParts, planned: readonly Planned[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  const left = new Map(planned.map((plan) => [plan.id, plan]))
  const settle = (id: string, came: Pick<Outcome, 'outcome' | 'text' | 'appended'>): void => {
    const { note, effects } = left.get(id)!
    outcomes.push({ id, ...came, note: note ?? null, effects })
    left.delete(id)
  }
  try {
    for await (const { id, outcome, text, appended = null } of redrive(parts, planned))
      settle(id, { outcome, text, appended })
  } catch (error) {
    // What was done must be said, too.
    for (const id of left.keys()) settle(id, { outcome: 'failed', text: toReason(error), appended: null })
  }
  return outcomes
}

function toReason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
