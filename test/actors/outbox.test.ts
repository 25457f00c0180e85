import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createOutbox, type Outbox } from '../../src/actors/outbox.ts'
import { LogError } from '../../src/log/event-log.ts'
import { createMemoryLog, createMemoryStorage } from '../../src/log/memory-log.ts'
import { createFaultyLog } from '../support/faulty-log.ts'

const record = (value: string) => ({ topic: 'out', key: 'k', value })

async function openOutbox(batchRecordsMax = 1_000) {
  const storage = createMemoryStorage()
  const log = createMemoryLog({ storage })
  await log.ensureTopics([{ name: 'out', partitions: 1 }])
  const faulty = createFaultyLog()
  const attempts: number[] = []
  const onError = (_: unknown, attempt: number) => void attempts.push(attempt)
  const outbox = createOutbox({ log: faulty.wrap(log), onError, batchRecordsMax })
  onTestFinished(() => outbox.stop())
  const written = () => storage.topics.get('out')![0]!.records.map(({ value }) => String(value))
  return { outbox, faulty, attempts, written }
}

function putAll(outbox: Outbox, values: readonly string[]): void {
  for (const value of values) outbox.put(record(value))
}

describe('An outbox', () => {
  it('writes what was put in, in that order, the records of one turn together (B1)', async () => {
    const { outbox, faulty, written } = await openOutbox()
    putAll(outbox, ['a', 'b', 'c'])
    await outbox.settled()
    expect(written()).toEqual(['a', 'b', 'c'])
    expect(faulty.tried).toHaveLength(1)
    expect(outbox.size).toBe(0)
  })

  it('has one append in flight at a time, also in pieces (B1)', async () => {
    const { outbox, faulty, written } = await openOutbox(2)
    const release = faulty.block()
    putAll(outbox, ['a', 'b', 'c'])
    await vi.waitFor(() => expect(faulty.tried).toHaveLength(1))
    putAll(outbox, ['d', 'e'])
    expect(faulty.tried.map((batch) => batch.length)).toEqual([2])
    release()
    await outbox.settled()
    expect(faulty.tried.map((batch) => batch.length)).toEqual([2, 2, 1])
    expect(written()).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  it('keeps the order when appends are refused, and writes nothing twice (B1)', async () => {
    const { outbox, faulty, attempts, written } = await openOutbox(2)
    faulty.faults.push('refused', 'refused')
    putAll(outbox, ['a', 'b', 'c'])
    await outbox.settled()
    expect(written()).toEqual(['a', 'b', 'c'])
    expect(attempts).toEqual([1, 2])
  })

  it('repeats an append whose outcome is unknown, before anything that came later (B3)', async () => {
    const { outbox, faulty, written } = await openOutbox(2)
    faulty.faults.push('written but reported lost')
    putAll(outbox, ['a', 'b', 'c'])
    await outbox.settled()
    expect(written()).toEqual(['a', 'b', 'a', 'b', 'c'])
  })

  it('is not settled before everything put in is durable (B2)', async () => {
    const { outbox, faulty, written } = await openOutbox()
    const release = faulty.block()
    putAll(outbox, ['a'])
    let writtenAtSettling: string[] | undefined
    const settled = outbox.settled().then(() => (writtenAtSettling = written()))
    await vi.waitFor(() => expect(faulty.tried).toHaveLength(1))
    putAll(outbox, ['b'])
    expect(writtenAtSettling).toBeUndefined()
    expect(outbox.size).toBe(2)
    release()
    await settled
    expect(writtenAtSettling).toContain('a')
  })

  it('tells since when appends fail, until one works', async () => {
    const { outbox, faulty } = await openOutbox()
    expect(outbox.failingSince).toBeUndefined()
    faulty.faults.push('refused')
    putAll(outbox, ['a'])
    await vi.waitFor(() => expect(outbox.failingSince).toEqual(expect.any(Number)))
    await outbox.settled()
    expect(outbox.failingSince).toBeUndefined()
  })

  it('that is stopped gives up what the log refuses, and says so to whoever waits', async () => {
    const { outbox, faulty } = await openOutbox()
    faulty.faults.push(...Array.from({ length: 50 }, () => 'refused' as const))
    putAll(outbox, ['a'])
    const settled = outbox.settled()
    outbox.stop()
    await expect(settled).rejects.toEqual(expect.objectContaining({ code: 'closed' }))
    await expect(settled).rejects.toBeInstanceOf(LogError)
  })
})
