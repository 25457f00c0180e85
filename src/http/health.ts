/** Health. `/livez`: the process answers; `/readyz`: it can do its work, or why not. Named as Kubernetes does. */
import { sendJson, type Route } from './exchange.ts'

export interface Readiness {
  readonly ready: boolean
  readonly reasons: readonly string[]
}

export function createHealthRoutes(readiness: () => Readiness): Route[] {
  const headers = { 'cache-control': 'no-store' }
  return [
    {
      method: 'GET',
      path: '/livez',
      summary: 'Says that the process is alive.',
      handle: (_req, res) => sendJson(res, 200, { live: true }, headers),
    },
    {
      method: 'GET',
      path: '/readyz',
      summary: 'Says whether the role can do its work, and if not, why.',
      handle: (_req, res) => {
        const { ready, reasons } = readiness()
        sendJson(res, ready ? 200 : 503, { ready, reasons }, headers)
      },
    },
  ]
}
