/**
 * Snapshot difference. Says in words how two persisted snapshots of one order differ: states, context keys, children. Knows no shape
 * but XState's own, because either side may be of machines that nobody knows yet.
 */
import { isDeepStrictEqual } from 'node:util'

/** What XState persists of any machine. */
export interface AnySnapshot {
  readonly value?: unknown
  readonly context?: Readonly<Record<string, unknown>>
  readonly children?: Readonly<Record<string, { readonly snapshot?: AnySnapshot }>>
}

export interface SnapshotDifference {
  readonly kind: 'other-state' | 'other-context'
  readonly text: string
}

/** A copy as JSON keeps it: `undefined` fields gone, nothing shared with an actor. */
export function toPlain(snapshot: unknown): AnySnapshot {
  return JSON.parse(JSON.stringify(snapshot)) as AnySnapshot
}

/** Every difference once, however many pizzas show it; empty when there is none. */
export function findDifferences(before: AnySnapshot, after: AnySnapshot): SnapshotDifference[] {
  if (isDeepStrictEqual(before, after)) return []
  const states = new Set<string>()
  const contexts = new Set<string>()
  compare('order', before, after, states, contexts)
  const [old, now] = [before.children ?? {}, after.children ?? {}]
  for (const [key, child] of Object.entries(old)) {
    if (now[key] !== undefined) compare('pizza', child.snapshot ?? {}, now[key].snapshot ?? {}, states, contexts)
  }
  for (const text of compareNames(Object.keys(old), Object.keys(now))) states.add(text)
  if (states.size + contexts.size === 0) contexts.add('what XState keeps beside state and context differs')
  return [
    ...[...states].map((text) => ({ kind: 'other-state' as const, text })),
    ...[...contexts].map((text) => ({ kind: 'other-context' as const, text })),
  ]
}

function compare(
  what: string,
  before: AnySnapshot,
  after: AnySnapshot,
  states: Set<string>,
  contexts: Set<string>,
): void {
  const [from, to] = [printState(before.value), printState(after.value)]
  if (from !== to) states.add(`${what} ${from} → ${to}`)
  const [old, now] = [before.context ?? {}, after.context ?? {}]
  for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
    if (isDeepStrictEqual(old[key], now[key])) continue
    const how = key in old ? 'is gone' : 'is added'
    contexts.add(`${what} context.${key} ${key in old && key in now ? 'differs' : how}`)
  }
}

/** Children that are on one side only, by the pattern of their names. */
function compareNames(before: readonly string[], after: readonly string[]): string[] {
  const [old, now] = [new Set(before), new Set(after)]
  const gone = toPatterns(before.filter((name) => !now.has(name)))
  const added = toPatterns(after.filter((name) => !old.has(name)))
  if (gone === '' && added === '') return []
  if (gone !== '' && added !== '') return [`children ${gone} → ${added}`]
  return [gone === '' ? `children ${added} are added` : `children ${gone} are gone`]
}

function toPatterns(names: readonly string[]): string {
  return [...new Set(names.map((name) => name.replace(/\d+/g, 'N')))].join(', ')
}

function printState(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null)
}
