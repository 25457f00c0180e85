/** Contract: topics, appends, placement, bytes, bounded reads, errors of one call. */
import { expect, it } from 'vitest'
import { LogError, type AppendRecord } from '../../src/log/event-log.ts'
import { createTopic, readAll, uniqueName, type ContractContext } from './support.ts'
import { placementVectors } from './placement-vectors.ts'

export function describeAppends(context: () => ContractContext): void {
  describeTopics(context)
  describeCoordinates(context)
  describeBytes(context)
  describeReads(context)
  describeRefusals(context)
}

function describeTopics(context: () => ContractContext): void {
  it('creates topics once, also when two handles do it at the same time', async () => {
    const [a, b] = [await context().open(), await context().open()]
    const specs = [
      { name: uniqueName('orders'), partitions: 3 },
      { name: uniqueName('pizza'), partitions: 3 },
    ]
    await Promise.all([a.ensureTopics(specs), b.ensureTopics(specs)])
    await a.ensureTopics(specs)
    const names = specs.map(({ name }) => name)
    expect([...(await b.ends(names))]).toEqual(names.map((name) => [name, [0, 0, 0]]))
    expect([...(await b.starts(names))]).toEqual(names.map((name) => [name, [0, 0, 0]]))
  })

  it('says which topic has another number of partitions, what it has and what was wanted', async () => {
    const log = await context().open()
    const topic = await createTopic(log, 3)
    const refusal = log.ensureTopics([{ name: topic, partitions: 5 }])
    await expect(refusal).rejects.toMatchObject({ name: 'LogError', code: 'partition-count' })
    await expect(refusal).rejects.toThrow(new RegExp(`${topic}.*\\b3\\b.*\\b5\\b`))
  })
}

function describeCoordinates(context: () => ContractContext): void {
  it('gives every record of overlapping appends the coordinates where it is found', async () => {
    const [a, b] = [await context().open(), await context().open()]
    const topics = [await createTopic(a, 3, 'left'), await createTopic(a, 3, 'right')]
    const calls = Array.from({ length: 120 }, (_, call) =>
      Array.from({ length: 1 + (call % 4) }, (__, i): AppendRecord => {
        return { topic: topics[(call + i) % 2]!, key: `key-${call % 17}`, value: `value-${call}-${i}` }
      }),
    )
    const placed = await Promise.all(calls.map((records, call) => (call % 3 === 0 ? a : b).append(records)))
    const stored = new Map<string, string>()
    for (const topic of topics) {
      for (const partition of [0, 1, 2]) {
        const records = await readAll(a, { topic, partition })
        expect(records.map(({ offset }) => offset)).toEqual(records.map((_, index) => index))
        for (const record of records)
          stored.set(`${topic}/${partition}@${record.offset}`, `${record.key} ${record.value}`)
      }
    }
    const answered = placed.flatMap((coordinates, call) =>
      coordinates.map(({ topic, partition, offset }, i) => {
        const { key, value } = calls[call]![i]!
        return [`${topic}/${partition}@${offset}`, `${String(key)} ${String(value)}`] as const
      }),
    )
    expect(new Map(answered)).toEqual(stored)
    expect(answered).toHaveLength(stored.size)
  })

  it('keeps the records of one key in the order of the calls', async () => {
    const log = await context().open()
    const topic = await createTopic(log, 4)
    const values = Array.from({ length: 300 }, (_, i) => `${i}`)
    const placed = await Promise.all(values.map((value) => log.append([{ topic, key: 'one key', value }])))
    const { partition } = placed[0]![0]!
    expect((await readAll(log, { topic, partition })).map(({ value }) => String(value))).toEqual(values)
  })

  it('places keys as the Java client does', async () => {
    const log = await context().open()
    for (const partitions of [3, 8]) {
      const topic = await createTopic(log, partitions)
      const placed = await log.append(placementVectors.map(({ key }) => ({ topic, key, value: '' })))
      const wanted = placementVectors.map(({ hash }) => (hash & 0x7fffffff) % partitions)
      expect(placed.map(({ partition }) => partition)).toEqual(wanted)
    }
  })

  it('finds a place for records without a key', async () => {
    const log = await context().open()
    const topic = await createTopic(log, 2)
    const [first] = await log.append([{ topic, key: null, value: 'keyless' }])
    expect([0, 1]).toContain(first!.partition)
    expect(await readAll(log, first!)).toMatchObject([{ key: null, value: Buffer.from('keyless') }])
  })

  it('answers an append of nothing with nothing', async () => {
    const log = await context().open()
    expect(await log.append([])).toEqual([])
  })
}

