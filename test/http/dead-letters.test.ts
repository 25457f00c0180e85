import { describe, expect, test } from 'vitest'
import type { DeadLetterPage } from '../../src/actors/dead-letter-service.ts'
import { openShop, readJson, type Shop } from './shop.ts'

const appended_at = '2026-11-01T11:59:59.990Z'

/** A bad record on `pizza`, and what it became. */
async function refuse(
  shop: Shop,
  reason: string,
  { role = 'sauce', value = '<xml/>' }: { role?: string; value?: string | Buffer } = {},
) {
  const [at] = await shop.log.append([{ topic: 'pizza', key: '7', value }])
  const { topic, partition, offset } = at!
  const source = { topic, partition: String(partition), offset: String(offset), appended_at }
  const headers = { role, reason, detail: 'Because', ...source }
  const [letter] = await shop.log.append([{ topic: 'dead-letters', key: '7', value, headers }])
  return { id: `${letter!.partition}-${letter!.offset}`, source: { topic, partition, offset, appended_at } }
}

describe('The API of dead letters', () => {
  test('shows the newest first and leads through every page (P6)', async () => {
    const shop = await openShop()
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.push((await refuse(shop, 'not-json')).id)
    const seen: string[] = []
    let next: string | null = '/dead-letters?reason=not-json&role=sauce&limit=2'
    while (next !== null) {
      const response: Response = await fetch(new URL(next, shop.url))
      const page = await readJson<DeadLetterPage>(response)
      seen.push(...page.dead_letters.map(({ id }) => id))
      next = /^<(.+)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1] ?? null
      expect(page.next === null).toBe(next === null)
    }
    expect(seen).toEqual(ids.toReversed())
  })

  test('shows only those with a reason, of a role', async () => {
    const shop = await openShop()
    await refuse(shop, 'not-json')
    const { id } = await refuse(shop, 'unknown-order', { role: 'orders' })
    for (const query of ['reason=unknown-order', 'role=orders', 'reason=unknown-order&role=orders']) {
      const { dead_letters } = await readJson<DeadLetterPage>(await fetch(`${shop.url}/dead-letters?${query}`))
      expect(dead_letters.map((letter) => letter.id)).toEqual([id])
    }
  })

  test('shows one with why, where from, and its record (P6)', async () => {
    const shop = await openShop()
    const { id, source } = await refuse(shop, 'not-json')
    const body = await readJson<object>(await fetch(`${shop.url}/dead-letters/${id}`))
    expect(body).toEqual({
      dead_letter: {
        id,
        at: expect.any(String),
        role: 'sauce',
        reason: 'not-json',
        detail: 'Because',
        order_id: '7',
        source,
        value: '<xml/>',
        redriven_at: null,
        redriven_from: null,
      },
      record: {
        state: 'on-the-log',
        key: '7',
        key_encoding: 'utf-8',
        value: '<xml/>',
        value_encoding: 'utf-8',
        value_bytes: 6,
        cut_from_bytes: null,
        headers: {},
      },
    })
  })

  test('gives bytes that are no text as base64', async () => {
    const shop = await openShop()
    const value = Buffer.from([0xff, 0x00])
    const { id } = await refuse(shop, 'not-json', { value })
    const { record } = await readJson<{ record: object }>(await fetch(`${shop.url}/dead-letters/${id}`))
    expect(record).toMatchObject({ value: value.toString('base64'), value_encoding: 'base64' })
  })

  test.each(['0-99', '9-0', 'x', '0-0-0'])('knows no dead letter %s', async (id) => {
    const shop = await openShop()
    await refuse(shop, 'not-json')
    const response = await fetch(`${shop.url}/dead-letters/${id}`)
    expect(response.status).toBe(404)
    expect((await readJson(response)).type).toBe('/problems/dead-letter-not-found')
  })

  test.each([
    ['limit=0', 'bad-query', 'limit: expected a whole number from 1 to 50'],
    ['reason=bad', 'bad-query', 'reason: expected one of not-json, invalid-record'],
    ['status=ready', 'bad-query', 'status: not known here; the known ones are reason, role, after, limit'],
    ['after=0-99', 'bad-cursor', 'Give `next` of the page before'],
  ])('refuses the query %s and says what it takes', async (query, name, detail) => {
    const shop = await openShop()
    const response = await fetch(`${shop.url}/dead-letters?${query}`)
    expect(response.status).toBe(400)
    const problem = await readJson(response)
    expect(problem.type).toBe(`/problems/${name}`)
    expect(problem.detail).toContain(detail)
  })

  test('says that the log is away', async () => {
    const shop = await openShop()
    await shop.log.close()
    const response = await fetch(`${shop.url}/dead-letters`)
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('1')
  })
})
