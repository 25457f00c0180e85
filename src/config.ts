/**
 * Configuration: command line, environment and properties file to one frozen object, or every problem at once. Pure: what it
 * needs of the world comes in as arguments, and main decides what to do with the answer.
 *
 * C1: the command line goes before the environment, the environment before the file, the file before the defaults.
 * C2: a secret is in the connection and nowhere else: no message, no JSON, no inspection shows it.
 */
import { commands, parseCommandLine, printHelp, type CommandLine, type CommandName, type Environment } from './cli.ts'
import { parseConfigFile, toReason, type FileConfig } from './config-file.ts'
import { parseDeadLettersRequest, type DeadLettersRequest } from './dead-letters-request.ts'
import type { KafkaConnection } from './log/kafka-connection.ts'
import { recipe } from './menu.ts'
import { environmentOnly, settings, type LogLevel, type SettingName, type Values } from './settings.ts'
import { createTopics } from './topics.ts'

export interface Config {
  /** Which programs run in this process, in the order of the work. */
  readonly roles: readonly string[]
  readonly http: {
    readonly host: string
    readonly port: number
    readonly reportPort: number
    /** By which name other instances reach this one; absent: the one it listens on. */
    readonly advertisedHost?: string
    /** Absent: no port of its own for metrics. */
    readonly metricsPort?: number
    readonly countMax: number
    readonly waitMsMax: number
    readonly pageRowsMax: number
  }
  readonly page: {
    /** Where the cheese report is when its role runs elsewhere. */
    readonly reportUrl: string
    /** What the page must send to change something; empty for none. A function, so that nothing prints it. */
    readonly token: () => string
    /** How many new orders the Stately inspector is shown; 0 is off. */
    readonly inspectorOrdersMax: number
  }
  readonly dataDir: string
  readonly log: { readonly kind: 'sqlite' } | { readonly kind: 'kafka'; readonly connection: KafkaConnection }
  /** Consumer groups are named `${groupId}.${role}`. */
  readonly groupId: string
  /** Where topping services begin that have no position yet. */
  readonly startFrom: 'earliest' | 'latest'
  readonly topics: {
    readonly prefix: string
    readonly lastTopic?: string
    readonly partitions: number
    /** Absent: the cluster's default. */
    readonly replicationFactor?: number
    /** Whether checkpoints go through the log, so that orders can move between hosts. */
    readonly hasSnapshots: boolean
  }
  /** Which old records the embedded log deletes; absent: none. */
  readonly retention: { readonly hours?: number; readonly mb?: number }
  /** How often checkpoints of other instances are read; 0 is never. */
  readonly standbyMs: number
  /** How long ready orders stay in the state store; absent: for ever. */
  readonly readyOrdersHours?: number
  readonly liveActorsMax: number
  readonly behindRecordsMax: number
  readonly checkpointMs: number
  readonly checkpointOrdersMax: number
  readonly drainMs: number
  /** 0 is off. */
  readonly demoOrdersPerSecond: number
  readonly logLevel: LogLevel
  /** Which machines rehearse tries; absent: this program's own. */
  readonly machine?: string
  /** Print for programs. */
  readonly json: boolean
  /** Only with the command dead-letters. */
  readonly deadLetters?: DeadLettersRequest
}

export type Parsed =
  | { readonly kind: 'start' | CommandName; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'problems'; readonly problems: readonly string[] }

export interface Sources {
  /** The words after the program's name. */
  readonly argv: readonly string[]
  readonly env: Environment
  /** Throws as node:fs does. */
  readonly readFile: (path: string) => string
  readonly version: string
}

/** Every role there is: the orders role, one for each topping, the cheese reporter. */
export const roles: readonly string[] = ['orders', ...recipe.map(({ topping }) => topping), 'cheese-reporter']

/** Puts the configuration together. Never throws for what a user gave: that comes back as `problems`. */
export function parseConfig({ argv, env, readFile, version }: Sources): Parsed {
  const line = parseCommandLine(argv, env, roles)
  if (line.command === 'help') return { kind: 'print', text: printHelp(roles) }
  if (line.command === 'version') return { kind: 'print', text: version }
  const file = line.values.config === '' ? undefined : readConfigFile(line.values.config, env, readFile)
  const asked = line.command === 'dead-letters' ? parseDeadLettersRequest(line.words, line.values, roles) : undefined
  const problems = [
    ...line.problems,
    ...(asked?.problems ?? []),
    ...contradictions(line.values, line.roles),
    ...misplaced(line),
    ...(file?.problems ?? []),
  ]
  if (problems.length > 0) return { kind: 'problems', problems }
  const besides = { chosen: line.roles, file, token: env['PIZZA_PAGE_TOKEN'] ?? '' }
  const config = { ...toConfig(line.values, besides), ...(asked && { deadLetters: asked.request }) }
  return { kind: line.command, config: deepFreeze(config), warnings: [...line.warnings, ...(file?.warnings ?? [])] }
}

/** Whether this process keeps anything in the data folder: topping services on Kafka do not. */
export function keepsState({ log, roles }: Config): boolean {
  return log.kind === 'sqlite' || roles.includes('orders') || roles.includes('cheese-reporter')
}

