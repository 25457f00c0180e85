/** Metrics. `GET /metrics`: how this process is doing, as Prometheus reads it. */
import type { Route } from './exchange.ts'

/** Reads every metric of this process at one moment. */
export type Scrape = () => Promise<{ readonly contentType: string; readonly text: string }>

export function createMetricsRoutes(scrape: Scrape): Route[] {
  return [
    {
      method: 'GET',
      path: '/metrics',
      summary: 'Gives the metrics of this process in the format of Prometheus.',
      async handle(_req, res) {
        const { contentType, text } = await scrape()
        const headers = { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }
        res.writeHead(200, { ...headers, 'cache-control': 'no-store' }).end(text)
      },
    },
  ]
}
