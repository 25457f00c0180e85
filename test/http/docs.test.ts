import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { createMetricsAppRoutes, createOrdersRoutes, createReportAppRoutes } from '../../src/http/app.ts'
import { toPathTemplate, type Route } from '../../src/http/exchange.ts'
import { createGuard } from '../../src/http/origin.ts'
import { problems } from '../../src/http/problem.ts'
import { createInspectorCalls } from '../../src/inspect/inspector.ts'
import { createPage } from '../../src/inspect/page.ts'
import { createFakeOrders } from './fake-orders.ts'
import { limits, scrape } from './shop.ts'

const docs = readFileSync(new URL('../../docs/http.md', import.meta.url), 'utf8')
const logger = { error: () => {}, warn: () => {} }

/** The rows of the first table under a heading, their cells without backticks. */
function tableUnder(heading: string): string[][] {
  const section = docs.split(/^## /m).find((section) => section.startsWith(`${heading}\n`))
  const rows = section?.split('\n').filter((line) => line.startsWith('|')) ?? []
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  )
}

const toRows = (routes: readonly Route[]) =>
  routes.map(({ method, path, summary }) => [`${method} ${toPathTemplate(path)}`, summary])

describe('The API reference', () => {
  test('lists the calls of the orders role as the code has them', () => {
    const routes = createOrdersRoutes(
      { orders: createFakeOrders().orders, deadLetters: {} as never, limits, scrape, logger },
      new AbortController().signal,
    )
    expect(tableUnder('Calls of the orders role')).toEqual(toRows(routes))
  })

  test('lists the calls between instances as the code has them', () => {
    const { orders } = createFakeOrders()
    const options = { orders, deadLetters: {} as never, limits, scrape, logger }
    const hosts = { own: orders, peers: {} as never }
    const { signal } = new AbortController()
    const alone = new Set(createOrdersRoutes(options, signal).map(({ path }) => path))
    const between = createOrdersRoutes({ ...options, hosts }, signal).filter(({ path }) => !alone.has(path))
    expect(tableUnder('Calls between instances')).toEqual(toRows(between))
  })

  test('lists the calls of the page as the code has them', async () => {
    const guard = createGuard({ host: '127.0.0.1' })
    const none = {} as never
    const page = createPage({
      orders: none,
      machines: [],
      census: none,
      progress: none,
      deadLetters: none,
      roles: none,
      report: none,
      guard,
      countMax: 1,
      hasInspector: true,
      logger,
    })
    const inspector = createInspectorCalls({ orders: none, machine: none, guard, logger, newOrdersMax: 1 })
    expect(tableUnder('Calls of the page')).toEqual(toRows([...page.routes, ...inspector.routes]))
  })

  test('lists the calls of the cheese reporter as the code has them', () => {
    const report = { read: async () => ({}), readiness: () => ({ ready: true, reasons: [] }) }
    const { signal } = new AbortController()
    const alone = toRows(createReportAppRoutes({ report, scrape, logger }, signal))
    expect(tableUnder('Calls of the cheese reporter')).toEqual(alone)
    const between = toRows(createReportAppRoutes({ report, own: {} as never, scrape, logger }, signal))
    const paths = new Set(alone.map(([call]) => call))
    expect(tableUnder('Calls between cheese reporters')).toEqual(between.filter(([call]) => !paths.has(call)))
  })

  test('lists the calls of the metrics port as the code has them', () => {
    const readiness = () => ({ ready: true, reasons: [] })
    expect(tableUnder('Calls of the metrics port')).toEqual(
      toRows(createMetricsAppRoutes({ readiness, scrape, logger })),
    )
  })

  test('lists the problems as the code has them', () => {
    const rows = Object.entries(problems).map(([name, { status, title }]) => [String(status), name, title])
    expect(tableUnder('Problems')).toEqual(rows)
  })
})
