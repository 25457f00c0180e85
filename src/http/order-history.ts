/** Order history. `GET /order/{id}/history`: every event an order took, where it stands in the log, and the state after it. */
import type { Orders } from '../actors/orders.ts'
import { pathPart, sendJson, type Route } from './exchange.ts'
import { unknownOrder } from './order.ts'
import { isOrderId } from './parse.ts'
import { ProblemError } from './problem.ts'

export function createOrderHistoryRoutes({ orders }: { orders: Orders }): Route[] {
  return [
    {
      method: 'GET',
      path: '/order/:id/history',
      summary: 'Shows every event the order took and the state after it.',
      handle: async (req, res) => {
        const id = pathPart(req, 'id')
        const events = isOrderId(id) ? await orders.history(id) : undefined
        if (events === undefined) throw unknownOrder(id)
        sendJson(res, 200, { id, events }, { 'cache-control': 'no-cache' })
      },
    },
    {
      method: 'GET',
      path: '/order/:id/history/:version',
      summary: 'Shows one event with its record as stored, and the order before and after it.',
      handle: async (req, res) => {
        const id = pathPart(req, 'id')
        const version = pathPart(req, 'version')
        const isPossible = isOrderId(id) && /^[1-9]\d{0,8}$/.test(version)
        const step = isPossible ? await orders.step(id, Number(version)) : undefined
        if (step === undefined)
          throw new ProblemError('event-not-found', `GET /order/{id}/history lists the events there are.`)
        sendJson(res, 200, { id, ...step }, { 'cache-control': 'no-cache' })
      },
    },
  ]
}
