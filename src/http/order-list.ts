/** Order list. `GET /orders?status=&after=&limit=`: newest first, page by page. */
import type { Orders } from '../actors/orders.ts'
import { sendPage, type Route } from './exchange.ts'
import { createListQueryParser } from './parse.ts'

export function createOrderListRoutes({ orders, pageRowsMax }: { orders: Orders; pageRowsMax: number }): Route[] {
  const parseListQuery = createListQueryParser(pageRowsMax)
  return [
    {
      method: 'GET',
      path: '/orders',
      summary: 'Lists orders, newest first.',
      handle: async (req, res) => {
        const query = parseListQuery(req.query)
        sendPage(res, '/orders', query, await orders.list(query))
      },
    },
  ]
}
