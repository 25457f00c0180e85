/**
 * Report. `GET /report`: how many pizzas got which cheese, from all reporters. `GET /own/report`: what this one has of it, for the others
 * (shared-report.ts), and for whoever wants to see how the partitions are spread.
 */
import type { Report, SharedReport } from '../actors/report.ts'
import { createExchangeSignal, sendJson, type Route } from './exchange.ts'

export interface ReportRoutesOptions {
  readonly report: SharedReport
  /** Of this reporter alone; absent where it is the only one. */
  readonly own?: Report
  /** Aborts when the server closes. */
  readonly closing: AbortSignal
}

export function createReportRoutes({ report, own, closing }: ReportRoutesOptions): Route[] {
  const routes: Route[] = [
    {
      method: 'GET',
      path: '/report',
      summary: 'Counts pizzas by choice of cheese.',
      handle: async (_req, res) => {
        const counts = await report.read(createExchangeSignal(res, closing))
        sendJson(res, 200, counts, { 'cache-control': 'no-cache' })
      },
    },
  ]
  if (own === undefined) return routes
  return [
    ...routes,
    {
      method: 'GET',
      path: '/own/report',
      summary: 'Counts the pizzas of the partitions this instance owns; one instance asks another.',
      handle: (_req, res) => sendJson(res, 200, printOwn(own), { 'cache-control': 'no-store' }),
    },
  ]
}

/** What a reporter tells another. */
export interface OwnReportJson {
  /** Whether nobody else can own these partitions yet. */
  readonly is_confirmed: boolean
  readonly parts: ReturnType<Report['parts']>
}

function printOwn(own: Report): OwnReportJson {
  return { is_confirmed: own.isConfirmed(), parts: own.parts() }
}
