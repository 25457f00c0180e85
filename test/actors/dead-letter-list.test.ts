import { describe, expect, test } from 'vitest'
import { createDeadLetterList } from '../../src/actors/dead-letter-list.ts'
import { createDeadLetterService } from '../../src/actors/dead-letter-service.ts'
import { parseLetter, toMark, type DeadLetter } from '../../src/actors/dead-letters.ts'
import { createMemoryLog, createMemoryStorage } from '../../src/log/memory-log.ts'

const topic = 'dead-letters'

async function openTopic(partitions = 2) {
  let now = Date.parse('2026-11-01T12:00:00.000Z')
  const log = createMemoryLog({ storage: createMemoryStorage(), now: () => now++ })
  await log.ensureTopics([{ name: topic, partitions }])
  return {
    log,
    async add(reason: string, { role = 'orders', key = 'a', value = '{}' } = {}): Promise<DeadLetter> {
      const source = { topic: 'pizza', partition: '0', offset: '5', appended_at: '2026-11-01T11:00:00.000Z' }
      const headers = { role, reason, detail: 'Because', ...source }
      const [at] = await log.append([{ topic, key, value, headers }])
      for await (const [record] of log.read(at!, { from: at!.offset, to: at!.offset + 1 })) {
        return parseLetter(record!) as DeadLetter
      }
      throw new Error('It is not there')
    },
    async mark(letter: DeadLetter): Promise<void> {
      await log.append([toMark(topic, letter, partitions, { topic: 'pizza', partition: 0, offset: 9 })])
    },
  }
}

describe('The list of dead letters', () => {
  test('is newest first over all partitions, with what was redriven, and counts by role and reason (P6)', async () => {
    const { log, add, mark } = await openTopic()
    const letters = [await add('not-json', { key: 'a', role: 'sauce' }), await add('unknown-order', { key: 'b' })]
    letters.push(await add('not-json', { key: 'c' }), await add('not-json', { key: 'b' }))
    await mark(letters[0]!)
    await mark(letters[0]!)
    const view = await createDeadLetterList(log, topic).look()
    expect(view.rows.map(({ id }) => id)).toEqual(letters.map(({ id }) => id).toReversed())
    expect(view.rows.map(({ redriven_at }) => redriven_at !== null)).toEqual([false, false, false, true])
    expect(view.total).toBe(4)
    expect(view.by_role).toEqual({ sauce: 1, orders: 3 })
    expect(view.by_reason).toEqual([
      { reason: 'not-json', dead_letters: 3, redriven: 1 },
      { reason: 'unknown-order', dead_letters: 1, redriven: 0 },
    ])
  })

  test('reads on from where it was, and learns of a mark that came since', async () => {
    const { log, add, mark } = await openTopic()
    const list = createDeadLetterList(log, topic)
    const letter = await add('not-json')
    expect((await Promise.all([list.look(), list.look()])).map(({ total }) => total)).toEqual([1, 1])
    await mark(letter)
    const { total, rows } = await list.look()
    expect(total).toBe(1)
    expect(rows[0]!.redriven_at).not.toBeNull()
  })

  test('keeps no more than it lists, and knows how many there are besides (P8)', async () => {
    const { log, add } = await openTopic(1)
    for (let n = 0; n < 50; n++) await add('not-json')
    const list = createDeadLetterList(log, topic, { listedMax: 10 })
    const first = await list.look()
    expect(first).toMatchObject({ total: 50, by_role: { orders: 10 } })
    for (let n = 0; n < 50; n++) await add('not-json')
    const second = await list.look()
    expect(second.total).toBe(100)
    expect(second.rows.map(({ id }) => id)).toEqual(Array.from({ length: 10 }, (_, n) => `0-${99 - n}`))
  })

  test('shows what a foreign program wrote as far as it goes, and nothing where there is no topic', async () => {
    const { log } = await openTopic()
    await log.append([{ topic, key: null, value: null }])
    const { rows } = await createDeadLetterList(log, topic).look()
    expect(rows[0]).toMatchObject({ role: 'unknown', reason: 'unknown', order_id: null, source: null, value: '' })
    expect(await createDeadLetterList(log, 'nowhere').look()).toMatchObject({ total: 0, rows: [] })
  })

  test('names the order by the value, else by the key', async () => {
    const { log, add } = await openTopic()
    await add('not-json', { key: '7' })
    await add('unknown-order', { key: '8', value: '{"order_id":"9"}' })
    await add('not-json', { key: 'no order at all' })
    const { rows } = await createDeadLetterList(log, topic).look()
    expect(rows.map(({ order_id }) => order_id)).toEqual([null, '9', '7'])
  })
})

describe('Its pages', () => {
  test('are the same whatever comes meanwhile', async () => {
    const { log, add } = await openTopic()
    const letters = [await add('not-json', { key: 'a' }), await add('not-json', { key: 'b' }), await add('not-json')]
    const service = createDeadLetterService(log, topic, createDeadLetterList(log, topic))
    const first = await service.page({ limit: 2 })
    await add('not-json', { key: 'c' })
    const second = await service.page({ limit: 2, after: first.next! })
    const ids = [...first.dead_letters, ...second.dead_letters].map(({ id }) => id)
    expect(ids).toEqual(letters.map(({ id }) => id).toReversed())
    expect(second.next).toBeNull()
  })
})