function describeBytes(context: () => ContractContext): void {
  const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  const cases: { title: string; key: string | Buffer | null; value: string | Buffer | null }[] = [
    { title: 'text beyond ASCII', key: 'käse 🧀', value: '{"cheese":"crème fraîche 🍕"}' },
    { title: 'every byte', key: everyByte, value: Buffer.concat([everyByte, everyByte]) },
    { title: 'text with a NUL inside', key: 'a\0b', value: '\0' },
    { title: 'a tombstone', key: 'gone', value: null },
    { title: 'an empty value, which is no tombstone', key: 'k', value: '' },
    { title: 'an empty buffer', key: 'k', value: Buffer.alloc(0) },
    { title: 'no key', key: null, value: 'v' },
    { title: '60 KiB', key: 'large', value: 'x'.repeat(60 * 1024) },
  ]
  const toBytes = (part: string | Buffer | null) => (part === null ? null : Buffer.from(part))

  it.each(cases)('returns key and value byte for byte: $title', async ({ key, value }) => {
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const beforeMs = Date.now()
    await log.append([{ topic, key, value }])
    const [record] = await readAll(log, { topic, partition: 0 })
    expect(record).toMatchObject({ topic, partition: 0, offset: 0 })
    expect(record!.key).toEqual(toBytes(key))
    expect(record!.value).toEqual(toBytes(value))
    expect(record!.headers).toBeUndefined()
    expect(record!.timestampMs).toBeGreaterThanOrEqual(beforeMs)
    expect(record!.timestampMs).toBeLessThanOrEqual(Date.now())
  })

  it('returns headers as they were given', async () => {
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const headers = { error: 'käse is no number', 'source-topic': 'pizza', empty: '' }
    await log.append([{ topic, key: 'k', value: 'v', headers }])
    expect((await readAll(log, { topic, partition: 0 }))[0]!.headers).toEqual(headers)
  })

  it.each(['synced', 'ordered'] as const)(
    'keeps a %s append when the process that made it dies',
    async (durability) => {
      const { log, crash } = await context().openCrashable()
      const topic = await createTopic(log, 1)
      await log.append([{ topic, key: 'k', value: 'durable' }], { durability })
      await crash()
      expect(await readAll(await context().open(), { topic, partition: 0 })).toMatchObject([
        { value: Buffer.from('durable') },
      ])
    },
  )

  it('syncs what others appended, also when there is nothing to sync', async () => {
    const [a, b] = [await context().open(), await context().open()]
    await a.sync()
    const topic = await createTopic(a, 1)
    await a.append([{ topic, key: 'k', value: 'v' }], { durability: 'ordered' })
    await Promise.all([b.sync(), b.sync(), a.sync()])
  })
}

function describeReads(context: () => ContractContext): void {
  it('reads from `from` up to, not including, `to`, in pages', async () => {
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const at = { topic, partition: 0 }
    await log.append(Array.from({ length: 2_500 }, (_, i) => ({ topic, key: 'k', value: `${i}` })))
    const offsets = async (from: number, to: number) => (await readAll(log, at, from, to)).map(({ offset }) => offset)
    const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
    expect(await offsets(0, 2_500)).toEqual(range(0, 2_500))
    expect(await offsets(3, 7)).toEqual([3, 4, 5, 6])
    expect(await offsets(2_499, 2_500)).toEqual([2_499])
    expect(await offsets(5, 5)).toEqual([])
    for await (const page of log.read(at, { from: 0, to: 2_500 })) {
      expect(page.length).toBeLessThan(2_500)
      break
    }
    expect(await offsets(0, 1)).toEqual([0])
  })

  it('skips what is no longer stored and goes on counting', async ({ skip }) => {
    const { deleteBelow } = context().harness
    if (!deleteBelow) return skip('the harness cannot delete records')
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const at = { topic, partition: 0 }
    await log.append(['a', 'b', 'c', 'd'].map((value) => ({ topic, key: 'k', value })))
    await deleteBelow(at, 3)
    expect((await log.starts([topic])).get(topic)).toEqual([3])
    expect((await log.ends([topic])).get(topic)).toEqual([4])
    expect((await readAll(log, at, 0, 4)).map(({ offset }) => offset)).toEqual([3])
    expect(await log.append([{ topic, key: 'k', value: 'e' }])).toEqual([{ ...at, offset: 4 }])
  })
}

function describeRefusals(context: () => ContractContext): void {
  it('refuses a topic it does not know, by name', async () => {
    const log = await context().open()
    const topic = uniqueName('nobody-made-it')
    const wanted = { name: 'LogError', code: 'unknown-topic', message: expect.stringContaining(topic) }
    await expect(log.append([{ topic, key: 'k', value: 'v' }])).rejects.toMatchObject(wanted)
    await expect(log.ends([topic])).rejects.toMatchObject(wanted)
    await expect(readAll(log, { topic, partition: 0 }, 0, 1)).rejects.toMatchObject(wanted)
  })

  it('refuses a record that is too large, and only the call that brought it', async () => {
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const [large, small] = await Promise.allSettled([
      log.append([
        { topic, key: 'k', value: 'goes down with it' },
        { topic, key: 'k', value: 'x'.repeat(2 * 1024 * 1024) },
      ]),
      log.append([{ topic, key: 'k', value: 'small' }]),
    ])
    expect(large).toMatchObject({ status: 'rejected', reason: { name: 'LogError', code: 'record-too-large' } })
    expect(small.status).toBe('fulfilled')
    expect(await readAll(log, { topic, partition: 0 })).toMatchObject([{ value: Buffer.from('small') }])
  })

  it('flushes when closed, refuses appends after that, and may be closed twice', async () => {
    const log = await context().open()
    const topic = await createTopic(log, 1)
    const flushed = log.append([{ topic, key: 'k', value: 'v' }])
    await Promise.all([log.close(), log.close()])
    expect(await flushed).toEqual([{ topic, partition: 0, offset: 0 }])
    const refusal = log.append([{ topic, key: 'k', value: 'late' }])
    await expect(refusal).rejects.toBeInstanceOf(LogError)
    await expect(refusal).rejects.toMatchObject({ code: 'closed' })
  })
}
