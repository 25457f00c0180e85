/**
 * Settings: every option of the command line with its environment name, default, meaning and check, as one table. The command
 * line, `--help`, docs/config.md and the types of the values are all made from it.
 *
 * S1: `parse` returns the typed value or throws SettingError with what it expected; it never repairs a value.
 */
import { closestMatch } from 'leven'

/** A value that cannot be taken. The message says what was expected and what was given. */
export class SettingError extends Error {
  override readonly name = 'SettingError'
}

export interface Setting<T> {
  /** Long flag without dashes. */
  readonly flag: string
  /** What stands for the value in `--help`; empty for a flag that takes none. */
  readonly value: string
  /** Empty for what only the command line gives. */
  readonly env: string
  /** Taken when the flag is given without a value; a flag without this needs one. */
  readonly bare?: string
  readonly fallback: T
  /** How the default reads in `--help` and in the docs. */
  readonly fallbackText: string
  readonly help: string
  readonly group: 'Serving' | 'Storage' | 'Topics' | 'Limits' | 'Dead letters' | 'Other'
  readonly parse: (text: string) => T
}

type Base<T> = Pick<Setting<T>, 'flag' | 'value' | 'help' | 'group' | 'fallback'> & {
  fallbackText?: string
  bare?: string
}

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** Topic names as Kafka allows them; the dots and underscores it warns about are left to the operator. */
const topicPart = { pattern: /^[\w.-]{0,100}$/, expected: 'at most 100 letters, digits, dots, dashes or underscores' }

