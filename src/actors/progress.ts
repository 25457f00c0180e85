/** Progress: how far each role is behind and how fast it goes, whichever process it runs in, as the log tells it (lag.ts). */
import type { EventLog } from '../log/event-log.ts'
import type { Topics } from '../topics.ts'
import { readLags } from './lag.ts'

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
  const before = new Map<string, { taken: number; at: number }>()
  return {
    async look() {
      const lags = Map.groupBy(await readLags(log, topics, groupId), ({ role }) => role)
      const at = performance.now()
      return [...lags].map(([role, partitions]) => {
        const taken = partitions.reduce((sum, { position }) => sum + position, 0)
        const lag = partitions.reduce((sum, partition) => sum + partition.lag, 0)
        const last = before.get(role)
        before.set(role, { taken, at })
        const rate =
          last && at > last.at ? Math.round((Math.max(0, taken - last.taken) * 1_000) / (at - last.at)) : null
        return { role, lag, rate }
      })
    },
  }
}
