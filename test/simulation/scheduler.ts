/**
 * Scheduler. Time and chance of a simulation: everything that happens later stands in one queue, and a seed decides what comes
 * when. Owns the processes: what a process does ends with it.
 *
 * T1: one task at a time, and all that follows from it in the same turn (promises) before the next: a run is a function of its seed.
 * T2: no task waits for real time. The clock jumps to the next task.
 * T3: tasks of a killed process never run; those of a paused one run after it goes on.
 */
import { setImmediate as settle } from 'node:timers/promises'
import type { Clock } from '../../src/actors/clock.ts'
import { createRandom, type Random } from '../support/random.ts'
import { createHeap } from './heap.ts'

export interface SimProcess {
  readonly name: string
  readonly isAlive: boolean
  readonly clock: Clock
  /** For logs, which know time by this function. */
  readonly schedule: (run: () => void, delayMs: number) => () => void
  /** Lets a short random time pass. Never resolves in a process that is killed meanwhile. */
  step(): Promise<void>
  sleep(ms: number): Promise<void>
  kill(): void
  /** Makes it so many times slower than others. */
  slowDown(times: number): void
  pause(): void
  resume(): void
}

export interface Scheduler {
  /** Tasks run so far. */
  readonly steps: number
  readonly now: number
  /** A number made of every task so far: equal runs have equal ones. */
  readonly hash: number
  createProcess(name: string): SimProcess
  /** Runs task after task until `isDone`, which is asked before each, or until nothing is left to do. */
  run(isDone: () => boolean): Promise<void>
}

interface Task {
  at: number
  seq: number
  readonly run: () => void
  readonly process: ProcessState
  isCancelled: boolean
}

interface ProcessState {
  readonly name: string
  isAlive: boolean
  isPaused: boolean
  /** How many times slower than others it is. */
  slowness: number
  /** Tasks whose time came while it was paused. */
  readonly waiting: Task[]
}

/** When the simulated world begins, in milliseconds since 1970. */
const beginAt = Date.UTC(2030, 0, 1)

/** Creates an empty queue. `slowness` is the mean delay of a task in milliseconds. */
export function createScheduler(seed: number, slowness = 0.2): Scheduler {
  const random = createRandom(seed)
  const queue = createHeap<Task>((a, b) => a.at - b.at || a.seq - b.seq)
  let now = 0
  let seq = 0
  let steps = 0
  let hash = 0

  const put = (process: ProcessState, run: () => void, delayMs: number): Task => {
    const task = {
      at: now + delayMs + jitter(random, slowness * process.slowness),
      seq: seq++,
      run,
      process,
      isCancelled: false,
    }
    queue.push(task)
    return task
  }

  const runTask = async (task: Task): Promise<void> => {
    now = Math.max(now, task.at)
    steps++
    hash = (Math.imul(hash, 31) + Math.round(now * 1_000) + task.process.name.length) | 0
    task.run()
    await settle()
  }

  const createProcess = (name: string): SimProcess => {
    const process: ProcessState = { name, isAlive: true, isPaused: false, slowness: 1, waiting: [] }
    const later = (run: () => void, delayMs: number): (() => void) => {
      const task = put(process, run, delayMs)
      return () => void (task.isCancelled = true)
    }
    const sleep = (ms: number): Promise<void> => new Promise((resolve) => void later(resolve, ms))
    return {
      name,
      get isAlive() {
        return process.isAlive
      },
      clock: { now: () => beginAt + Math.floor(now), elapsed: () => now, later },
      schedule: later,
      step: () => sleep(0),
      sleep,
      kill() {
        process.isAlive = false
      },
      slowDown(times) {
        process.slowness = times
      },
      pause() {
        process.isPaused = true
      },
      resume() {
        process.isPaused = false
        for (const task of process.waiting.splice(0)) queue.push(Object.assign(task, { at: now, seq: seq++ }))
      },
    }
  }

  return {
    get steps() {
      return steps
    },
    get now() {
      return now
    },
    get hash() {
      return hash
    },
    createProcess,
    async run(isDone) {
      // What was begun outside a task comes as far as it can first.
      await settle()
      while (!isDone()) {
        const task = queue.pop()
        if (task === undefined) return
        if (task.isCancelled || !task.process.isAlive) continue
        if (task.process.isPaused) task.process.waiting.push(task)
        else await runTask(task)
      }
    },
  }
}

/** Most tasks come soon, a few late, and now and then one very late. */
function jitter(random: Random, slowness: number): number {
  const share = random.below(1_000) / 1_000
  if (random.oneIn(200)) return share * slowness * 500
  return random.oneIn(10) ? share * slowness * 20 : share * slowness
}
