import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { scheduleOnLoop } from '../../src/log/local-schedule.ts'
import { openSqliteFile, type SqliteFile } from '../../src/log/sqlite-file.ts'
import { createSqliteGroups, type SqliteGroups } from '../../src/log/sqlite-groups.ts'

let folder: string
let sqlite: SqliteFile
let groups: SqliteGroups

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pizza-log-'))
  sqlite = openSqliteFile({ file: join(folder, 'log.db'), schedule: scheduleOnLoop, busyTimeoutMs: 1_000 })
  groups = createSqliteGroups(sqlite)
})

afterEach(async () => {
  sqlite.close()
  await rm(folder, { recursive: true })
})

const positions = (position: number) => new Map([['orders', new Map([[1, position]])]])

describe('A member in the log file', () => {
  it('cannot commit once its process was taken out (S2), though nobody else owns the partition yet', () => {
    const member = groups.join('g', 'process 1')
    expect(groups.claim('g', member, 2)).toEqual({ owned: [0, 1], surplus: [] })
    expect(groups.commit({ groupId: 'g', member, positions: positions(3) })).toBeUndefined()
    expect(groups.evict('process 1')).toBe(true)
    const refusal = groups.commit({ groupId: 'g', member, positions: positions(4) })
    expect(refusal).toMatchObject({ name: 'LogError', code: 'fenced' })
    expect(groups.committed('g', ['orders'])).toEqual(positions(3))
    expect(groups.claim('g', member, 2)).toBeUndefined()
    expect(groups.evict('process 1')).toBe(false)
  })

  it('cannot take a partition before its owner has released it (S1)', () => {
    const first = groups.join('g', 'process 1')
    groups.claim('g', first, 2)
    const second = groups.join('g', 'process 2')
    expect(groups.claim('g', second, 2)).toEqual({ owned: [], surplus: [] })
    expect(groups.claim('g', first, 2)).toEqual({ owned: [0], surplus: [1] })
    expect(groups.commit({ groupId: 'g', member: second, positions: positions(9) })).toMatchObject({ code: 'fenced' })
    groups.release('g', first, [1])
    expect(groups.claim('g', second, 2)).toEqual({ owned: [1], surplus: [] })
    expect(groups.commit({ groupId: 'g', member: first, positions: positions(9) })).toMatchObject({ code: 'fenced' })
  })

  it('is known by its process, and every change of members or owners is counted', () => {
    const before = groups.changes()
    const member = groups.join('g', 'process 1')
    groups.join('h', 'process 2')
    expect(groups.processes().toSorted()).toEqual(['process 1', 'process 2'])
    groups.leave(member)
    expect(groups.processes()).toEqual(['process 2'])
    expect(groups.changes()).toBe(before + 3)
  })
})
