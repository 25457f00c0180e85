import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EventLog } from '../../src/log/event-log.ts'
import { createSqliteLog, type SqliteLogOptions } from '../../src/log/sqlite-log.ts'
import { startRemoteLog, type RemoteLog } from '../contract/remote-log.ts'
import { ascending, createSignal, distinctValues, isInOrder, joinGroup, readAll } from '../contract/support.ts'

const topics = ['left', 'right']
const allPartitions = [0, 1, 2, 3, 4, 5]
let folder: string
let options: SqliteLogOptions
let remotes: RemoteLog[]
let own: EventLog

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pizza-log-'))
  options = { file: join(folder, 'log.db') }
  own = createSqliteLog(options)
  await own.ensureTopics(topics.map((name) => ({ name, partitions: allPartitions.length })))
  remotes = []
})

afterEach(async () => {
  await Promise.all(remotes.map((remote) => remote.kill()))
  await own.close()
  await rm(folder, { recursive: true })
})

async function startProcess(more: Partial<SqliteLogOptions> = {}): Promise<RemoteLog> {
  const remote = await startRemoteLog({
    module: 'sqlite-log.ts',
    factory: 'createSqliteLog',
    options: { ...options, ...more },
  })
  remotes.push(remote)
  return remote
}

let round = 0
/** Appends records that reach every partition of both topics; returns their values. */
async function appendRound(log: EventLog): Promise<string[]> {
  round++
  const records = topics.flatMap((topic) =>
    Array.from({ length: 40 }, (_, i) => ({ topic, key: `${i}`, value: `${topic} ${round} ${i}` })),
  )
  const placed = await log.append(records)
  expect(new Set(placed.map(({ partition }) => partition)).size).toBe(allPartitions.length)
  return records.map(({ value }) => value)
}

const lockFiles = () => readdir(`${options.file}-members`).catch(() => [])

describe('Processes on one log file', () => {
  it('may all create the file and its topics at the same moment', async () => {
    options = { file: join(folder, 'fresh.db') }
    const opened = await Promise.all([1, 2, 3, 4].map(() => startProcess()))
    await Promise.all(opened.map(({ log }) => log.ensureTopics(topics.map((name) => ({ name, partitions: 6 })))))
    const placed = await Promise.all(opened.map(({ log }) => log.append([{ topic: 'left', key: 'k', value: 'v' }])))
    expect(
      placed
        .flat()
        .map(({ offset }) => offset)
        .toSorted(ascending),
    ).toEqual([0, 1, 2, 3])
  })

  it('append at the same time and give every offset once', async () => {
    const writers = await Promise.all([startProcess(), startProcess()])
    const answers = await Promise.all(
      [own, ...writers.map(({ log }) => log)].map((log, writer) =>
        Promise.all(
          Array.from({ length: 50 }, async (_, i) => {
            const value = `${writer}-${i}`
            const [at] = await log.append([{ topic: 'left', key: 'one key', value }])
            return [at!.offset, value] as const
          }),
        ),
      ),
    )
    const { partition } = (await own.append([{ topic: 'left', key: 'one key', value: 'last' }]))[0]!
    const stored = await readAll(own, { topic: 'left', partition })
    expect(stored.map(({ offset }) => offset)).toEqual(Array.from({ length: 151 }, (_, i) => i))
    for (const [offset, value] of answers.flat()) expect(String(stored[offset]!.value)).toBe(value)
    for (const [writer, mine] of answers.entries()) {
      const offsets = mine.map(([offset]) => offset)
      expect(offsets, `writer ${writer}`).toEqual(offsets.toSorted(ascending))
    }
  })

  it('share a group three ways, and after kill -9 of two the third has everything, long before a time-out', async () => {
    const signal = createSignal()
    const group = { groupId: 'three', topics, signal }
    const victims = [await startProcess(), await startProcess()]
    const members = [await joinGroup(own, group)]
    for (const { log } of victims) members.push(await joinGroup(log, group))
    await signal.until(() => members.every((member) => member.owned().length === 2))
    expect(members.flatMap((member) => member.owned()).toSorted(ascending)).toEqual(allPartitions)
    expect(await lockFiles()).toEqual(Array(3).fill(expect.stringMatching(/\.lock$/)))
    const seen = () => distinctValues(members.flatMap(({ records }) => records))
    const values = await appendRound(own)
    await signal.until(() => seen().length === values.length)

    const killedAtMs = performance.now()
    for (const { child } of victims) child.kill('SIGKILL')
    values.push(...(await appendRound(own)))
    await signal.until(() => members[0]!.owned().length === allPartitions.length && seen().length === values.length)
    expect(performance.now() - killedAtMs).toBeLessThan(2_000)
    expect(seen()).toEqual(values.toSorted())
    expect(isInOrder(members[0]!.records)).toBe(true)
    for (const { violations, errors } of members) expect([violations, errors]).toEqual([[], []])
    expect(await lockFiles()).toHaveLength(1)
  })

  it('take a stopped process (SIGSTOP) for dead after its session, and refuse its commit when it wakes', async () => {
    await own.close()
    options = { ...options, sessionTimeoutMs: 400, heartbeatMs: 50 }
    own = createSqliteLog(options)
    const signal = createSignal()
    const group = { groupId: 'frozen', topics, signal, positions: 'own' as const }
    const frozen = await startProcess()
    const sleeper = await joinGroup(frozen.log, group)
    await signal.until(() => sleeper.owned().length === allPartitions.length)
    await sleeper.consumer.commit(new Map([['left', new Map([[3, 1]])]]))
    frozen.child.kill('SIGSTOP')
    const heir = await joinGroup(own, group)
    await signal.until(() => heir.owned().length === allPartitions.length)
    await heir.consumer.commit(new Map([['left', new Map([[3, 7]])]]))

    // The commit waits in the pipe and is the first thing the process does when it wakes.
    const late = sleeper.consumer.commit(new Map([['left', new Map([[3, 2]])]]))
    frozen.child.kill('SIGCONT')
    await expect(late).rejects.toMatchObject({ name: 'LogError', code: 'fenced' })
    expect((await own.committed('frozen', ['left'])).get('left')!.get(3)).toBe(7)
    // It joins again by itself, as a member like any other.
    await signal.until(() => sleeper.owned().length === 3 && heir.owned().length === 3)
    expect([...sleeper.owned(), ...heir.owned()].toSorted(ascending)).toEqual(allPartitions)
    expect(sleeper.errors).toMatchObject([{ message: expect.stringContaining('took this member for dead') }])
  })

  it('wake each other without a member leaving the loop idle: a record of one reaches the other', async () => {
    const signal = createSignal()
    const remote = await startProcess()
    const member = await joinGroup(own, { groupId: 'listener', topics, signal })
    await signal.until(() => member.owned().length === allPartitions.length)
    for (let i = 1; i <= 20; i++) {
      await remote.log.append([{ topic: 'right', key: `${i}`, value: `ping ${i}` }])
      await signal.until(() => member.records.length === i)
    }
    expect(member.records.map(({ value }) => String(value))).toEqual(
      Array.from({ length: 20 }, (_, i) => `ping ${i + 1}`),
    )
  })

  it('leave no file beside the log when all have closed', async () => {
    const signal = createSignal()
    const member = await joinGroup(own, { groupId: 'tidy', topics, signal })
    await signal.until(() => member.owned().length > 0)
    await own.close()
    expect(await readdir(folder)).toEqual(['log.db'])
  })
})
