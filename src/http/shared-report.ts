/**
 * Shared report: the counts of all reporters as one. Each owns some partitions, and knows their pizzas by heart.
 *
 * V1: who owns every partition and is sure of it answers from memory and asks nobody, whatever is down (P5).
 * V2: the report is whole: each partition is counted by its owner, and only while nobody else can own it. The next owner reads to where
 *     the partition ends then before it answers, so what was shown never goes down, whoever is asked (P7).
 * V3: where the log does not say who owns what, what was known last counts: nobody can take anything over from there. Who is not alone
 *     therefore keeps looking, asked or not.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Peers } from '../actors/peers.ts'
import { sumCounts, type Counts, type Report, type ReportPart, type SharedReport } from '../actors/report.ts'
import { ProblemError, stopping } from './problem.ts'
import type { OwnReportJson } from './report.ts'

export interface SharedReportOptions {
  readonly own: Report
  readonly partitions: number
  /** Absent where this reporter is the only one. */
  readonly peers?: Pick<Peers, 'others' | 'isAway'>
  /** How long a whole report is tried for (default 5,000). */
  readonly patienceMs?: number
}

const againMs = 25
/** How old may be what is known of the owners when the log goes away. */
const lookMs = 500
const partTimeoutMs = 2_000

/** Creates what answers for all reporters. */
export function createSharedReport(options: SharedReportOptions): SharedReport & { close(): void } {
  const { own, partitions, peers, patienceMs = 5_000 } = options
  const look = (): void => {
    if (own.parts().length < partitions) void peers?.others()
  }
  const looking = peers && setInterval(look, lookMs).unref()
  return {
    readiness: () => own.readiness(),
    close: () => clearInterval(looking),
    async read(signal) {
      const dueAt = performance.now() + patienceMs
      for (let fresh = false; ; fresh = true) {
        const parts = readOwn(options) ?? (await readAll(options, fresh))
        if (parts.size === partitions) return sumCounts(parts.values())
        if (performance.now() > dueAt) throw behind(parts, partitions)
        await sleep(againMs, undefined, signal && { signal }).catch(() => {})
        if (signal?.aborted === true) throw stopping()
      }
    },
  }
}

type Parts = ReadonlyMap<number, Counts>

/** @returns nothing when others have to be asked. */
function readOwn({ own, partitions, peers }: SharedReportOptions): Parts | undefined {
  const parts = toParts(own.parts())
  if (peers === undefined) return parts
  return parts.size === partitions && own.isConfirmed() ? parts : undefined
}

/** Every partition that could be had. */
async function readAll({ own, peers }: SharedReportOptions, fresh: boolean): Promise<Parts> {
  const others = (await peers?.others({ fresh })) ?? new Map<string, readonly number[]>()
  const asked = await Promise.all([...others.keys()].map(askOther))
  const isAway = peers?.isAway() ?? false
  const answers = [...asked, { is_confirmed: own.isConfirmed(), parts: own.parts() }]
  return toParts(answers.flatMap((answer) => (answer && (answer.is_confirmed || isAway) ? answer.parts : [])))
}

/** @returns nothing when it does not answer. */
async function askOther(address: string): Promise<OwnReportJson | undefined> {
  try {
    const answer = await fetch(new URL('/own/report', address), { signal: AbortSignal.timeout(partTimeoutMs) })
    return answer.ok ? ((await answer.json()) as OwnReportJson) : undefined
  } catch {
    return undefined
  }
}

function toParts(parts: readonly ReportPart[]): Parts {
  return new Map(parts.map(({ partition, counts }) => [partition, counts]))
}

function behind(parts: Parts, partitions: number): ProblemError {
  const missing = Array.from({ length: partitions }, (_, partition) => partition).filter((p) => !parts.has(p))
  const detail = `The pizzas of partitions ${missing.join(', ')} have no reporter yet that has read them all. Try again shortly.`
  return new ProblemError('behind', detail, { 'retry-after': '1' })
}
