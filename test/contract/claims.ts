/** Contract: claims on one partition. The newest writes, alone; readers see whole appends and nothing of those refused. */
import { expect, it, type TestContext } from 'vitest'
import type { Claim, ClaimRecord, EventLog, TopicPartition } from '../../src/log/event-log.ts'
import { createSignal, createTopic, joinGroup, readAll, uniqueName, valuesOf } from './support.ts'
import type { ContractContext } from './support.ts'
import { until } from '../support/until.ts'

type ClaimingLog = EventLog & Required<Pick<EventLog, 'claim'>>

const toRecords = (values: readonly string[]): ClaimRecord[] => values.map((value) => ({ key: 'k', value }))
/** Records whose append takes several requests. */
const bulky = (name: string) =>
  Array.from({ length: 40 }, (_, i) => ({ key: `${i}`, value: `${name} ${i} ${'x'.repeat(60_000)}` }))
const namesOf = (values: readonly string[]) => values.map((value) => value.split(' x')[0]!)

/** Reads what there is when readers see the append that ended at `position`. */
async function readWith(log: EventLog, at: TopicPartition, position: number, from = 0): Promise<string[]> {
  const endsAt = async () => (await log.ends([at.topic])).get(at.topic)![at.partition]!
  await until(`the end of ${at.topic}/${at.partition} to reach ${position}`, async () => (await endsAt()) >= position)
  return namesOf(valuesOf(await readAll(log, at, from)))
}

export function describeClaims(context: () => ContractContext): void {
  /** Opens handles of logs that know claims, and a partition that is not the first. */
  async function open(skip: TestContext['skip']): Promise<{ logs: [ClaimingLog, ClaimingLog]; at: TopicPartition }> {
    const logs = [await context().open(), await context().open()]
    if (!logs.every((log): log is ClaimingLog => log.claim !== undefined)) return skip('this log knows no claims')
    return { logs: [logs[0]!, logs[1]!], at: { topic: await createTopic(logs[0]!, 3, 'claimed'), partition: 2 } }
  }

  describeAppendsThroughClaims(open)
  describeHandOvers(open, context)
}

type Open = (skip: TestContext['skip']) => Promise<{ logs: [ClaimingLog, ClaimingLog]; at: TopicPartition }>