export const settings = {
  host: text({
    flag: 'host',
    value: 'address',
    group: 'Serving',
    fallback: '127.0.0.1',
    help: 'address to listen on; 0.0.0.0 for every network',
    pattern: /^[\w.:-]+$/,
    expected: 'an IP address or host name',
  }),
  port: integer({
    flag: 'port',
    value: 'port',
    group: 'Serving',
    fallback: 5000,
    help: 'port of the orders role; 0 picks a free one',
    min: 0,
    max: 65_535,
  }),
  reportPort: integer({
    flag: 'report-port',
    value: 'port',
    group: 'Serving',
    fallback: 5001,
    help: 'port of the cheese-reporter role; 0 picks a free one',
    min: 0,
    max: 65_535,
  }),
  advertisedUrl: text({
    flag: 'advertised-url',
    value: 'url',
    group: 'Serving',
    fallback: '',
    fallbackText: '--host and --port, or the name of this machine for 0.0.0.0',
    help: 'where other instances on the same Kafka reach the orders role of this one',
    pattern: /^https?:\/\/[^\s/]+\/?$/,
    expected: 'an http or https address without a path',
  }),
  metricsPort: integer({
    flag: 'metrics-port',
    value: 'port',
    group: 'Serving',
    fallback: -1,
    fallbackText: 'off',
    help: 'port for /metrics and /readyz alone, whatever the roles; 0 picks a free one',
    min: 0,
    max: 65_535,
  }),
  reportUrl: text({
    flag: 'report-url',
    value: 'url',
    group: 'Serving',
    fallback: '',
    fallbackText: '--report-port on this machine',
    help: 'where the page asks for the cheese report when its role is not in this process',
    pattern: /^https?:\/\/[^\s/]+[^\s]*$/,
    expected: 'an http or https address',
  }),
  inspector: integer({
    flag: 'inspector',
    value: 'n',
    group: 'Serving',
    fallback: 0,
    fallbackText: 'off; 20 when given without a number',
    bare: '20',
    help: 'show so many new orders in the Stately inspector, at /inspector; needs the internet',
    min: 0,
    max: 1000,
  }),
  demo: number({
    flag: 'demo',
    value: 'rate',
    group: 'Serving',
    fallback: 0,
    fallbackText: 'off; 2 when given without a rate',
    bare: '2',
    help: 'place this many random orders a second',
    min: 0,
    max: 1000,
  }),
  data: text({
    flag: 'data',
    value: 'dir',
    group: 'Storage',
    fallback: './data',
    help: 'folder of the embedded log and of the state',
    pattern: /\S/,
    expected: 'a folder',
  }),
  config: text({
    flag: 'config',
    value: 'file',
    group: 'Storage',
    fallback: '',
    fallbackText: 'none: the embedded log',
    help: 'properties file of a Kafka cluster to use instead of the embedded log',
    pattern: /\S/,
    expected: 'a file',
  }),
  checkpointMs: integer({
    flag: 'checkpoint-ms',
    value: 'ms',
    group: 'Storage',
    fallback: 100,
    help: 'longest time between two checkpoints of changed orders',
    min: 1,
    max: 60_000,
  }),
  checkpointOrdersMax: integer({
    flag: 'checkpoint-orders-max',
    value: 'n',
    group: 'Storage',
    fallback: 1000,
    help: 'changed orders after which a checkpoint is written at once',
    min: 1,
    max: 100_000,
  }),
  logRetentionHours: number({
    flag: 'log-retention-hours',
    value: 'h',
    group: 'Storage',
    fallback: -1,
    fallbackText: 'keep all',
    help: 'delete records of the embedded log that are older and that every role has read',
    min: 0.01,
    max: 1_000_000,
  }),
  logRetentionMb: integer({
    flag: 'log-retention-mb',
    value: 'mb',
    group: 'Storage',
    fallback: -1,
    fallbackText: 'keep all',
    help: 'delete the oldest records that every role has read while the embedded log is larger',
    min: 10,
    max: 1_000_000_000,
  }),
  partitions: integer({
    flag: 'partitions',
    value: 'n',
    group: 'Topics',
    fallback: 6,
    help: 'partitions of every topic; fixed once the topics exist',
    min: 1,
    max: 1000,
  }),
  replicationFactor: integer({
    flag: 'replication-factor',
    value: 'n',
    group: 'Topics',
    fallback: -1,
    fallbackText: "the cluster's default",
    help: 'copies of each partition of topics created on Kafka',
    min: 1,
    max: 100,
  }),
  topicPrefix: text({
    flag: 'topic-prefix',
    value: 'text',
    group: 'Topics',
    fallback: '',
    fallbackText: 'none',
    help: 'put before every topic name, for example dev-',
    ...topicPart,
  }),
  lastTopic: text({
    flag: 'last-topic',
    value: 'name',
    group: 'Topics',
    fallback: '',
    fallbackText: 'pizza-with- and the last topping',
    help: 'topic of finished pizzas, without the prefix',
    ...topicPart,
  }),
  orderCountMax: integer({
    flag: 'order-count-max',
    value: 'n',
    group: 'Limits',
    fallback: 1000,
    help: 'most pizzas in one order',
    min: 1,
    max: 10_000,
  }),
  liveActorsMax: integer({
    flag: 'live-actors-max',
    value: 'n',
    group: 'Limits',
    fallback: 20_000,
    help: 'most actors held in memory, orders and pizzas together; the others wait on disk',
    min: 1,
    max: 10_000_000,
  }),
  behindRecordsMax: integer({
    flag: 'behind-records-max',
    value: 'n',
    group: 'Limits',
    fallback: 50_000,
    help: 'records the orders role may be behind; above it POST answers 503',
    min: 1,
    max: 1_000_000_000,
  }),
  pageRowsMax: integer({
    flag: 'page-rows-max',
    value: 'n',
    group: 'Limits',
    fallback: 1000,
    help: 'most orders on one page of GET /orders',
    min: 1,
    max: 10_000,
  }),
  waitMsMax: integer({
    flag: 'wait-ms-max',
    value: 'ms',
    group: 'Limits',
    fallback: 30_000,
    help: 'longest time a GET may hold its answer (Prefer: wait)',
    min: 0,
    max: 600_000,
  }),
  drainMs: integer({
    flag: 'drain-ms',
    value: 'ms',
    group: 'Limits',
    fallback: 10_000,
    help: 'longest time to finish work after SIGTERM or SIGINT',
    min: 0,
    max: 86_400_000,
  }),
  reason: onLine(
    text({
      flag: 'reason',
      value: 'reason',
      group: 'Dead letters',
      fallback: '',
      fallbackText: 'any',
      help: 'list or redrive those with this reason',
      pattern: /\S/,
      expected: 'a reason',
    }),
  ),
  role: onLine(
    text({
      flag: 'role',
      value: 'role',
      group: 'Dead letters',
      fallback: '',
      fallbackText: 'any',
      help: 'list or redrive those that this role could not take',
      pattern: /\S/,
      expected: 'a role',
    }),
  ),
  limit: onLine(
    integer({
      flag: 'limit',
      value: 'n',
      group: 'Dead letters',
      fallback: 20,
      help: 'list the newest n',
      min: 1,
      max: 1_000_000,
    }),
  ),
  all: onLine(
    choice({
      flag: 'all',
      value: '',
      group: 'Dead letters',
      fallback: 'off',
      bare: 'on',
      help: 'redrive all that were not redriven yet',
      choices: ['on', 'off'],
    }),
  ),
  yes: onLine(
    choice({
      flag: 'yes',
      value: '',
      group: 'Dead letters',
      fallback: 'off',
      bare: 'on',
      help: 'do it; without it redrive only says what it would do',
      choices: ['on', 'off'],
    }),
  ),
  machine: text({
    flag: 'machine',
    value: 'place',
    group: 'Other',
    fallback: '',
    fallbackText: "this program's own",
    help: 'order.machine.ts that rehearse tries, or the folder or checkout it is in',
    pattern: /\S/,
    expected: 'a file or folder',
  }),
  json: choice({
    flag: 'json',
    value: '',
    group: 'Other',
    fallback: 'off',
    bare: 'on',
    help: 'print what rehearse or dead-letters found as JSON, for programs',
    choices: ['on', 'off'],
  }),
  logLevel: choice({
    flag: 'log-level',
    value: 'level',
    group: 'Other',
    fallback: 'info',
    help: `least level to log: ${logLevels.join(', ')}`,
    choices: logLevels,
  }),
}

