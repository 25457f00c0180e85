/** Report. `GET /report`: how many pizzas got which cheese. */
import type { Report } from '../actors/report.ts'
import { sendJson, type Route } from './exchange.ts'

export function createReportRoutes({ report }: { report: Report }): Route[] {
  return [
    {
      method: 'GET',
      path: '/report',
      summary: 'Counts pizzas by choice of cheese.',
      handle: (_req, res) => sendJson(res, 200, report.counts(), { 'cache-control': 'no-cache' }),
    },
  ]
}
