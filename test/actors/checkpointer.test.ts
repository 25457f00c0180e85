import { describe, expect, it, onTestFinished } from 'vitest'
import { createCheckpointer } from '../../src/actors/checkpointer.ts'
import { createLogger } from '../../src/logger.ts'
import { until } from '../support/memory-shop.ts'

interface Bench {
  /** What a checkpoint would find: raise it as if records had been applied. */
  applied: number
  /** While true the disk refuses. */
  isFull: boolean
  refused: number
  /** What `applied` was at each cut that was written. */
  readonly written: number[]
  outputs: Promise<void>
}

async function openBench(settings: { checkpointMs?: number; checkpointDirtyMax?: number } = {}) {
  const bench: Bench = { applied: 0, isFull: false, refused: 0, written: [], outputs: Promise.resolve() }
  const logger = await createLogger({ level: 'fatal', destination: { write() {} }, format: 'json' })
  const confirmed: number[] = []
  const checkpointer = createCheckpointer({
    role: 'orders',
    logger,
    checkpointMs: 1,
    checkpointDirtyMax: 1_000,
    ...settings,
    cut: () => bench.applied,
    settled: () => bench.outputs,
    write(cut) {
      if (bench.isFull) {
        bench.refused++
        throw new Error('database or disk is full')
      }
      bench.written.push(cut)
      return `cut ${cut}`
    },
    written: (cut) => void confirmed.push(cut),
  })
  onTestFinished(async () => {
    bench.isFull = false
    await checkpointer.stop()
  })
  return { bench, checkpointer, confirmed }
}

describe('A checkpointer', () => {
  it('writes soon after something changed, and once for all that came meanwhile', async () => {
    const { bench, checkpointer, confirmed } = await openBench()
    for (bench.applied = 0; bench.applied < 5; bench.applied++) checkpointer.soon(1)
    await until(() => bench.written.length > 0)
    expect(bench.written).toEqual([5])
    expect(confirmed).toEqual([5])
  })

  it('writes at once when as many orders changed as it may leave', async () => {
    const { bench, checkpointer } = await openBench({ checkpointMs: 1_000_000, checkpointDirtyMax: 3 })
    checkpointer.soon(2)
    checkpointer.soon(3)
    await until(() => bench.written.length > 0)
  })

  it('writes nothing before the outputs put in until the cut are durable (K1, O1)', async () => {
    const { bench, checkpointer } = await openBench()
    const { promise, resolve } = Promise.withResolvers<void>()
    bench.outputs = promise
    bench.applied = 3
    const written = checkpointer.now()
    bench.applied = 9
    expect(bench.written).toEqual([])
    resolve()
    await written
    expect(bench.written).toEqual([3])
  })

  it('publishes a cut once its outputs are durable, and writes it only when it is published (K1)', async () => {
    const steps: string[] = []
    const step = (name: string) => async () => void steps.push(name)
    const checkpointer = createCheckpointer({
      role: 'orders',
      logger: await createLogger({ level: 'fatal', destination: { write() {} }, format: 'json' }),
      checkpointMs: 1,
      checkpointDirtyMax: 1,
      cut: () => void steps.push('cut'),
      settled: step('settled'),
      publish: step('published'),
      write: () => void steps.push('written'),
    })
    await checkpointer.now()
    expect(steps).toEqual(['cut', 'settled', 'published', 'written'])
  })

  it('writes one cut at a time; who asks during one waits for a cut made after the question', async () => {
    const { bench, checkpointer } = await openBench()
    const { promise, resolve } = Promise.withResolvers<void>()
    bench.outputs = promise
    bench.applied = 1
    const first = checkpointer.now()
    bench.applied = 2
    const second = checkpointer.now()
    const third = checkpointer.now()
    resolve()
    await first
    expect(bench.written).toEqual([1])
    await Promise.all([second, third])
    expect(bench.written).toEqual([1, 2])
  })

  it('keeps a cut that the disk refused and writes it before any later one (K2)', async () => {
    const { bench, checkpointer } = await openBench()
    bench.isFull = true
    bench.applied = 1
    const first = checkpointer.now()
    await until(() => bench.refused > 0)
    expect(checkpointer.failingSince).toEqual(expect.any(Number))
    bench.applied = 2
    const second = checkpointer.now()
    bench.isFull = false
    await Promise.all([first, second])
    expect(bench.written).toEqual([1, 2])
    expect(checkpointer.failingSince).toBeUndefined()
  })

  it('that is stopped while the disk refuses writes no later cut without the refused one (K2)', async () => {
    const { bench, checkpointer } = await openBench()
    bench.isFull = true
    bench.applied = 1
    const first = checkpointer.now()
    first.catch(() => (bench.isFull = false))
    await until(() => bench.refused > 0)
    bench.applied = 2
    await checkpointer.stop()
    expect(bench.written).toEqual([])
  })

  it('writes what is left when it is stopped', async () => {
    const { bench, checkpointer } = await openBench({ checkpointMs: 1_000_000 })
    bench.applied = 4
    checkpointer.soon(1)
    await checkpointer.stop()
    expect(bench.written).toEqual([4])
  })

  it.each([
    { what: 'publishing took 20 ms', publishMs: 20, writeMs: 0, delayMs: 180 },
    {
      what: 'publishing took seconds, because that says little about the next',
      publishMs: 5_000,
      writeMs: 0,
      delayMs: 400,
    },
    { what: 'writing took 30 ms', publishMs: 5, writeMs: 30, delayMs: 270 },
    { what: 'both took next to nothing', publishMs: 1, writeMs: 1, delayMs: 100 },
  ])('waits $delayMs ms for the next checkpoint when $what (K3)', async ({ publishMs, writeMs, delayMs }) => {
    let elapsedMs = 0
    const delays: number[] = []
    const checkpointer = createCheckpointer({
      role: 'orders',
      logger: await createLogger({ level: 'fatal', destination: { write() {} }, format: 'json' }),
      checkpointMs: 100,
      checkpointDirtyMax: 1_000,
      clock: {
        now: () => 0,
        elapsed: () => elapsedMs,
        later: (_, ms) => {
          delays.push(ms)
          return () => {}
        },
      },
      cut: () => 0,
      settled: async () => {},
      publish: async () => void (elapsedMs += publishMs),
      write: () => void (elapsedMs += writeMs),
    })
    checkpointer.soon(1)
    await checkpointer.now()
    checkpointer.soon(1)
    expect(delays).toEqual([100, delayMs])
  })

  it('tells what was written once it is durable, and only who still listens', async () => {
    const { bench, checkpointer } = await openBench()
    const heard: [string, number][] = []
    const withdraw = checkpointer.onWritten((written) => void heard.push([written, bench.written.length]))
    bench.applied = 7
    await checkpointer.now()
    withdraw()
    await checkpointer.now()
    expect(heard).toEqual([['cut 7', 1]])
  })

  it('that cannot wait for its outputs any more writes nothing, also later (K1, K2)', async () => {
    const { bench, checkpointer } = await openBench()
    bench.outputs = Promise.reject(new Error('The outbox was stopped'))
    bench.applied = 1
    await expect(checkpointer.now()).rejects.toThrow('The outbox was stopped')
    bench.outputs = Promise.resolve()
    bench.applied = 2
    await expect(checkpointer.now()).rejects.toThrow('An earlier checkpoint was given up')
    expect(bench.written).toEqual([])
  })
})
