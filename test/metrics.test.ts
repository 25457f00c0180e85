import { readFileSync } from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parseConfig } from '../src/config.ts'
import type { EventLog } from '../src/log/event-log.ts'
import { createMemoryLog, createMemoryStorage } from '../src/log/memory-log.ts'
import { createLogger } from '../src/logger.ts'
import { metricTable, type MetricDefinition } from '../src/metric-table.ts'
import { startShop } from '../src/shop.ts'
import { createFolder } from './main-process.ts'
import { until } from './support/until.ts'

const table = new Map<string, MetricDefinition>(Object.entries(metricTable))

/** Starts roles on a memory log, with every door on a free port. */
async function open(roles: readonly string[] = [], wrap = (log: EventLog) => log) {
  const argv = [...roles, '--port', '0', '--report-port', '0', '--metrics-port', '0', '--data', createFolder()]
  const parsed = parseConfig({ argv, env: {}, readFile: () => '', version: '' })
  if (parsed.kind !== 'start') throw new Error('Expected a configuration')
  const log = createMemoryLog({ storage: createMemoryStorage(), commitMs: 1 })
  const logger = await createLogger({ level: 'silent', destination: { write() {} }, format: 'json' })
  const shop = await startShop(parsed.config, { log: wrap(log), logger })
  onTestFinished(async () => {
    await shop.stop()
    await log.close()
  })
  const { orders = '', report = '', metrics = '' } = shop.urls
  return { log, urls: { orders, report, metrics } }
}

