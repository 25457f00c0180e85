/** Faulty log: stands between a role and its log and lets appends fail or wait as the test says. */
import { LogError, type AppendRecord, type EventLog } from '../../src/log/event-log.ts'

export type Fault = 'refused' | 'written but reported lost' | 'works'

export interface FaultyLog {
  readonly wrap: (log: EventLog) => EventLog
  /** What becomes of the appends to come, one entry each; they work when none is left. */
  readonly faults: Fault[]
  /** The records of every append that was tried. */
  readonly tried: (readonly AppendRecord[])[]
  /** Lets appends wait until the returned function is called. */
  block(): () => void
}

export function createFaultyLog(): FaultyLog {
  const faults: Fault[] = []
  const tried: (readonly AppendRecord[])[] = []
  let gate: Promise<void> | undefined
  const append = async (log: EventLog, records: readonly AppendRecord[]) => {
    tried.push(records)
    await gate
    const fault = faults.shift()
    if (fault === undefined || fault === 'works') return log.append(records)
    if (fault === 'written but reported lost') await log.append(records)
    throw new LogError('unavailable', `The test says: ${fault}`)
  }
  return {
    faults,
    tried,
    wrap: (log) => ({ ...log, append: (records) => append(log, records) }),
    block() {
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = promise
      return () => {
        gate = undefined
        resolve()
      }
    },
  }
}
