import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { EventLog } from '../../src/log/event-log.ts'
import { createSqliteLog } from '../../src/log/sqlite-log.ts'
import { createTopic, readAll } from '../contract/support.ts'

type Callback = (error: Error | null) => void

/** Syncs that the log has asked for and the disk has not answered. */
const asked: Callback[] = []
/** Told when one more is asked for. */
let onAsked = () => {}

// The disk itself: a test cannot cut the power, but it can be the one who says when a sync is done.
vi.mock('node:fs', async (original) => ({
  ...(await original<object>()),
  fdatasync: (_descriptor: number, callback: Callback) => {
    asked.push(callback)
    onAsked()
  },
}))

const untilAsked = (): Promise<void> =>
  new Promise((resolve) => {
    onAsked = resolve
    if (asked.length > 0) resolve()
  })

const answer = (error: Error | null = null) => asked.splice(0).forEach((callback) => callback(error))

let folder: string
let log: EventLog
let topic: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pizza-sync-'))
  log = createSqliteLog({ file: join(folder, 'log.sqlite') })
  topic = await createTopic(log, 1)
})

afterEach(async () => {
  onAsked = () => answer()
  const closed = log.close().catch(() => {})
  answer()
  await closed
  await rm(folder, { recursive: true })
})

describe('A sync of the embedded log', () => {
  it('is waited for by a synced append and not by an ordered one', async () => {
    const done: string[] = []
    const synced = log.append([{ topic, key: 'k', value: 'order' }]).then(() => done.push('synced'))
    await untilAsked()
    await log.append([{ topic, key: 'k', value: 'pizza' }], { durability: 'ordered' })
    expect(done).toEqual([])
    expect(await readAll(log, { topic, partition: 0 })).toHaveLength(2)
    answer()
    await synced
    expect(done).toEqual(['synced'])
  })

  it('does not count for what was committed after it began: that waits for the next, which all of it shares', async () => {
    const first = log.append([{ topic, key: 'k', value: '1' }])
    await untilAsked()
    const later = [2, 3].map((value) => log.append([{ topic, key: 'k', value: `${value}` }]))
    await log.append([{ topic, key: 'k', value: '4' }], { durability: 'ordered' })
    expect(asked).toHaveLength(1)
    answer()
    await first
    await untilAsked()
    expect(asked).toHaveLength(1)
    answer()
    await Promise.all(later)
  })

  it('that failed makes every later one fail, because the disk may have dropped what it could not write', async () => {
    const refused = log.append([{ topic, key: 'k', value: 'v' }])
    await untilAsked()
    answer(new Error('EIO: i/o error'))
    const expected = { code: 'unavailable', message: expect.stringContaining('EIO') as string }
    await expect(refused).rejects.toMatchObject(expected)
    await expect(log.sync()).rejects.toMatchObject(expected)
    expect(asked).toEqual([])
  })
})