/** Samples by name and labels, as Prometheus would store them. Without samples of the event loop, between scrapes that follow at once, its mean is Nan. */
async function scrape(url: string): Promise<Map<string, number>> {
  const answer = await fetch(`${url}/metrics`)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  const lines = (await answer.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const [, sample = '', value = ''] = /^([a-z_]\w*(?:\{(?:\w+="[^"\\]*",?)*\})?) ([\d.e+-]+|Nan)$/i.exec(line) ?? []
      expect(sample, line).not.toBe('')
      return [sample, Number(value)]
    }),
  )
}

async function order(url: string, count: number): Promise<string> {
  const placed = (await (await fetch(`${url}/order/${count}`, { method: 'POST' })).json()) as { order_id: string }
  const shown = await fetch(`${url}/order/${placed.order_id}`, { headers: { prefer: 'wait=10' } })
  expect(await shown.json()).toMatchObject({ status: 'ready' })
  return placed.order_id
}

const nameOf = (sample: string) => sample.split('{', 1)[0]!

describe('The metrics of a shop', () => {
  test('say what it did', async () => {
    const { log, urls } = await open()
    // The first scrape counts what is in the store, the later ones what is added.
    await order(urls.orders, 2)
    await scrape(urls.orders)
    await order(urls.orders, 3)
    await log.append([{ topic: 'pizza', key: '7', value: 'no pizza' }])
    await fetch(`${urls.orders}/nowhere/at/all`)
    await until('the last checkpoint', async () => {
      const found = await scrape(urls.orders)
      return (
        found.get('pizza_orders{state="ready"}') === 2 && found.get('pizza_checkpoint_age_seconds{role="orders"}') === 0
      )
    })

    const found = await scrape(urls.orders)
    expect(Object.fromEntries(found)).toMatchObject({
      pizza_log_up: 1,
      'pizza_build_info{version="0.1.0",log="memory"}': 1,
      'pizza_role_ready{role="sauce"}': 1,
      'pizza_partitions{role="cheese-reporter"}': 6,
      'pizza_records_taken_total{role="orders"}': 22,
      'pizza_records_taken_total{role="sauce"}': 6,
      'pizza_records_taken_total{role="cheese-reporter"}': 5,
      'pizza_dead_letters_total{role="sauce",reason="not-json"}': 1,
      'pizza_dead_letters_total{role="cheese",reason="not-json"}': 0,
      'pizza_rebalances_total{role="meats"}': 1,
      'pizza_outbox_records{role="orders"}': 0,
      'pizza_orders{state="preparing"}': 0,
      pizza_live_actors: 0,
      pizza_passivations_total: 2,
      pizza_behind_records: 0,
      'pizza_http_requests_total{method="POST",route="/order/{count}",status="201"}': 2,
      'pizza_http_requests_total{method="GET",route="/order/{id}",status="200"}': 2,
      'pizza_http_requests_total{method="GET",route="none",status="404"}': 1,
      pizza_http_requests_in_flight: 1,
    })
    expect(found.get('pizza_checkpoint_snapshots_total')).toBeGreaterThanOrEqual(2)
    expect(found.get('pizza_checkpoint_snapshot_bytes_total')).toBeGreaterThan(500)
    expect(found.get('pizza_checkpoint_seconds_total{role="orders"}')).toBeGreaterThan(0)
    // Every metric of the table has its moment here, each with its own labels.
    expect(new Set([...found.keys()].map(nameOf).filter((name) => name.startsWith('pizza_')))).toEqual(
      new Set(table.keys()),
    )
    for (const sample of found.keys()) {
      const labels = [...sample.matchAll(/(\w+)="/g)].map(([, label]) => label)
      if (sample.startsWith('pizza_')) expect(labels, sample).toEqual(table.get(nameOf(sample))!.labels)
    }
  })

  test('are on every port of a process, with those of Node.js from the first scrape on', async () => {
    const { urls } = await open()
    for (const url of Object.values(urls)) {
      const found = await scrape(url)
      expect(found.get('pizza_role_ready{role="veggies"}')).toBe(1)
      expect(found.get('nodejs_eventloop_lag_p99_seconds')).toBeLessThan(60)
      expect(found.get('process_resident_memory_bytes')).toBeGreaterThan(1e7)
    }
  })

  test('of a topping alone are on the port for metrics, and tell nothing of orders', async () => {
    const { log, urls } = await open(['sauce'])
    expect(urls).toMatchObject({ orders: '', report: '' })
    await log.append([{ topic: 'pizza', key: '7', value: '{"order_id":"7","pizza_id":1}' }])
    await until(
      'the pizza to be taken',
      async () => (await scrape(urls.metrics)).get('pizza_records_taken_total{role="sauce"}') === 1,
    )
    const names = [...(await scrape(urls.metrics)).keys()].map(nameOf)
    expect(names).not.toContain('pizza_orders')
    expect(names).not.toContain('pizza_live_actors')
    expect(await (await fetch(`${urls.metrics}/readyz`)).json()).toEqual({ ready: true, reasons: [] })
  })

  test('come without lag when the log does not answer', async () => {
    let isAway = false
    const never = new Promise<never>(() => {})
    const wrap = (log: EventLog): EventLog => ({ ...log, ends: (topics) => (isAway ? never : log.ends(topics)) })
    const { urls } = await open([], wrap)
    expect((await scrape(urls.metrics)).get('pizza_log_up')).toBe(1)
    isAway = true
    const found = await scrape(urls.metrics)
    expect(found.get('pizza_log_up')).toBe(0)
    expect([...found.keys()].map(nameOf)).not.toContain('pizza_lag_records')
    expect(found.get('pizza_role_ready{role="orders"}')).toBe(1)
  })

  test('do not grow with what callers make up', async () => {
    const { urls } = await open()
    for (let i = 0; i < 20; i++) {
      await fetch(`${urls.orders}/made/up/${i}`)
      await fetch(`${urls.orders}/order/${10 ** 9 + i}`)
      await fetch(`${urls.orders}/order/${i}`, { method: 'PROPFIND' })
    }
    const found = [...(await scrape(urls.orders)).keys()].filter((sample) =>
      sample.startsWith('pizza_http_requests_total'),
    )
    expect(found.toSorted()).toEqual([
      'pizza_http_requests_total{method="GET",route="/order/{id}",status="404"}',
      'pizza_http_requests_total{method="GET",route="none",status="404"}',
      'pizza_http_requests_total{method="other",route="/order/{part}",status="405"}',
    ])
  })
})

const read = (path: string) => readFileSync(new URL(`../docs/${path}`, import.meta.url), 'utf8')

test('The page for operators lists every metric with its type, labels and meaning, and no other', () => {
  const rows = read('operate.md')
    .split('\n')
    .filter((line) => line.startsWith('| `pizza_'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
    .filter((cells) => cells.length === 4)
  expect(rows).toEqual([...table].map(([name, { type, labels, help }]) => [name, type, labels.join(', '), help]))
})

test('Names and types follow the conventions of Prometheus', () => {
  for (const [name, { type, labels }] of table) {
    expect(name).toMatch(/^pizza_[a-z]+(_[a-z]+)*$/)
    expect(name.endsWith('_total'), name).toBe(type === 'counter')
    expect(name).not.toMatch(/_(ms|millis|kb|count)(_|$)/)
    for (const label of labels) expect(label).toMatch(/^[a-z]+$/)
  }
})

describe('The dashboard and the alerts', () => {
  interface Panel {
    title: string
    targets?: { expr: string; legendFormat: string }[]
  }
  const { panels } = JSON.parse(read('grafana-dashboard.json')) as { panels: Panel[] }
  const queries = panels.flatMap(({ title, targets = [] }) => targets.map((target) => ({ title, ...target })))
  const alerts = [...read('operate.md').matchAll(/^\| `(.*(?:==|>).*?)` +\|/gm)].map(([, expr = '']) => expr)

  test('ask only for metrics that there are', async () => {
    expect(queries.length).toBeGreaterThan(20)
    expect(alerts.length).toBeGreaterThan(5)
    const { urls } = await open()
    const known = new Set([...table.keys(), ...[...(await scrape(urls.metrics)).keys()].map(nameOf)])
    const asked = [...queries.map(({ expr }) => expr), ...alerts].flatMap((expr) => [
      ...expr.matchAll(/\b(?:pizza|process|nodejs)_\w+/g),
    ])
    for (const [name] of asked) expect(known).toContain(name)
    // What nobody can see is not worth a scrape.
    expect([...table.keys()].filter((name) => !asked.some(([found]) => found === name))).toEqual([])
  })

  test('group and filter by labels that these metrics have, and count by rates', () => {
    for (const { expr, legendFormat, title } of queries) {
      const names = [...expr.matchAll(/\bpizza_\w+/g)].map(([name]) => name)
      const labels = new Set(['job', 'instance', ...names.flatMap((name) => table.get(name)!.labels)])
      const grouped = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '))
      const filtered = [...expr.matchAll(/(\w+)=~?"/g)].map(([, label]) => label)
      const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label)
      for (const label of [...grouped, ...filtered, ...shown]) expect(labels, `${title}: ${expr}`).toContain(label)
      for (const name of names) {
        if (table.get(name)!.type === 'counter') expect(expr, title).toMatch(new RegExp(`(rate|increase)\\(${name}`))
      }
    }
  })
})
