import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { parseConfig, roles, type Config, type Parsed } from '../src/config.ts'
import { settings } from '../src/settings.ts'

const login = `
[kafka_client]
bootstrap.servers=a.example:9092,b.example:9092
security.protocol=SASL_SSL
sasl.mechanisms=PLAIN
sasl.username=ada
sasl.password=s3cr3t

[consumer]
group.id=pizzeria
auto.offset.reset=latest
`

function parse(
  words: string,
  { env = {}, files = {} }: { env?: Record<string, string>; files?: Record<string, string> } = {},
) {
  const readFile = (path: string) => {
    const text = files[path]
    if (text === undefined) throw new Error(`ENOENT: no such file or directory, open '${path}'`)
    return text
  }
  return parseConfig({ argv: words.split(' ').filter(Boolean), env, readFile, version: '1.2.3' })
}

function started(parsed: Parsed): Config {
  if (parsed.kind !== 'start') throw new Error(`Expected a start, got ${inspect(parsed)}`)
  return parsed.config
}

function problems(parsed: Parsed): readonly string[] {
  if (parsed.kind !== 'problems') throw new Error(`Expected problems, got ${inspect(parsed)}`)
  return parsed.problems
}

describe('A configuration', () => {
  test('without any input runs every role on the embedded log with the limits of the design', () => {
    expect(started(parse(''))).toEqual({
      roles: ['orders', 'sauce', 'cheese', 'meats', 'veggies', 'cheese-reporter'],
      http: { host: '127.0.0.1', port: 5000, reportPort: 5001, countMax: 1000, waitMsMax: 30_000, pageRowsMax: 1000 },
      page: { reportUrl: 'http://127.0.0.1:5001', token: expect.any(Function), inspectorOrdersMax: 0 },
      dataDir: './data',
      log: { kind: 'sqlite' },
      groupId: 'pizza-actors',
      startFrom: 'earliest',
      topics: { hasSnapshots: false, prefix: '', partitions: 6 },
      retention: {},
      standbyMs: 2_000,
      liveActorsMax: 5_000,
      behindRecordsMax: 50_000,
      checkpointMs: 100,
      checkpointOrdersMax: 1000,
      drainMs: 10_000,
      demoOrdersPerSecond: 0,
      logLevel: 'info',
      json: false,
    })
  })

  test('takes every option from the command line', () => {
    const words =
      'sauce orders --host 0.0.0.0 --port 1 --report-port=2 --report-url https://r.example --advertised-host a.example --data d --partitions 3 --replication-factor 4 --topic-prefix dev- ' +
      '--last-topic done --order-count-max 5 --live-actors-max 6 --checkpoint-ms 7 --checkpoint-orders-max 8 --drain-ms 9 ' +
      '--wait-ms-max 10 --page-rows-max 11 --behind-records-max 12 --metrics-port 0 --log-level warn --demo 0.5 --log-retention-hours 1.5 --log-retention-mb 100 --standby-ms 0 --ready-orders-hours 24'
    expect(started(parse(words))).toEqual({
      roles: ['orders', 'sauce'],
      http: {
        host: '0.0.0.0',
        port: 1,
        reportPort: 2,
        advertisedHost: 'a.example',
        metricsPort: 0,
        countMax: 5,
        waitMsMax: 10,
        pageRowsMax: 11,
      },
      page: { reportUrl: 'https://r.example', token: expect.any(Function), inspectorOrdersMax: 0 },
      dataDir: 'd',
      log: { kind: 'sqlite' },
      groupId: 'pizza-actors',
      startFrom: 'earliest',
      topics: { hasSnapshots: false, prefix: 'dev-', lastTopic: 'done', partitions: 3, replicationFactor: 4 },
      retention: { hours: 1.5, mb: 100 },
      standbyMs: 0,
      readyOrdersHours: 24,
      liveActorsMax: 6,
      behindRecordsMax: 12,
      checkpointMs: 7,
      checkpointOrdersMax: 8,
      drainMs: 9,
      demoOrdersPerSecond: 0.5,
      logLevel: 'warn',
      json: false,
    })
  })

  test('takes every option from the environment, unless the command line has it or the variable is empty', () => {
    const env: Record<string, string> = {
      PIZZA_PORT: '7000',
      PIZZA_REPORT_PORT: '7001',
      PIZZA_DRAIN_MS: '',
      PIZZA_DEMO: '3',
    }
    const config = started(parse('--port 8000', { env }))
    expect(config.http).toMatchObject({ port: 8000, reportPort: 7001 })
    expect(config).toMatchObject({ drainMs: 10_000, demoOrdersPerSecond: 3 })
    const variables = Object.values(settings).flatMap(({ env: variable }) => (variable === '' ? [] : [variable]))
    expect(new Set(variables).size).toBe(variables.length)
  })

  test('takes the token of the page from the environment and shows it to nobody', () => {
    const config = started(parse('', { env: { PIZZA_PAGE_TOKEN: 's3cret' } }))
    expect(config.page.token()).toBe('s3cret')
    expect(JSON.stringify(config) + inspect(config, { depth: null })).not.toContain('s3cret')
  })

  test('shows orders in the Stately inspector only on loopback', () => {
    expect(started(parse('--inspector')).page.inspectorOrdersMax).toBe(20)
    expect(parse('--inspector 5 --host 0.0.0.0')).toMatchObject({
      kind: 'problems',
      problems: [expect.stringContaining('--inspector: expected --host 127.0.0.1')],
    })
  })

  test('takes a demo without a rate as 2 orders a second', () => {
    expect(started(parse('--demo')).demoOrdersPerSecond).toBe(2)
    expect(started(parse('--demo --port 1')).demoOrdersPerSecond).toBe(2)
  })

  test.each(roles)('can run the role %s alone', (role) => {
    expect(started(parse(role)).roles).toEqual([role])
  })

  test('names a role once, however often it is given', () => {
    expect(started(parse('sauce --port 1 sauce')).roles).toEqual(['sauce'])
  })

  test('takes the Kafka cluster, group and start from the file', () => {
    const config = started(parse('--config config.properties', { files: { 'config.properties': login } }))
    expect(config).toMatchObject({ groupId: 'pizzeria', startFrom: 'latest' })
    expect(config.log).toMatchObject({
      kind: 'kafka',
      connection: {
        brokers: ['a.example:9092', 'b.example:9092'],
        ssl: true,
        sasl: { mechanism: 'plain', username: 'ada' },
      },
    })
    expect(passwordOf(config)).toBe('s3cr3t')
  })

  test('prefers servers and login of the environment to those of the file', () => {
    const env = {
      PIZZA_BOOTSTRAP_SERVERS: 'c:1',
      PIZZA_SASL_USERNAME: 'bob',
      PIZZA_SASL_PASSWORD: 'other',
      PIZZA_CONFIG: 'f',
    }
    const config = started(parse('', { env, files: { f: login } }))
    expect(config.log).toMatchObject({ connection: { brokers: ['c:1'], sasl: { username: 'bob' } } })
    expect(passwordOf(config)).toBe('other')
  })

  test('is frozen to its depth', () => {
    const config = started(parse('--config f', { files: { f: login } }))
    const frozen: object[] = [config, config.http, config.topics, config.roles, config.log]
    if (config.log.kind === 'kafka')
      frozen.push(config.log.connection, config.log.connection.brokers, config.log.connection.sasl!)
    expect(frozen.map((part) => Object.isFrozen(part))).not.toContain(false)
  })

  test('shows its password to nobody who prints, copies or logs it', () => {
    const config = started(parse('--config f', { files: { f: login } }))
    const shown = [JSON.stringify(config), inspect(config, { depth: 9 }), JSON.stringify({ ...config })]
    expect(shown.join()).not.toContain('s3cr3t')
    expect(JSON.stringify(config)).toContain('"password":"[redacted]"')
    expect(inspect(config, { depth: 9 })).toContain("password: '[redacted]'")
  })

  test('asks for verify with the same options', () => {
    expect(parse('verify --data d')).toMatchObject({ kind: 'verify', config: { dataDir: 'd' } })
    expect(problems(parse('verify sauce'))).toEqual(['sauce: verify takes options only, it looks at every order'])
  })

  test('asks for rehearse with the machines to try', () => {
    expect(parse('rehearse --machine new --json --data d')).toMatchObject({
      kind: 'rehearse',
      config: { dataDir: 'd', machine: 'new', json: true },
    })
    expect(parse('rehearse')).toMatchObject({ kind: 'rehearse', config: { json: false } })
    expect(problems(parse('rehearse sauce'))).toEqual(['sauce: rehearse takes options only, it tries every order'])
    expect(problems(parse('rehearse --machine'))).toEqual(['--machine: expected a value: --machine <place>'])
    expect(problems(parse('--machine new'))).toEqual(['--machine: expected the command rehearse before it'])
  })

  test('warns of a variable that is none of its settings, and leaves those of others alone', () => {
    const parsed = parse('', { env: { PIZZA_PROT: '1', PORT: '2', PIZZERIA: '3' } })
    expect(parsed).toMatchObject({
      warnings: ['PIZZA_PROT: there is no such setting, it is ignored, did you mean PIZZA_PORT?'],
    })
  })
})