export type SettingName = keyof typeof settings
export type Values = { readonly [Name in SettingName]: ReturnType<(typeof settings)[Name]['parse']> }

/** Settings that only the environment may give, because a command line is visible to every user of the machine. */
export const environmentOnly = {
  PIZZA_PAGE_TOKEN: { help: 'who sends it may place orders, stop and start roles from the page; needed off 127.0.0.1' },
  PIZZA_BOOTSTRAP_SERVERS: { key: 'bootstrap.servers', help: 'brokers, instead of bootstrap.servers in the file' },
  PIZZA_SASL_USERNAME: { key: 'sasl.username', help: 'user name, instead of sasl.username in the file' },
  PIZZA_SASL_PASSWORD: { key: 'sasl.password', help: 'password, instead of sasl.password in the file' },
} as const satisfies Record<string, { key?: string; help: string }>

/** `, did you mean …?` with the nearest candidate, or nothing when none is near. */
export function didYouMean(given: string, candidates: readonly string[]): string {
  const maxDistance = Math.max(1, Math.min(3, Math.floor(given.length / 2)))
  const lowered = candidates.map((candidate) => candidate.toLowerCase())
  const nearest = closestMatch(given.toLowerCase(), lowered, { maxDistance })
  return nearest === undefined ? '' : `, did you mean ${candidates[lowered.indexOf(nearest)]}?`
}

function define<T>({ fallbackText, ...base }: Base<T>, parse: (text: string) => T): Setting<T> {
  const env = `PIZZA_${base.flag.toUpperCase().replaceAll('-', '_')}`
  return { ...base, env, fallbackText: fallbackText ?? String(base.fallback), parse }
}

/** A setting that no variable gives: one that is left in an environment must not decide what a later command does. */
function onLine<T>(setting: Setting<T>): Setting<T> {
  return { ...setting, env: '' }
}

function integer({ min, max, ...base }: Base<number> & { min: number; max: number }): Setting<number> {
  return define(base, (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new SettingError(`expected an integer from ${min} to ${max}, got ${JSON.stringify(text)}`)
  })
}

function number({ min, max, ...base }: Base<number> & { min: number; max: number }): Setting<number> {
  return define(base, (text) => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new SettingError(`expected a number from ${min} to ${max}, got ${JSON.stringify(text)}`)
  })
}

function text({ pattern, expected, ...base }: Base<string> & { pattern: RegExp; expected: string }): Setting<string> {
  return define(base, (text) => {
    if (pattern.test(text)) return text
    throw new SettingError(`expected ${expected}, got ${JSON.stringify(text)}`)
  })
}

function choice<const C extends string>({
  choices,
  ...base
}: Base<NoInfer<C>> & { choices: readonly C[] }): Setting<C> {
  return define(base, (text) => {
    const found = choices.find((choice) => choice === text)
    if (found !== undefined) return found
    throw new SettingError(
      `expected one of ${choices.join(', ')}, got ${JSON.stringify(text)}${didYouMean(text, choices)}`,
    )
  })
}
