/** What `dead-letters` prints: lines for people and JSON for programs. Pure mappings. */
import type { DeadLetterRow, DeadLetterView } from './actors/dead-letter-list.ts'
import type { LetterOrder, OpenEvent, OrderMoment } from './actors/dead-letter-order.ts'
import { toSafe, toValueLines, type RecordJson } from './actors/dead-letter-record.ts'
import type { Planned } from './actors/redrive.ts'
import type { Effect } from './actors/redrive-judge.ts'
import type { DeadLettersRequest } from './dead-letters-request.ts'

/** What would come of a redrive, as JSON. */
export interface PlanJson {
  readonly id: string
  readonly outcome: 'would-be-redriven' | 'refused'
  readonly text: string
  /** What to know before it is done. */
  readonly note: string | null
  readonly appended: null
  readonly effects: readonly Effect[]
}

/** What came of a redrive, as JSON. `appended`: `topic/partition/offset`. */
export type Outcome = Omit<PlanJson, 'outcome' | 'appended'> & {
  readonly outcome: 'redriven' | 'refused' | 'failed'
  readonly appended: string | null
}

export interface Shown {
  readonly row: DeadLetterRow
  readonly record: RecordJson
  readonly order: LetterOrder | null
  readonly planned: Planned
}

const detailCharactersMax = 100
const pizzasListedMax = 10
const command = 'npm start -- dead-letters'
const nothing = 'Nothing to redrive: no dead letter is like that, or all of them were redriven.'

export function toPlanJson({ id, isRefused, text, note, effects }: Planned): PlanJson {
  const outcome = isRefused ? 'refused' : 'would-be-redriven'
  return { id, outcome, text, note: note ?? null, appended: null, effects }
}

export function printList(
  { total, by_reason, rows }: DeadLetterView,
  { reason, role, limit }: DeadLettersRequest,
): string[] {
  if (total === 0) return ['No dead letters: every record could be taken.']
  const cells = rows.map((row) => [row.id, row.at, row.role, row.reason, toSource(row)])
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...cells.map((line) => line[column]!.length)))
  const lines = rows.map((row, index) => {
    const padded = cells[index]!.map((cell, column) => cell.padEnd(widths[column]!))
    return toSafe([...padded, toNotes(row)].join('  '))
  })
  const counts = by_reason.map(({ reason, dead_letters, redriven }) => {
    return `${dead_letters} ${toSafe(reason)}${redriven === 0 ? '' : ` (${redriven} redriven)`}`
  })
  const noun = total === 1 ? 'dead letter' : 'dead letters'
  const summary = `${total} ${noun}: ${counts.join(', ')}.`
  if (rows.length === 0) {
    const wanted = [reason && `the reason ${reason}`, role && `the role ${role}`].filter(Boolean).join(' and ')
    return [`None of them has ${wanted}.`, summary]
  }
  const shown =
    rows.length < total ? ` Shown: ${rows.length}${rows.length === limit ? '; more with --limit' : ''}.` : ''
  return [
    ...lines,
    '',
    `${summary}${shown}`,
    `All about one, and what a redrive would do: ${command} show ${rows[0]!.id}`,
  ]
}

function toSource({ source }: DeadLetterRow): string {
  return source === null ? '?' : `${source.topic}/${source.partition}/${source.offset}`
}

function toNotes({ order_id, detail, redriven_at, redriven_from }: DeadLetterRow): string {
  const notes = [
    redriven_at !== null && `[redriven ${redriven_at}]`,
    redriven_from !== null && `[again, was ${redriven_from}]`,
    order_id !== null && `order ${order_id}:`,
    detail.length <= detailCharactersMax ? detail : `${detail.slice(0, detailCharactersMax)}…`,
  ]
  return notes.filter((note) => note !== false).join(' ')
}

export function printShown({ row, record, order, planned }: Shown): string[] {
  const { id, at, role, reason, detail, source, redriven_at, redriven_from } = row
  const lines = [
    `Dead letter ${id}, written ${at} by ${toSafe(role)}`,
    ...field('reason', [`${reason}: ${detail}`]),
    ...field('source', [toPlaceText(source, record)]),
    ...(redriven_at === null ? [] : field('redriven', [redriven_at])),
    ...(redriven_from === null ? [] : field('again', [`its record was redriven from dead letter ${redriven_from}`])),
    ...field('key', record.key === null ? ['(none)'] : toValueLines(record.key, record.key_encoding)),
    ...field('value', toValueLines(record.value, record.value_encoding), `${record.value_bytes} bytes`),
    ...(order === null ? field('order', ['none that can be told']) : printOrder(order)),
    ...field('redrive', [planned.isRefused ? `refused: ${planned.text}` : planned.text, ...toSideLines(planned)]),
  ]
  return planned.isRefused ? lines : [...lines, '', `To do it: ${command} redrive ${id} --yes`]
}

