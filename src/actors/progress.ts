/**
 * Progress: how far each role is behind on the log and how fast it goes, whichever process it runs in. Everything comes from the
 * log: where the topics end and what the groups committed.
 */
import type { EventLog, Positions } from '../log/event-log.ts'
import type { Topics } from '../topics.ts'

export interface RoleProgress {
  readonly role: string
  /** Records it has not taken yet. */
  readonly lag: number
  /** Records it took a second, since the look before; `null` at the first look. */
  readonly rate: number | null
}

export interface Progress {
  /** Asks the log. @throws LogError. */
  look(): Promise<RoleProgress[]>
}

/** Creates the progress of every role. Groups are named `${groupId}.${role}`. */
export function createProgress(log: EventLog, topics: Topics, groupId: string): Progress {
  const reads = new Map<string, readonly string[]>([['orders', [topics.orders, ...topics.toppingOf.keys()]]])
  for (const [topping, { from }] of topics.stages) reads.set(topping, [from])
  const cheese = topics.stages.get('cheese')
  if (cheese) reads.set('cheese-reporter', [cheese.to])
  const all = [topics.orders, topics.pizza, ...topics.toppingOf.keys()]
  const before = new Map<string, { taken: number; at: number }>()

  return {
    async look() {
      const [starts, ends] = await Promise.all([log.starts(all), log.ends(all)])
      return Promise.all(
        [...reads].map(async ([role, names]) => {
          const committed = await log.committed(`${groupId}.${role}`, names)
          const { taken, lag } = compare(names, { starts, ends, committed })
          const at = performance.now()
          const last = before.get(role)
          before.set(role, { taken, at })
          const rate = last && at > last.at ? Math.max(0, ((taken - last.taken) * 1_000) / (at - last.at)) : null
          return { role, lag, rate: rate === null ? null : Math.round(rate) }
        }),
      )
    },
  }
}

interface Marks {
  readonly starts: ReadonlyMap<string, readonly number[]>
  readonly ends: ReadonlyMap<string, readonly number[]>
  readonly committed: Positions
}

function compare(names: readonly string[], { starts, ends, committed }: Marks): { taken: number; lag: number } {
  let taken = 0
  let lag = 0
  for (const name of names) {
    ends.get(name)?.forEach((end, partition) => {
      const start = starts.get(name)?.[partition] ?? 0
      const position = committed.get(name)?.get(partition) ?? start
      taken += position
      lag += Math.max(0, end - position)
    })
  }
  return { taken, lag }
}
