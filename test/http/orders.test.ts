import { describe, expect, test } from 'vitest'
import { printNextLink } from '../../src/http/exchange.ts'
import type { OrderPage } from '../../src/actors/orders.ts'
import { openShop, readJson } from './shop.ts'

describe('The API listing orders', () => {
  test('shows the newest first and leads through every page', async () => {
    const shop = await openShop()
    const ids = [1, 2, 3, 4, 5].map((count) => shop.add(count))
    const seen: string[] = []
    const sizes: number[] = []
    let next: string | null = '/orders?limit=2'
    while (next !== null) {
      const response: Response = await fetch(new URL(next, shop.url))
      const page = await readJson<OrderPage>(response)
      seen.push(...page.orders.map(({ id }) => id))
      sizes.push(page.orders.length)
      next = /^<(.+)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1] ?? null
      expect(page.next === null).toBe(next === null)
    }
    expect(seen).toEqual(ids.toReversed())
    expect(sizes).toEqual([2, 2, 1])
  })

  test('shows only the orders of a status, on this page and in the link to the next', async () => {
    const shop = await openShop()
    const [first, second] = [shop.add(1), shop.add(2), shop.add(3)]
    for (const id of [first, second]) shop.finish(id)
    const response = await fetch(`${shop.url}/orders?status=ready&limit=1`)
    const { orders } = await readJson<OrderPage>(response)
    expect(orders).toEqual([
      {
        id: second,
        count: 2,
        status: 'ready',
        placed_at: '2026-11-01T12:00:00.000Z',
        ready_at: '2026-11-01T12:00:00.000Z',
      },
    ])
    expect(response.headers.get('link')).toBe(`</orders?status=ready&after=${second}&limit=1>; rel="next"`)
  })

  test('escapes a cursor in the link', () => {
    expect(printNextLink('/orders', { limit: 5 }, 'a&b>=')).toBe('</orders?after=a%26b%3E%3D&limit=5>; rel="next"')
  })

  test.each([
    ['limit=0', 'limit: expected a whole number from 1 to 50'],
    ['limit=51', 'limit: expected a whole number from 1 to 50'],
    ['limit=2.5', 'limit: expected a whole number from 1 to 50'],
    ['limit=1&limit=2', 'limit: expected once'],
    ['status=done', 'status: expected preparing or ready'],
    ['after=', 'after: expected 1 to 500 visible ASCII characters'],
    ['page=2&sort=x', 'page, sort: not known here; the known ones are status, after, limit'],
    ['__proto__=1', '__proto__: not known here'],
  ])('refuses the query %s and says what it takes', async (query, detail) => {
    const shop = await openShop()
    const response = await fetch(`${shop.url}/orders?${query}`)
    expect(response.status).toBe(400)
    const problem = await readJson(response)
    expect(problem).toMatchObject({ type: '/problems/bad-query', instance: '/orders' })
    expect(problem.detail).toContain(detail)
  })

  test('refuses a cursor it did not give out', async () => {
    const shop = await openShop()
    const response = await fetch(`${shop.url}/orders?after=xyz`)
    expect(response.status).toBe(400)
    expect((await readJson(response)).type).toBe('/problems/bad-cursor')
  })
})