describe('A wrong configuration', () => {
  test('is answered with every problem at once', () => {
    const env = { PIZZA_LOG_LEVEL: 'warning' }
    const files = { f: 'bootstrap.servers=a\nsecurity.protocol=TLS' }
    expect(problems(parse('sause --port 65536 --prot 1 --drain-ms --config f', { env, files }))).toEqual([
      '--prot: there is no such option, did you mean --port?',
      'sause: there is no such role, did you mean sauce?',
      '--port: expected an integer from 0 to 65535, got "65536"',
      '--drain-ms: expected a value: --drain-ms <ms>',
      'PIZZA_LOG_LEVEL: expected one of trace, debug, info, warn, error, fatal, silent, got "warning", did you mean warn?',
      'f line 1: bootstrap.servers: expected host:port, got "a"',
      'f line 2: security.protocol: expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, got "TLS"',
    ])
  })

  test.each([
    ['--port 1.5', '--port: expected an integer from 0 to 65535, got "1.5"'],
    ['--port -1', '--port: expected an integer from 0 to 65535, got "-1"'],
    ['--port=', '--port: expected an integer from 0 to 65535, got ""'],
    ['--port 0x10', '--port: expected an integer from 0 to 65535, got "0x10"'],
    ['--partitions 0', '--partitions: expected an integer from 1 to 1000, got "0"'],
    ['--demo sauce', '--demo: expected a number from 0 to 1000, got "sauce"'],
    ['--host a/b', '--host: expected an IP address or host name, got "a/b"'],
    ['--data=', '--data: expected a folder, got ""'],
    ['--order-count-max 10001', '--order-count-max: expected an integer from 1 to 10000, got "10001"'],
    [
      '--topic-prefix a:b',
      '--topic-prefix: expected at most 100 letters, digits, dots, dashes or underscores, got "a:b"',
    ],
    ['--config no.properties', '--config: cannot read no.properties: no such file or directory'],
    ['waiter', 'waiter: there is no such role; the roles are orders, sauce, cheese, meats, veggies, cheese-reporter'],
    ['verfy', 'verfy: there is no such role, did you mean verify?'],
    ['-p', '-p: there is no such option'],
    ['--port 1 --report-port 1', '--port and --report-port: expected two ports, got 1 for both'],
    ['orders --metrics-port 5000', '--port and --metrics-port: expected two ports, got 5000 for both'],
    ['sauce --demo', '--demo: expected the role orders beside it, which takes its orders'],
    ['--last-topic pizza', '--last-topic: expected a topic of its own, got pizza, which has another use'],
  ])('%s is refused', (words, problem) => {
    expect(problems(parse(words))).toEqual([problem])
  })

  test('tells a role behind an unknown option from the value of that option', () => {
    expect(problems(parse('--prot 5000 sauce'))).toHaveLength(1)
    expect(problems(parse('--prot 5000 sause'))).toHaveLength(2)
    expect(problems(parse('--prot=5000 sause'))).toHaveLength(2)
  })

  test('may use one port for two roles that run in two processes', () => {
    expect(parse('orders --port 1 --report-port 1').kind).toBe('start')
    expect(parse('--port 0 --report-port 0').kind).toBe('start')
  })
})

describe('What is printed', () => {
  test('is the version for --version, whatever else is wrong', () => {
    expect(parse('--version --nonsense')).toEqual({ kind: 'print', text: '1.2.3' })
    expect(parse('-v')).toEqual({ kind: 'print', text: '1.2.3' })
  })

  test('is every option, variable, default and exit code for --help', async () => {
    const parsed = parse('sause --help', { env: { PIZZA_SASL_PASSWORD: 's3cr3t', PIZZA_PORT: '9' } })
    if (parsed.kind !== 'print') throw new Error('Expected a text')
    await expect(parsed.text).toMatchFileSnapshot('__snapshots__/help.txt')
    expect(parse('-h')).toEqual(parsed)
  })
})

function passwordOf({ log }: Config): string | undefined {
  return log.kind === 'kafka' ? log.connection.sasl?.password : undefined
}
