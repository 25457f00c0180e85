/** Order list. `GET /orders?status=&after=&limit=`: newest first, page by page. */
import type { OutgoingHttpHeaders } from 'node:http'
import type { Orders } from '../actors/orders.ts'
import { sendJson, type Route } from './exchange.ts'
import { createListQueryParser, type ListQuery } from './parse.ts'

export function createOrderListRoutes({ orders, pageRowsMax }: { orders: Orders; pageRowsMax: number }): Route[] {
  const parseListQuery = createListQueryParser(pageRowsMax)
  return [
    {
      method: 'GET',
      path: '/orders',
      summary: 'Lists orders, newest first.',
      handle: async (req, res) => {
        const query = parseListQuery(req.query)
        const page = await orders.list(query)
        const headers: OutgoingHttpHeaders = { 'cache-control': 'no-cache' }
        if (page.next !== null) headers['link'] = toNextLink(query, page.next)
        sendJson(res, 200, { orders: page.orders, next: page.next }, headers)
      },
    },
  ]
}

/** The Link header (RFC 8288) to the next page: the same query, continued. */
export function toNextLink({ status, limit }: ListQuery, next: string): string {
  const query = new URLSearchParams({ ...(status && { status }), after: next, limit: String(limit) })
  return `</orders?${query.toString()}>; rel="next"`
}
