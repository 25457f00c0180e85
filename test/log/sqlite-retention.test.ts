import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { EventLog } from '../../src/log/event-log.ts'
import { scheduleOnLoop } from '../../src/log/local-schedule.ts'
import { openSqliteFile } from '../../src/log/sqlite-file.ts'
import { createSqliteGroups } from '../../src/log/sqlite-groups.ts'
import { createSqliteLog } from '../../src/log/sqlite-log.ts'
import { createSqliteRecords } from '../../src/log/sqlite-records.ts'
import { createRetention, type RetentionOptions } from '../../src/log/sqlite-retention.ts'
import { readAll } from '../contract/support.ts'

const topic = 'pizzas'
const hour = 3_600_000
let folder: string
let file: string
let log: EventLog

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: 1_000 * hour })
  folder = await mkdtemp(join(tmpdir(), 'pizza-retention-'))
  file = join(folder, 'log.db')
  log = createSqliteLog({ file })
  await log.ensureTopics([{ name: topic, partitions: 1 }])
})

afterEach(async () => {
  vi.useRealTimers()
  await log.close()
  await rm(folder, { recursive: true })
})

async function append(count: number, value = 'v'): Promise<void> {
  await log.append(Array.from({ length: count }, (_, n) => ({ topic, key: `${n}`, value })))
}

/** As a member of the group would have committed it. */
function setPosition(groupId: string, position: number, partition = 0): void {
  const db = new DatabaseSync(file, { timeout: 5_000 })
  db.prepare('INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)').run(groupId, topic, partition, position)
  db.close()
}

/** One round of a process of its own. */
async function sweep(options: Partial<RetentionOptions> = {}): Promise<number> {
  const sqlite = openSqliteFile({ file, schedule: scheduleOnLoop, busyTimeoutMs: 5_000 })
  const parts = { sqlite, records: createSqliteRecords(sqlite), groups: createSqliteGroups(sqlite) }
  const readers = new Map([[topic, ['sauce']]])
  const defaults = { readers, settle: async () => {} }
  const retention = createRetention(
    { ...defaults, ...options },
    { ...parts, schedule: (run) => scheduleOnLoop(run, 0), onError: (error) => expect.unreachable(String(error)) },
  )
  try {
    return await retention.sweep()
  } finally {
    await retention.stop()
    sqlite.close()
  }
}

async function edges(): Promise<[start: number, end: number]> {
  const [starts, ends] = await Promise.all([log.starts([topic]), log.ends([topic])])
  return [starts.get(topic)![0]!, ends.get(topic)![0]!]
}

const passHours = (hours: number): void => void vi.setSystemTime(Date.now() + hours * hour)