function describeAppendsThroughClaims(open: Open): void {
  it('appends through a claim to its partition, whatever the keys, and tells the position after', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const claim = await logs[0].claim(at)
    expect(claim).toMatchObject(at)
    const values = Array.from({ length: 20 }, (_, i) => `${i}`)
    const position = await claim.append(values.map((value) => ({ key: value, value })))
    expect(await readWith(logs[1], at, position)).toEqual(values)
    expect(valuesOf(await readAll(logs[1], at, 0, position))).toEqual(values)
    expect(await readAll(logs[1], at, position)).toEqual([])
    const next = await claim.append([
      { key: 'gone', value: null },
      { key: 'bytes', value: Buffer.from([0, 255]) },
    ])
    await readWith(logs[1], at, next)
    const records = await readAll(logs[1], at, position, next)
    expect(records.map(({ key, value }) => [String(key), value])).toEqual([
      ['gone', null],
      ['bytes', Buffer.from([0, 255])],
    ])
    expect(await readAll(logs[1], at, next)).toEqual([])
    expect(await readAll(logs[1], { ...at, partition: 0 })).toEqual([])
  })

  it('appends nothing when given nothing, and tells the position', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const claim = await logs[0].claim(at)
    const first = await claim.append([])
    const position = await claim.append(toRecords(['1']))
    expect(await readWith(logs[1], at, position, first)).toEqual(['1'])
    expect(await claim.append([])).toBe(position)
    expect(await readAll(logs[1], at, position)).toEqual([])
  })

  it('brings an append of more than a megabyte whole and in order', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const claim = await logs[0].claim(at)
    await claim.append(toRecords(['before']))
    const position = await claim.append(bulky('big'))
    const end = await claim.append(toRecords(['after']))
    const wanted = Array.from({ length: 40 }, (_, i) => `big ${i}`)
    expect(await readWith(logs[1], at, end)).toEqual(['before', ...wanted, 'after'])
    expect(namesOf(valuesOf(await readAll(logs[1], at, 0, position)))).toEqual(['before', ...wanted])
  })

  it('shows readers all records of an append or none', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const claim = await logs[0].claim(at)
    const appends = 8
    let isWriting = true
    const written = (async () => {
      let position = 0
      for (let i = 0; i < appends; i++) position = await claim.append(bulky(`append-${i}`))
      isWriting = false
      return position
    })()
    for (let looks = 0; isWriting || looks === 0; looks++) {
      const names = namesOf(valuesOf(await readAll(logs[1], at)))
      const whole = Array.from({ length: names.length / 40 }, (_, i) =>
        Array.from({ length: 40 }, (_record, j) => `append-${i} ${j}`),
      )
      expect(names).toEqual(whole.flat())
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await readWith(logs[1], at, await written)).toHaveLength(appends * 40)
  }, 60_000)

  it('delivers what is appended through claims to consumers, as any record', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const signal = createSignal()
    const member = await joinGroup(logs[1], { groupId: uniqueName('group'), topics: [at.topic], signal })
    const claim = await logs[0].claim(at)
    await claim.append(toRecords(['1', '2']))
    await (await logs[1].claim(at)).append(toRecords(['3']))
    await signal.until(() => member.records.length >= 3)
    expect(valuesOf(member.records)).toEqual(['1', '2', '3'])
    expect(member.violations).toEqual([])
  })

  it('refuses a record that is too large, writes none of its append, and is over', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const claim = await logs[0].claim(at)
    const records = [...toRecords(['fits']), { key: 'k', value: 'x'.repeat(2_000_000) }]
    await expect(claim.append(records)).rejects.toMatchObject({ name: 'LogError', code: 'record-too-large' })
    await expect(claim.append(toRecords(['next']))).rejects.toMatchObject({ code: 'record-too-large' })
    const position = await (await logs[1].claim(at)).append(toRecords(['other']))
    expect(await readWith(logs[1], at, position)).toEqual(['other'])
  })

  it('takes one append at a time', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const claim = await logs[0].claim(at)
    const first = claim.append(toRecords(['1']))
    await expect(claim.append(toRecords(['2']))).rejects.toBeInstanceOf(TypeError)
    await first
    const position = await claim.append(toRecords(['3']))
    expect(await readWith(logs[1], at, position)).toEqual(['1', '3'])
  })

  it('refuses partitions that do not exist, and claims of a log that is closed', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const missing = { topic: uniqueName('missing'), partition: 0 }
    await expect(logs[0].claim({ ...at, partition: 3 })).rejects.toMatchObject({ code: 'unknown-topic' })
    await expect(logs[0].claim(missing)).rejects.toMatchObject({ code: 'unknown-topic' })
    const claim = await logs[0].claim(at)
    await logs[0].close()
    await expect(claim.append(toRecords(['late']))).rejects.toMatchObject({ code: 'closed' })
    await expect(logs[0].claim(at)).rejects.toMatchObject({ code: 'closed' })
  })
}

