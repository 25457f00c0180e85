/** What a start says on standard output: what runs where, and what to type next. */
import { keepsState, roles, type Config } from './config.ts'

export interface Running {
  readonly version: string
  readonly config: Config
  readonly urls: { readonly orders?: string; readonly report?: string; readonly metrics?: string }
  /** From the start of the process until every role of it answered. */
  readonly tookMs: number
}

/** Prints the banner, without colour and with a final line break. */
export function printBanner({ version, config, urls, tookMs }: Running): string {
  const { log, dataDir, demoOrdersPerSecond } = config
  const isWhole = config.roles.length === roles.length
  const state = keepsState(config) ? `, state in ${dataDir}` : ''
  const where =
    log.kind === 'sqlite' ? `embedded log in ${dataDir}` : `Kafka at ${log.connection.brokers.join(', ')}${state}`
  const facts = [
    ['log', where],
    ['roles', isWhole ? 'all, in this process' : config.roles.join(', ')],
    ...(urls.orders === undefined ? [] : [['orders', urls.orders]]),
    ...(urls.report === undefined ? [] : [['report', `${urls.report}/report`]]),
    ...(urls.metrics === undefined ? [] : [['metrics', `${urls.metrics}/metrics`]]),
    ...(demoOrdersPerSecond > 0 ? [['demo', `${demoOrdersPerSecond} random orders a second`]] : []),
  ]
  const hints = [
    ...(urls.orders === undefined
      ? []
      : [
          [`curl -X POST ${urls.orders}/order/3`, 'orders 3 pizzas and answers the order_id'],
          [`curl ${urls.orders}/order/ORDER_ID`, 'shows them'],
        ]),
    ...(urls.report === undefined ? [] : [[`curl ${urls.report}/report`, 'counts the cheeses']]),
  ]
  return [
    `pizza-actors ${version}, up in ${Math.round(tookMs)} ms`,
    ...columns(facts),
    ...(hints.length === 0 ? [] : ['', ...columns(hints)]),
    '',
    'Ctrl-C stops it.',
    '',
  ].join('\n')
}

function columns(rows: ReadonlyArray<readonly string[]>): string[] {
  const width = Math.max(...rows.map(([first = '']) => first.length))
  return rows.map(([first = '', second = '']) => `  ${first.padEnd(width)}  ${second}`)
}
