/**
 * Metrics: reads the metric table at each scrape and prints it for Prometheus, with prom-client's metrics of the process beside it
 * (CPU, memory, event-loop delay, garbage collection).
 *
 * The library is loaded at the first scrape: nobody who does not look pays for it, and every counter has counted all the same.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Counter, Gauge } from 'prom-client'
import packageJson from '../package.json' with { type: 'json' }
import { readLags, type PartitionLag } from './actors/lag.ts'
import type { Listening } from './http/listen.ts'
import type { Scrape } from './http/metrics.ts'
import type { OwnedRoles } from './local-roles.ts'
import type { EventLog } from './log/event-log.ts'
import { metricTable, type MetricDefinition, type Reading, type RunningRole, type Sample } from './metric-table.ts'
import type { Topics } from './topics.ts'

export interface MetricsOptions {
  readonly log: EventLog
  readonly topics: Topics
  readonly groupId: string
  readonly roles: OwnedRoles
  /** Ports beside those of the roles. */
  readonly ports: () => readonly Listening[]
  /** How long the log may take to tell the lag (default 2,000). */
  readonly lagTimeoutMs?: number
}

const firstSamplesMs = 50
const contentType = 'text/plain; version=0.0.4; charset=utf-8'

/** Creates what `GET /metrics` answers with. Scrapes that overlap share one reading. */
export function createScrape(options: MetricsOptions): Scrape {
  let printer: Promise<(reading: Reading) => Promise<string>> | undefined
  let running: ReturnType<Scrape> | undefined
  const scrape = async () => {
    printer ??= createPrinter()
    const [print, reading] = await Promise.all([printer, read(options)])
    return { contentType, text: await print(reading) }
  }
  return () =>
    (running ??= scrape().finally(() => {
      running = undefined
    }))
}

async function createPrinter(): Promise<(reading: Reading) => Promise<string>> {
  const { default: client } = await import('prom-client')
  const ofProcess = new client.Registry()
  client.collectDefaultMetrics({ register: ofProcess })
  // The event loop's delay is sampled every 10 ms: without a sample the first scrape would tell of a delay of 292 years.
  await sleep(firstSamplesMs)
  return async (reading) => {
    // Made anew each time: what has no sample in this process, such as orders in a topping's, is then not there at all.
    const register = new client.Registry()
    for (const [name, { type, help, labels, read }] of Object.entries<MetricDefinition>(metricTable)) {
      const samples = read(reading)
      if (samples.length === 0) continue
      const options = { name, help, labelNames: labels, registers: [register] }
      const add =
        type === 'counter' ? createCounter(new client.Counter(options)) : createGauge(new client.Gauge(options))
      for (const { labels, value } of samples) add(labels, value)
    }
    return `${await register.metrics()}\n${await ofProcess.metrics()}`
  }
}

const createCounter = (counter: Counter) => (labels: Sample['labels'], value: number) => counter.inc(labels, value)
const createGauge = (gauge: Gauge) => (labels: Sample['labels'], value: number) => gauge.set(labels, value)

async function read(options: MetricsOptions): Promise<Reading> {
  const { log, roles, ports } = options
  const lags = await readOwnLags(options)
  const running: RunningRole[] = []
  const listening = [...ports()]
  for (const { role, state } of roles.list()) {
    const started = roles.find(role)
    if (started === undefined) continue
    running.push({ role, isReady: state === 'running' && started.role.readiness().ready, stats: started.role.stats() })
    if (started.listening) listening.push(started.listening)
  }
  const traffic = listening.map((port) => port.traffic())
  return { version: packageJson.version, logKind: log.kind, roles: running, lags, traffic }
}

/** Only of the partitions that this process owns, so that several instances add up. */
async function readOwnLags({ log, topics, groupId, roles, lagTimeoutMs = 2_000 }: MetricsOptions) {
  const owned = new Map<string, readonly number[]>()
  for (const { role } of roles.list()) {
    const started = roles.find(role)
    if (started !== undefined) owned.set(role, started.role.stats().partitions)
  }
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), lagTimeoutMs)
  const lags = await Promise.race([
    readLags(log, topics, groupId, [...owned.keys()]).catch((): undefined => undefined),
    late,
  ])
  clearTimeout(timer)
  return lags?.filter(({ role, partition }: PartitionLag) => owned.get(role)?.includes(partition))
}
