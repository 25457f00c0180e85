/**
 * The Kafka configuration file: key=value lines as Confluent Cloud hands them out, with or without `[section]` headings, to a
 * connection. Reports every problem; warns of keys it does not know.
 *
 * F1: no value of a key that holds a secret appears in a problem or warning; the password is not enumerable in what is returned.
 * F2: a file with headings is an INI file, where a backslash is a backslash; without headings it is a Java properties file, where
 *     it escapes. `properties-file` reads both, so for the former backslashes are doubled first.
 */
import { Properties } from 'properties-file/parser'
import type { KafkaConnection, KafkaSasl } from './log/kafka-connection.ts'
import { didYouMean } from './setting-kinds.ts'

export interface FileConfig {
  /** Missing when there are problems. */
  readonly connection?: KafkaConnection
  readonly groupId?: string
  readonly startFrom?: 'earliest' | 'latest'
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
}

export interface FileConfigOptions {
  /** How messages name the file. */
  readonly path: string
  /** Values that go before the file's, by key, with the variable each comes from. */
  readonly overrides: ReadonlyArray<{ readonly key: string; readonly value: string; readonly source: string }>
  /** Reads the certificates of `ssl.ca.location`. Throws as node:fs does. */
  readonly readFile: (path: string) => string
}

interface Entry {
  readonly value: string
  /** Where it stands, for messages: `config.properties line 3`, or a variable. */
  readonly source: string
}

type Entries = Map<string, Entry>

/** Other names of the same thing. */
const aliases: Readonly<Record<string, string>> = { 'sasl.mechanism': 'sasl.mechanisms' }

const sections = ['kafka_client', 'consumer']

const keys = [
  'bootstrap.servers',
  'client.id',
  'security.protocol',
  'sasl.mechanisms',
  'sasl.username',
  'sasl.password',
  'sasl.jaas.config',
  'ssl.ca.location',
  'group.id',
  'auto.offset.reset',
]

const starts: Readonly<Record<string, 'earliest' | 'latest'>> = {
  earliest: 'earliest',
  smallest: 'earliest',
  beginning: 'earliest',
  latest: 'latest',
  largest: 'latest',
  end: 'latest',
}

const mechanisms: Readonly<Record<string, KafkaSasl['mechanism']>> = {
  PLAIN: 'plain',
  'SCRAM-SHA-256': 'scram-sha-256',
  'SCRAM-SHA-512': 'scram-sha-512',
}

/** Reads the text of a configuration file. Never throws: what is wrong is in `problems`, a sentence each. */
export function parseConfigFile(text: string, { path, overrides, readFile }: FileConfigOptions): FileConfig {
  const problems: string[] = []
  const warnings: string[] = []
  const entries = readEntries(text, path, problems, warnings)
  readJaas(entries, problems)
  for (const { key, value, source } of overrides) entries.set(key, { value, source })
  refusePlaceholders(entries, problems)

  const missing = (key: string, why: string) => problems.push(`${path}: ${key} is missing; ${why}`)
  const brokers = readBrokers(entries, problems, missing)
  const protocol = readChoice(entries, 'security.protocol', protocols, problems) ?? protocols.PLAINTEXT
  const sasl = readSasl(entries, protocol.sasl, { problems, warnings, missing })
  const ssl = protocol.ssl ? readCertificates(entries, problems, readFile) : false
  const startFrom = readChoice(entries, 'auto.offset.reset', starts, problems)
  const groupId = readName(entries, 'group.id', problems)
  const clientId = readName(entries, 'client.id', problems) ?? 'pizza-actors'
  return {
    ...(problems.length === 0 && { connection: { brokers, clientId, ssl, ...(sasl !== undefined && { sasl }) } }),
    ...(groupId !== undefined && { groupId }),
    ...(startFrom !== undefined && { startFrom }),
    problems,
    warnings,
  }
}

const protocols = {
  PLAINTEXT: { ssl: false, sasl: false },
  SSL: { ssl: true, sasl: false },
  SASL_PLAINTEXT: { ssl: false, sasl: true },
  SASL_SSL: { ssl: true, sasl: true },
}

/** The keys of the file, the last of equals. Warns of unknown sections, unknown keys and keys written twice. */
function readEntries(text: string, path: string, problems: string[], warnings: string[]): Entries {
  const entries: Entries = new Map()
  const isIni = /^[ \t]*\[[^\]\r\n]+\][ \t]*\r?$/m.test(text)
  let isKnownSection = true
  for (const { key: written, value, rawLines, startingLineNumber } of parseLines(text, isIni, path, problems)) {
    const source = `${path} line ${startingLineNumber}`
    const line = rawLines[0]!.trim()
    const heading = /^\[([^\]]+)\]$/.exec(line)?.[1]?.trim()
    if (isIni && heading !== undefined) {
      isKnownSection = sections.includes(heading)
      if (!isKnownSection) warnings.push(`${source}: section [${heading}] is not used${didYouMean(heading, sections)}`)
      continue
    }
    if (!isKnownSection || (isIni && line.startsWith(';'))) continue
    const key = aliases[written] ?? written
    if (!keys.includes(key)) {
      warnings.push(`${source}: ${toShown(key)} is not supported and is ignored${didYouMean(key, keys)}`)
      continue
    }
    const earlier = entries.get(key)
    if (earlier !== undefined) warnings.push(`${source}: ${key} is written twice; this one counts`)
    // The Java clients trim every value, passwords included.
    entries.set(key, { value: value.trim(), source })
  }
  return entries
}

