/** Time for the logs of this process: everything they do later goes through one injectable function. */

/** Runs something later; returns what cancels it. */
export type Schedule = (run: () => void, delayMs: number) => () => void

/** Schedules on Node's event loop; no delay means after the input and output that is waiting. */
export const scheduleOnLoop: Schedule = (run, delayMs) => {
  if (delayMs === 0) {
    const immediate = setImmediate(run)
    return () => clearImmediate(immediate)
  }
  const timer = setTimeout(run, delayMs)
  return () => clearTimeout(timer)
}

/** Lets one loop sleep and others wake it. */
export interface Sleeper {
  /** Sleeps until woken, or until the delay is over; without a delay, also until `wakeForRecords`. */
  sleep(delayMs?: number): Promise<void>
  wake(): void
  /** Wakes a sleep without delay: records must not cut a back-off short. */
  wakeForRecords(): void
}

export function createSleeper(schedule: Schedule): Sleeper {
  let wakeUp: (() => void) | undefined
  let isIdle = false
  return {
    sleep(delayMs) {
      isIdle = delayMs === undefined
      return new Promise((resolve) => {
        const cancel = delayMs === undefined ? undefined : schedule(() => wakeUp?.(), delayMs)
        wakeUp = () => {
          cancel?.()
          wakeUp = undefined
          resolve()
        }
      })
    },
    wake: () => wakeUp?.(),
    wakeForRecords() {
      if (isIdle) wakeUp?.()
    },
  }
}