describe('Retention by age', () => {
  it('deletes what is older once every group has passed it; offsets and readers go on', async () => {
    await append(5)
    passHours(2)
    await append(3)
    setPosition('sauce', 8)
    expect(await sweep({ ageMsMax: hour })).toBe(5)
    expect(await edges()).toEqual([5, 8])
    expect((await readAll(log, { topic, partition: 0 })).map(({ offset }) => offset)).toEqual([5, 6, 7])
    await log.close()
    log = createSqliteLog({ file })
    expect(await log.append([{ topic, key: null, value: 'next' }])).toMatchObject([{ offset: 8 }])
    const seen: number[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    await log.consume({
      groupId: 'another',
      topics: [topic],
      startFrom: 'earliest',
      positions: 'group',
      onBatch(records) {
        seen.push(...records.map(({ offset }) => offset))
        if (seen.includes(8)) resolve()
      },
    })
    await promise
    expect(seen).toEqual([5, 6, 7, 8])
  })

  it('keeps the last record of a partition, from whose offset the next one goes on (N3)', async () => {
    await append(4)
    setPosition('sauce', 4)
    passHours(2)
    expect(await sweep({ ageMsMax: hour })).toBe(3)
    expect(await edges()).toEqual([3, 4])
    expect(await sweep({ ageMsMax: hour })).toBe(0)
    expect(await log.append([{ topic, key: null, value: 'next' }])).toMatchObject([{ offset: 4 }])
  })

  it('keeps the last record whatever it is asked to cut (N3)', async () => {
    await append(4)
    const sqlite = openSqliteFile({ file, schedule: scheduleOnLoop, busyTimeoutMs: 5_000 })
    const records = createSqliteRecords(sqlite)
    const range = { below: 99, olderThanMs: Infinity, recordsMax: 100 }
    expect(await sqlite.transact('cut', () => records.cut(topic, 0, range))).toBe(3)
    expect(await sqlite.transact('cut', () => records.cut(topic, 0, range))).toBe(0)
    sqlite.close()
    expect(await edges()).toEqual([3, 4])
  })

  it('keeps all of a topic that an expected group has never read (N1, P5)', async () => {
    await append(4)
    setPosition('sauce', 4)
    passHours(2)
    const readers = new Map([[topic, ['sauce', 'orders']]])
    expect(await sweep({ ageMsMax: hour, readers })).toBe(0)
    setPosition('orders', 2)
    expect(await sweep({ ageMsMax: hour, readers })).toBe(2)
    expect(await edges()).toEqual([2, 4])
  })

  it('keeps what a group has not passed that nobody expects (N1, P5)', async () => {
    await append(4)
    setPosition('sauce', 4)
    setPosition('a program of somebody else', 1)
    passHours(2)
    expect(await sweep({ ageMsMax: hour })).toBe(1)
  })

  it('keeps topics that nobody reads, as dead letters are', async () => {
    await append(4)
    setPosition('sauce', 4)
    passHours(2)
    expect(await sweep({ ageMsMax: hour, readers: new Map() })).toBe(0)
    expect(await sweep({ ageMsMax: hour, readers: new Map([[topic, []]]) })).toBe(0)
  })

  it('gives a slow group every record, though it reads while others are deleted (P5)', async () => {
    await append(2_500)
    passHours(2)
    const seen: number[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    await log.consume({
      groupId: 'sauce',
      topics: [topic],
      startFrom: 'earliest',
      positions: 'group',
      batchRecordsMax: 100,
      async onBatch(records) {
        seen.push(...records.map(({ offset }) => offset))
        await sweep({ ageMsMax: hour })
        if (seen.length === 2_500) resolve()
      },
    })
    await promise
    expect(seen).toEqual(Array.from({ length: 2_500 }, (_, n) => n))
  })

  it('deletes nothing while the stores of the groups cannot be brought to the disk (N2)', async () => {
    await append(4)
    setPosition('sauce', 4)
    passHours(2)
    const settle = () => Promise.reject(new Error('no disk'))
    await expect(sweep({ ageMsMax: hour, settle })).rejects.toThrow('no disk')
    expect(await edges()).toEqual([0, 4])
  })

  it('does not delete what a group passed only after its store was brought to the disk (N2)', async () => {
    await append(4)
    setPosition('sauce', 1)
    passHours(2)
    expect(await sweep({ ageMsMax: hour, settle: async () => setPosition('sauce', 4) })).toBe(1)
  })
})

describe('Retention by size', () => {
  it('deletes the oldest while the log is larger, and gives the space back to new records and to the disk', async () => {
    const value = 'x'.repeat(10_000)
    for (let wave = 0; wave < 5; wave++) {
      await append(1_000, value)
      passHours(1)
    }
    setPosition('sauce', 5_000)
    const bytesMax = 20 * 2 ** 20
    const gone = await sweep({ bytesMax })
    expect(gone).toBeGreaterThanOrEqual(3_000)
    expect(gone).toBeLessThan(4_500)
    expect(await edges()).toEqual([gone, 5_000])
    const db = new DatabaseSync(file)
    const pages = (name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0] as number
    expect((pages('page_count') - pages('freelist_count')) * 4_096).toBeLessThan(bytesMax)
    expect(pages('page_count') * 4_096).toBeLessThan(2 * bytesMax)
    db.close()
    expect(await sweep({ bytesMax })).toBe(0)
  })

  it('keeps more than it may when a group needs it', async () => {
    await append(1_000, 'x'.repeat(1_000))
    setPosition('sauce', 10)
    expect(await sweep({ bytesMax: 1 })).toBe(10)
  })
})

describe('Compaction', () => {
  it('keeps the newest record of each key where it stands, and never compacts other topics', async () => {
    const compacted = 'snapshots'
    await log.ensureTopics([{ name: compacted, partitions: 1, compacted: true }])
    const write = (key: string, value: string | null) => ({ topic: compacted, key, value })
    const rounds = Array.from({ length: 800 }, (_, n) => [
      write('a', `a${n}`),
      write('b', `b${n}`),
      write(`${n}`, 'once'),
    ])
    await log.append(rounds.flat())
    await append(10)
    await log.append([write('b', null)])
    expect(await sweep()).toBe(799 + 800)
    const left = await readAll(log, { topic: compacted, partition: 0 })
    expect(left.map(({ key }) => String(key)).toSorted()).toEqual(
      ['a', 'b', ...Array.from({ length: 800 }, (_, n) => `${n}`)].toSorted(),
    )
    expect(left.find(({ key }) => String(key) === 'a')).toMatchObject({ offset: 2_397, value: Buffer.from('a799') })
    expect(left.at(-1)).toMatchObject({ offset: 2_400, key: Buffer.from('b'), value: null })
    expect(await edges()).toEqual([0, 10])
  })
})

describe('A log with retention', () => {
  it('deletes by itself, for as long as it has consumers', async () => {
    await log.close()
    const readers = new Map([[topic, ['sauce']]])
    log = createSqliteLog({
      file,
      commitMs: 1,
      retention: { ageMsMax: hour, readers, settle: async () => {}, everyMs: 1 },
    })
    await append(10)
    passHours(2)
    await append(1)
    const handled = Promise.withResolvers<void>()
    await log.consume({
      groupId: 'sauce',
      topics: [topic],
      startFrom: 'earliest',
      positions: 'group',
      onBatch: (records) => {
        if (records.at(-1)!.offset === 10) handled.resolve()
      },
    })
    await handled.promise
    while ((await edges())[0] < 10) await new Promise((resolve) => setImmediate(resolve))
    expect(await edges()).toEqual([10, 11])
  })
})

describe('Whatever happens', () => {
  it('no group misses a record, and offsets have no gap above the start (N1, N3)', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), count: fc.integer({ min: 1, max: 40 }) }),
      fc.record({
        kind: fc.constant('commit' as const),
        group: fc.constantFrom('sauce', 'orders'),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.record({ kind: fc.constant('cut' as const), hours: fc.integer({ min: 0, max: 6 }), bySize: fc.boolean() }),
      fc.record({ kind: fc.constant('pass' as const), hours: fc.integer({ min: 1, max: 5 }) }),
    )
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        const name = `topic-${run++}`
        await log.ensureTopics([{ name, partitions: 1 }])
        const values: string[] = []
        const positions = new Map<string, number>()
        const commit = (group: string, position: number) => {
          positions.set(group, position)
          const db = new DatabaseSync(file, { timeout: 5_000 })
          db.prepare('INSERT OR REPLACE INTO positions VALUES (?, ?, 0, ?)').run(group, name, position)
          db.close()
        }
        let startBefore = 0
        for (const move of steps) {
          if (move.kind === 'append') {
            const fresh = Array.from({ length: move.count }, (_, n) => `${values.length + n}`)
            values.push(...fresh)
            await log.append(fresh.map((value) => ({ topic: name, key: null, value })))
          } else if (move.kind === 'commit') {
            commit(move.group, Math.max(positions.get(move.group) ?? 0, Math.floor(move.share * values.length)))
          } else if (move.kind === 'pass') passHours(move.hours)
          else {
            const limit = move.bySize ? { bytesMax: 1 } : { ageMsMax: move.hours * hour }
            await sweep({ ...limit, readers: new Map([[name, ['sauce', 'orders']]]) })
          }
          const [start, end] = [(await log.starts([name])).get(name)![0]!, (await log.ends([name])).get(name)![0]!]
          const needed = Math.min(positions.get('sauce') ?? 0, positions.get('orders') ?? 0)
          expect(end).toBe(values.length)
          expect(start).toBeGreaterThanOrEqual(startBefore)
          expect(start).toBeLessThanOrEqual(Math.min(needed, Math.max(0, end - 1)))
          const kept = await readAll(log, { topic: name, partition: 0 })
          expect(kept.map(({ offset, value }) => [offset, String(value)])).toEqual(
            values.slice(start).map((value, n) => [start + n, value]),
          )
          startBefore = start
        }
      }),
      { numRuns: 25, seed: 8 },
    )
  })
})