/** A secret on a line of its own, or split at its `=`, would read as a key: only what looks like one is shown. */
function toShown(key: string): string {
  return /^[a-z]+(\.[a-z0-9_-]+)+$/.test(key) && key.length <= 60 ? key : 'this line'
}

function parseLines(text: string, isIni: boolean, path: string, problems: string[]) {
  try {
    return new Properties(isIni ? text.replaceAll('\\', '\\\\') : text).getProperties()
  } catch {
    // The parser's message quotes the value, which may be the password.
    problems.push(`${path}: a \\u in it is not followed by four hexadecimal digits; write \\\\ for one backslash`)
    return []
  }
}

/** Takes user name and password out of the login module line that Java programs use. */
function readJaas(entries: Entries, problems: string[]): void {
  const jaas = entries.get('sasl.jaas.config')
  if (jaas === undefined) return
  const { value, source } = jaas
  let found = 0
  for (const [, name, double, single] of value.matchAll(
    /\b(username|password)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')/g,
  )) {
    entries.set(`sasl.${name}`, { value: (double ?? single ?? '').replace(/\\(.)/g, '$1'), source })
    found++
  }
  if (found < 2) problems.push(`${source}: sasl.jaas.config: expected … required username="…" password="…";`)
}

/** A file downloaded and not filled in would otherwise show as a refused login much later. */
function refusePlaceholders(entries: Entries, problems: string[]): void {
  for (const [key, { value, source }] of entries) {
    if (/^(\{\{.*\}\}|<.*>)$/.test(value))
      problems.push(`${source}: ${key} still holds a placeholder; put the real value there`)
  }
}

function readBrokers(
  entries: Entries,
  problems: string[],
  missing: (key: string, why: string) => void,
): readonly string[] {
  const entry = entries.get('bootstrap.servers')
  const brokers = (entry?.value ?? '')
    .split(',')
    .map((broker) => broker.trim())
    .filter(Boolean)
  if (brokers.length === 0) missing('bootstrap.servers', 'it names the brokers as host:port, separated by commas')
  for (const broker of brokers) {
    const port = Number(/^[\w.-]+:(\d{1,5})$/.exec(broker)?.[1])
    if (!(port > 0 && port < 65_536)) {
      problems.push(`${entry?.source}: bootstrap.servers: expected host:port, got ${JSON.stringify(broker)}`)
    }
  }
  return brokers
}

function readChoice<T>(
  entries: Entries,
  key: string,
  choices: Readonly<Record<string, T>>,
  problems: string[],
): T | undefined {
  const entry = entries.get(key)
  if (entry === undefined) return undefined
  const names = Object.keys(choices)
  const name = names.find((name) => name.toLowerCase() === entry.value.toLowerCase())
  if (name !== undefined) return choices[name]
  const hint = didYouMean(entry.value, names)
  problems.push(
    `${entry.source}: ${key}: expected one of ${names.join(', ')}, got ${JSON.stringify(entry.value)}${hint}`,
  )
  return undefined
}

function readName(entries: Entries, key: string, problems: string[]): string | undefined {
  const entry = entries.get(key)
  if (entry?.value === '') problems.push(`${entry.source}: ${key}: expected a name, got nothing`)
  return entry?.value
}

function readSasl(
  entries: Entries,
  isWanted: boolean,
  {
    problems,
    warnings,
    missing,
  }: { problems: string[]; warnings: string[]; missing: (key: string, why: string) => void },
): KafkaSasl | undefined {
  const username = entries.get('sasl.username')
  const password = entries.get('sasl.password')
  if (!isWanted) {
    const unused = username ?? password
    if (unused !== undefined)
      warnings.push(`${unused.source}: the login is not used: security.protocol is without SASL`)
    return undefined
  }
  const mechanism = readChoice(entries, 'sasl.mechanisms', mechanisms, problems)
  if (!entries.has('sasl.mechanisms'))
    missing('sasl.mechanisms', `expected one of ${Object.keys(mechanisms).join(', ')}`)
  if (!username?.value) missing('sasl.username', 'give it in the file or as PIZZA_SASL_USERNAME')
  if (!password?.value) missing('sasl.password', 'give it in the file or as PIZZA_SASL_PASSWORD')
  return createSasl(mechanism ?? 'plain', username?.value ?? '', password?.value ?? '')
}

/** The password can be read by name only: spreads and JSON leave it out, and inspect shows that there is one. */
function createSasl(mechanism: KafkaSasl['mechanism'], username: string, password: string): KafkaSasl {
  const shown = () => ({ mechanism, username, password: '[redacted]' })
  const hidden = { password, toJSON: shown, [Symbol.for('nodejs.util.inspect.custom')]: shown }
  const sasl = { mechanism, username }
  for (const key of Reflect.ownKeys(hidden)) Object.defineProperty(sasl, key, { value: Reflect.get(hidden, key) })
  return sasl as KafkaSasl
}

function readCertificates(
  entries: Entries,
  problems: string[],
  readFile: (path: string) => string,
): KafkaConnection['ssl'] {
  const entry = entries.get('ssl.ca.location')
  if (entry === undefined) return true
  try {
    return { ca: [readFile(entry.value)] }
  } catch (error) {
    problems.push(`${entry.source}: ssl.ca.location: cannot read ${entry.value}: ${toReason(error)}`)
    return true
  }
}

/** The middle of a node:fs message: `ENOENT: no such file or directory, open 'x'` → `no such file or directory`. */
export function toReason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return /^[A-Z0-9]+: ([^,]+)/.exec(message)?.[1] ?? message
}
