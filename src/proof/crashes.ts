/**
 * Crashes. Walks every path of a model, crashes after each of its steps, recovers, walks on, and compares with the walk that never
 * crashed. Knows neither machines nor logs: a subject says how it takes an event, how it crashes and what can be seen of it.
 *
 * W1: what is seen right after a recovery is what was seen before the crash, and the end of the walk is the same.
 * W2: every path has one crash point more than it has steps: before the first event, and after each.
 */
import type { EventObject } from 'xstate'
import type { Path } from './paths.ts'

/** A subject that runs: one walk along one path. */
export interface Walk<Event> {
  send(event: Event): void | Promise<void>
  /** Ends it without warning and brings it back from what is durable. */
  crash(): void | Promise<void>
  /** All that can be seen of it, outputs included, as text. */
  observe(): string | Promise<string>
  /** Releases what the walk holds. */
  end?(): void | Promise<void>
}

export interface Subject<Event> {
  readonly name: string
  /** Starts a walk at the very beginning. */
  start(): Walk<Event> | Promise<Walk<Event>>
}

export interface Difference {
  /** The events of the path, and how many of them were taken before the crash. */
  readonly path: string
  readonly crashAfter: number
  readonly when: 'recovered' | 'end'
  readonly expected: string
  readonly found: string
}

export interface CrashProof {
  readonly name: string
  readonly paths: number
  readonly crashes: number
  readonly stepsMax: number
  readonly differences: readonly Difference[]
}

/** Crashes the subject at every step of every path. */
export async function proveCrashes<State, Event extends EventObject>(
  subject: Subject<Event>,
  paths: readonly Path<State, Event>[],
): Promise<CrashProof> {
  const differences: Difference[] = []
  let crashes = 0
  for (const { events } of paths) {
    const expected = await observeAll(subject, events)
    for (let crashAfter = 0; crashAfter <= events.length; crashAfter++) {
      crashes++
      const seen = await crashOnce(subject, events, crashAfter)
      const path = events.map((event) => JSON.stringify(event)).join(' ')
      const at = { path, crashAfter }
      const recovered = expected[crashAfter]!
      if (seen.recovered !== recovered)
        differences.push({ ...at, when: 'recovered', expected: recovered, found: seen.recovered })
      if (seen.end !== expected.at(-1))
        differences.push({ ...at, when: 'end', expected: expected.at(-1)!, found: seen.end })
    }
  }
  const stepsMax = Math.max(0, ...paths.map(({ events }) => events.length))
  return { name: subject.name, paths: paths.length, crashes, stepsMax, differences }
}

/** One line: `pizza: 65 paths × 1 to 5 crash points = 261 crashes, 0 differences`. */
export function describeProof({ name, paths, crashes, stepsMax, differences }: CrashProof): string {
  const points = stepsMax === 0 ? '1' : `1 to ${stepsMax + 1}`
  return `${name}: ${paths} paths × ${points} crash points = ${crashes} crashes, ${differences.length} differences`
}

/** What is seen of a walk that never crashes: at its start, and after each event. */
async function observeAll<Event>(subject: Subject<Event>, events: readonly Event[]): Promise<string[]> {
  const walk = await subject.start()
  const seen = [await walk.observe()]
  for (const event of events) {
    await walk.send(event)
    seen.push(await walk.observe())
  }
  await walk.end?.()
  return seen
}

async function crashOnce<Event>(
  subject: Subject<Event>,
  events: readonly Event[],
  crashAfter: number,
): Promise<{ recovered: string; end: string }> {
  const walk = await subject.start()
  for (const event of events.slice(0, crashAfter)) await walk.send(event)
  await walk.crash()
  const recovered = await walk.observe()
  for (const event of events.slice(crashAfter)) await walk.send(event)
  const end = await walk.observe()
  await walk.end?.()
  return { recovered, end }
}