function readConfigFile(path: string, env: Environment, readFile: Sources['readFile']): FileConfig {
  const overrides = Object.entries(environmentOnly).flatMap(([source, setting]) => {
    const key = 'key' in setting ? setting.key : undefined
    const value = env[source]
    return key && value ? [{ key, value, source }] : []
  })
  try {
    return parseConfigFile(readFile(path), { path, overrides, readFile })
  } catch (error) {
    return { problems: [`--config: cannot read ${path}: ${toReason(error)}`], warnings: [] }
  }
}

/** What is wrong with values that are right one by one. */
function contradictions(values: Values, chosen: readonly string[]): string[] {
  const problems: string[] = []
  const isHere = (role: string) => chosen.includes(role)
  const { port, reportPort, metricsPort, demo, inspector, host } = values
  const doors = [
    ['--port', port, isHere('orders')],
    ['--report-port', reportPort, isHere('cheese-reporter')],
    ['--metrics-port', metricsPort, true],
  ] as const
  const open = doors.filter(([, wanted, isOpen]) => isOpen && wanted > 0)
  open.forEach(([flag, wanted], index) => {
    const other = open.slice(0, index).find(([, taken]) => taken === wanted)?.[0]
    if (other !== undefined) problems.push(`${other} and ${flag}: expected two ports, got ${wanted} for both`)
  })
  if (inspector > 0 && !/^(?:localhost|127\.[\d.]+|::1)$/.test(host)) {
    problems.push(
      `--inspector: expected --host 127.0.0.1 beside it, because it shows orders to a page of another site, got ${host}`,
    )
  }
  if (values.config !== '') {
    const given = [
      ['--log-retention-hours', values.logRetentionHours],
      ['--log-retention-mb', values.logRetentionMb],
    ] as const
    for (const [flag, value] of given) {
      if (value > 0)
        problems.push(`${flag}: expected no --config beside it, because on Kafka the topics say it (retention.ms)`)
    }
  }
  if (demo > 0 && !isHere('orders')) problems.push('--demo: expected the role orders beside it, which takes its orders')
  const names = createTopics(recipe, toTopics(values)).specs.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined)
    problems.push(`--last-topic: expected a topic of its own, got ${twice}, which has another use`)
  return problems
}

/** Options that only another command takes. */
function misplaced({ command, values }: CommandLine): string[] {
  const takers = new Map<SettingName, string[]>()
  for (const [name, { options }] of Object.entries(commands)) {
    for (const option of options as readonly SettingName[]) takers.set(option, [...(takers.get(option) ?? []), name])
  }
  return [...takers].flatMap(([option, names]) => {
    const { flag, fallback } = settings[option]
    if (values[option] === fallback || names.includes(command)) return []
    return [`--${flag}: expected the command ${names.join(' or ')} before it`]
  })
}

function toTopics({ topicPrefix, lastTopic, partitions, replicationFactor, config }: Values): Config['topics'] {
  return {
    // One process works on an embedded log's orders; on Kafka any number may.
    hasSnapshots: config !== '',
    prefix: topicPrefix,
    ...(lastTopic !== '' && { lastTopic }),
    partitions,
    ...(replicationFactor > 0 && { replicationFactor }),
  }
}

interface Beside {
  readonly chosen: readonly string[]
  readonly file: FileConfig | undefined
  readonly token: string
}

function toConfig(values: Values, { chosen, file, token }: Beside): Config {
  const { host, port, reportPort, metricsPort, orderCountMax, waitMsMax, pageRowsMax } = values
  return {
    roles: chosen,
    http: {
      host,
      port,
      reportPort,
      ...(values.advertisedHost !== '' && { advertisedHost: values.advertisedHost }),
      ...(metricsPort >= 0 && { metricsPort }),
      countMax: orderCountMax,
      waitMsMax,
      pageRowsMax,
    },
    page: {
      reportUrl: values.reportUrl || `http://127.0.0.1:${reportPort}`,
      token: () => token,
      inspectorOrdersMax: values.inspector,
    },
    dataDir: values.data,
    log: file?.connection === undefined ? { kind: 'sqlite' } : { kind: 'kafka', connection: file.connection },
    groupId: file?.groupId ?? 'pizza-actors',
    startFrom: file?.startFrom ?? 'earliest',
    topics: toTopics(values),
    retention: {
      ...(values.logRetentionHours > 0 && { hours: values.logRetentionHours }),
      ...(values.logRetentionMb > 0 && { mb: values.logRetentionMb }),
    },
    standbyMs: values.standbyMs,
    ...(values.readyOrdersHours > 0 && { readyOrdersHours: values.readyOrdersHours }),
    liveActorsMax: values.liveActorsMax,
    behindRecordsMax: values.behindRecordsMax,
    checkpointMs: values.checkpointMs,
    checkpointOrdersMax: values.checkpointOrdersMax,
    drainMs: values.drainMs,
    demoOrdersPerSecond: values.demo,
    logLevel: values.logLevel,
    ...(values.machine !== '' && { machine: values.machine }),
    json: values.json === 'on',
  }
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value) as unknown[]) {
    if (typeof part === 'object' && part !== null) deepFreeze(part)
  }
  return Object.freeze(value)
}