function describeHandOvers(open: Open, context: () => ContractContext): void {
  it('refuses the older of two claims, for good, and shows nothing of what it was refused', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const older = await logs[0].claim(at)
    await older.append(toRecords(['of the older']))
    const newer = await logs[1].claim(at)
    await expect(older.append(toRecords(['refused']))).rejects.toMatchObject({ name: 'LogError', code: 'fenced' })
    await newer.append(toRecords(['of the newer']))
    await expect(older.append(toRecords(['refused again']))).rejects.toMatchObject({ code: 'fenced' })
    const position = await newer.append(toRecords(['and more']))
    expect(await readWith(logs[0], at, position)).toEqual(['of the older', 'of the newer', 'and more'])
  })

  it('leaves claims on other partitions alone', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const other = { ...at, partition: 0 }
    const [claim, neighbour] = [await logs[0].claim(at), await logs[0].claim(other)]
    await logs[1].claim(other)
    const position = await claim.append(toRecords(['mine']))
    await expect(neighbour.append(toRecords(['refused']))).rejects.toMatchObject({ code: 'fenced' })
    expect(await readWith(logs[1], at, position)).toEqual(['mine'])
  })

  it('shows the claimer all that earlier claims appended, at once', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const values: string[] = []
    for (let i = 0; i < 10; i++) {
      const claim = await logs[i % 2]!.claim(at)
      const end = (await logs[i % 2]!.ends([at.topic])).get(at.topic)![at.partition]!
      expect(valuesOf(await readAll(logs[i % 2]!, at, 0, end))).toEqual(values)
      values.push(`${i}`)
      await claim.append(toRecords([`${i}`]))
    }
  })

  it('settles an append in flight when it is taken over: whole before the newer ones, or refused and never seen', async ({
    skip,
  }) => {
    const { logs, at } = await open(skip)
    const wanted: string[] = []
    const outcomes = new Set<string>()
    for (let round = 0; round < 12; round++) {
      const older = await logs[round % 2]!.claim(at)
      const appended = older.append(bulky(`older-${round}`)).then(
        () => 'appended',
        (error: unknown) => (error as { code: string }).code,
      )
      // From before the append has begun to after it is done.
      for (let turns = 0; turns < round * 4; turns++) await new Promise((resolve) => setImmediate(resolve))
      const newer = await logs[(round + 1) % 2]!.claim(at)
      const before = namesOf(valuesOf(await readAll(logs[0], at)))
      const position = await newer.append(toRecords([`newer-${round}`]))
      const outcome = await appended
      outcomes.add(outcome)
      if (outcome === 'appended') wanted.push(...namesOf(bulky(`older-${round}`).map(({ value }) => value)))
      expect(before).toEqual(wanted)
      wanted.push(`newer-${round}`)
      expect(await readWith(logs[1], at, position)).toEqual(wanted)
    }
    for (const outcome of outcomes) expect(['appended', 'fenced']).toContain(outcome)
  }, 60_000)

  it('lets one of many that claim at once go on, the newest', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const claims = await Promise.all(Array.from({ length: 6 }, (_, i) => logs[i % 2]!.claim(at)))
    const outcomes = await Promise.allSettled(claims.map((claim, i) => claim.append(toRecords([`${i}`]))))
    const winners = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [{ i, ...outcome }] : []))
    expect(winners).toHaveLength(1)
    expect(await readWith(logs[0], at, winners[0]!.value)).toEqual([`${winners[0]!.i}`])
  })

  it('keeps what a crashed owner appended, and hands over', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const crashable = await context().openCrashable()
    const victim = await crashable.log.claim!(at)
    await victim.append(toRecords(['1']))
    void victim.append(bulky('cut off')).catch(() => {})
    await crashable.crash()
    const heir = await logs[0].claim(at)
    const [first, ...rest] = namesOf(valuesOf(await readAll(logs[1], at)))
    expect(first).toBe('1')
    expect([0, 40]).toContain(rest.length)
    const position = await heir.append(toRecords(['2']))
    expect(await readWith(logs[1], at, position)).toEqual(['1', ...rest, '2'])
  })

  it('is over when released, and stays the newest for others', async ({ skip }) => {
    const { logs, at } = await open(skip)
    const older: Claim = await logs[0].claim(at)
    const newer = await logs[1].claim(at)
    newer.release()
    newer.release()
    await expect(newer.append(toRecords(['late']))).rejects.toMatchObject({ code: 'closed' })
    await expect(older.append(toRecords(['refused']))).rejects.toMatchObject({ code: 'fenced' })
    expect(await readAll(logs[0], at)).toEqual([])
  })
}
