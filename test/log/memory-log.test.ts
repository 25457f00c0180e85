import { describe, expect, it } from 'vitest'
import type { Schedule } from '../../src/log/local-schedule.ts'
import { createMemoryLog, createMemoryStorage, type MemoryLog } from '../../src/log/memory-log.ts'
import { createSignal, joinGroup } from '../contract/support.ts'

/** A scheduler with a clock of its own: runs what is due first, and draws among what is due at once. */
function createVirtualTime(seed: number) {
  const waiting = new Set<{ run: () => void; atMs: number }>()
  let nowMs = 0
  let state = seed
  const draw = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state % below
  }
  const schedule: Schedule = (run, delayMs) => {
    const task = { run, atMs: nowMs + delayMs }
    waiting.add(task)
    return () => waiting.delete(task)
  }
  async function runUntil(isDone: () => boolean): Promise<void> {
    while (!isDone()) {
      // Lets the promises of the last step settle; no timer of the log hides here, for it has none of its own.
      await new Promise((resolve) => setImmediate(resolve))
      const dueAtMs = Math.min(...[...waiting].map(({ atMs }) => atMs))
      const due = [...waiting].filter(({ atMs }) => atMs === dueAtMs)
      const task = due[draw(due.length)]
      if (!task) continue
      waiting.delete(task)
      nowMs = Math.max(nowMs, dueAtMs)
      task.run()
    }
  }
  return { schedule, runUntil, now: () => nowMs }
}

/** Two members, a handler that fails now and then, a crash: returns everything that was seen, with times. */
async function play(seed: number): Promise<string[]> {
  const { schedule, runUntil, now } = createVirtualTime(seed)
  const storage = createMemoryStorage()
  const logs = ['a', 'b'].map(() => createMemoryLog({ storage, schedule, now }))
  const trace: string[] = []
  const handled = new Set<string>()
  await logs[0]!.ensureTopics([{ name: 't', partitions: 4 }])
  for (const [index, log] of logs.entries()) {
    const name = 'ab'[index]!
    let batches = 0
    await log.consume({
      groupId: 'g',
      topics: ['t'],
      startFrom: 'earliest',
      positions: 'group',
      batchRecordsMax: 3,
      onAssigned: (partitions) => {
        trace.push(`${now()} ${name} has ${partitions.join()}`)
        return {}
      },
      onBatch: (records) => {
        trace.push(`${now()} ${name} ${records.map(({ partition, offset }) => `${partition}@${offset}`).join()}`)
        if (++batches % 4 === 3) throw new Error('now and then')
        for (const { value } of records) handled.add(String(value))
      },
    })
  }
  for (let i = 0; i < 40; i++) void logs[0]!.append([{ topic: 't', key: `${i}`, value: `${i}` }])
  await runUntil(() => handled.size > 15)
  logs[1]!.crash()
  await runUntil(() => handled.size === 40)
  trace.push(`done at ${now()}`)
  return trace
}

describe('The memory log', () => {
  it('plays the same run again from the same seed, in virtual time, and another from another', async () => {
    const [first, again, other] = [await play(7), await play(7), await play(8)]
    expect(again).toEqual(first)
    expect(other).not.toEqual(first)
    expect(first.some((line) => line.includes('b has'))).toBe(true)
  })

  it('hands a partition over without delivering anything twice, for what was handled is committed first', async () => {
    const storage = createMemoryStorage()
    // Positions that only a handover or a stop can commit: the cadence is too slow for this test.
    const [first, second] = [0, 1].map(() => createMemoryLog({ storage, commitMs: 3_600_000 })) as [
      MemoryLog,
      MemoryLog,
    ]
    await first.ensureTopics([{ name: 't', partitions: 4 }])
    await first.append(Array.from({ length: 40 }, (_, i) => ({ topic: 't', key: `${i}`, value: `${i}` })))
    const signal = createSignal()
    const a = await joinGroup(first, { groupId: 'g', topics: ['t'], signal })
    await signal.until(() => a.records.length === 40)
    const b = await joinGroup(second, { groupId: 'g', topics: ['t'], signal })
    await signal.until(() => b.owned().length === 2)
    await first.close()
    await signal.until(() => b.owned().length === 4)
    await second.append(Array.from({ length: 40 }, (_, i) => ({ topic: 't', key: `${i}`, value: `later ${i}` })))
    await signal.until(() => b.records.length >= 40)
    expect(b.records.every(({ value }) => String(value).startsWith('later'))).toBe(true)
    await second.close()
  })

  it('loses an append that a crash overtakes, and keeps one that was answered', async () => {
    const storage = createMemoryStorage()
    const [crashing, other] = [createMemoryLog({ storage }), createMemoryLog({ storage })]
    await other.ensureTopics([{ name: 't', partitions: 1 }])
    await crashing.append([{ topic: 't', key: 'k', value: 'kept' }])
    let isSettled = false
    const settle = () => {
      isSettled = true
    }
    crashing.append([{ topic: 't', key: 'k', value: 'lost' }]).then(settle, settle)
    crashing.crash()
    await other.append([{ topic: 't', key: 'k', value: 'later' }])
    expect(isSettled).toBe(false)
    expect((await other.ends(['t'])).get('t')).toEqual([2])
    await other.close()
  })
})