/** A name and its text, further lines below each other. */
function field(name: string, texts: readonly string[], first?: string): string[] {
  const lines = first === undefined ? texts : [first, ...texts]
  return lines.map((text, index) => `  ${(index === 0 ? name : '').padEnd(9)} ${toSafe(text)}`)
}

function toPlaceText(source: DeadLetterRow['source'], { state, cut_from_bytes }: RecordJson): string {
  if (source === null) return 'the dead letter does not say'
  const states = {
    'on-the-log': 'still on the log',
    copy: 'gone from the log; this is the whole copy',
    cut: `gone from the log; this copy was cut from ${cut_from_bytes ?? 'an unknown number of'} bytes`,
  }
  const { topic, partition, offset, appended_at } = source
  return `${topic}, partition ${partition}, offset ${offset}, appended ${appended_at}; ${states[state]}`
}

function printOrder({ id, was, now, takes, is_complete }: LetterOrder): string[] {
  const hint = is_complete ? '' : ' (as far as is known here: not all that it took is on this machine or on the log)'
  return [
    ...field('order', [`${id}${hint}`]),
    ...field('  was', [was === null ? 'cannot be told' : toMomentText(was)]),
    ...field('  now', [toMomentText(now)]),
    ...field('  takes', toTakesLines(takes)),
  ]
}

function toMomentText({ state, count, pizzas_ready }: OrderMoment): string {
  if (state === 'new') return 'nobody has placed it'
  return `${state}, ${pizzas_ready} of ${count} pizzas ready`
}

function toTakesLines(takes: readonly OpenEvent[]): string[] {
  if (takes.length === 0) return ['nothing any more: every pizza has every topping']
  const lines = takes.map((open) =>
    open.event === 'order.placed'
      ? 'order.placed: somebody must place it first'
      : `pizza.topped: pizza ${open.pizza_id} misses ${open.toppings.join(', ')}`,
  )
  const left = lines.length - pizzasListedMax
  return left > 0 ? [...lines.slice(0, pizzasListedMax), `… and ${left} pizzas more`] : lines
}

/** What comes of it besides: other readers of the topic that change something or refuse. */
function toSideLines({ text, note, effects, letter }: Planned): string[] {
  const lines = effects
    .filter((effect) => effect.role !== letter?.role && effect.text !== text)
    .filter(({ changes, outcome }) => changes || outcome === 'refuses' || outcome === 'unknown')
    .map((effect) => `also, ${effect.role} ${effect.outcome === 'refuses' ? 'refuses it' : 'reads it'}: ${effect.text}`)
  return note === undefined ? lines : [...lines, note]
}

export function printPlan(planned: readonly Planned[]): string[] {
  if (planned.length === 0) return [nothing]
  const lines = planned.flatMap((plan) => [
    `${plan.id}  ${plan.isRefused ? 'refused' : 'would be redriven'}: ${toSafe(plan.text)}`,
    ...(plan.isRefused ? [] : toSideLines(plan).map((side) => `      ${toSafe(side)}`)),
  ])
  const open = planned.filter(({ isRefused }) => !isRefused).length
  const next = open === 0 ? '' : ' The same command with --yes does it.'
  return [...lines, '', `${open} would be redriven, ${planned.length - open} refused. Nothing was done.${next}`]
}

export function printOutcomes(outcomes: readonly Outcome[]): string[] {
  if (outcomes.length === 0) return [nothing]
  const lines = outcomes.map(({ id, outcome, text, appended }) => {
    return `${id}  ${outcome}${appended === null ? '' : ` to ${appended}`}: ${toSafe(text)}`
  })
  const count = (wanted: Outcome['outcome']) => outcomes.filter(({ outcome }) => outcome === wanted).length
  const failed = count('failed') === 0 ? '' : `, ${count('failed')} failed; run the same command again`
  return [...lines, '', `${count('redriven')} redriven, ${count('refused')} refused${failed}.`]
}
