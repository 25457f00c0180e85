import { describe, expect, test } from 'vitest'
import { parseConfigFile, type FileConfig } from '../src/config-file.ts'

const secret = 'aB3/x+y#z;!=='

function parse(text: string, overrides: Record<string, string> = {}, files: Record<string, string> = {}): FileConfig {
  return parseConfigFile(text, {
    path: 'f',
    overrides: Object.entries(overrides).map(([key, value]) => ({ key, value, source: 'PIZZA_X' })),
    readFile: (path) => {
      const found = files[path]
      if (found === undefined) throw new Error(`EACCES: permission denied, open '${path}'`)
      return found
    },
  })
}

const client = `bootstrap.servers=a:9092
security.protocol=SASL_SSL
sasl.mechanisms=PLAIN
sasl.username=ada
sasl.password=${secret}
`

describe('A Kafka configuration file', () => {
  test.each([
    ['with sections', `[kafka_client]\n${client}\n[consumer]\ngroup.id=g\n`],
    ['without sections', `${client}group.id=g`],
    [
      'with spaces, comments, blank lines and CRLF',
      `# c\n\n[kafka_client]\n! c\n${client.replaceAll('=', ' =\t')}\n[consumer]\n; c\ngroup.id : g\n`
        .replace(/aB.*/, secret)
        .replaceAll('\n', ' \r\n'),
    ],
    ['with a byte order mark', `\uFEFF[kafka_client]\n${client}[ consumer ]\n  group.id=g`],
    ["with Java's names", `${client.replace('mechanisms', 'mechanism')}group.id=g`],
    [
      'in lower case where case says nothing',
      `${client.replace('SASL_SSL', 'sasl_ssl').replace('PLAIN', 'plain')}group.id=g`,
    ],
  ])('%s is read', (_, text) => {
    const { connection, problems, warnings, groupId } = parse(text)
    expect({ problems, warnings, groupId }).toEqual({ problems: [], warnings: [], groupId: 'g' })
    expect(connection).toMatchObject({ brokers: ['a:9092'], ssl: true, clientId: 'pizza-actors' })
    expect(connection?.sasl).toMatchObject({ mechanism: 'plain', username: 'ada' })
    expect(connection?.sasl?.password).toBe(secret)
  })

  test('needs no more than the servers', () => {
    expect(parse('bootstrap.servers = a:1 , b:2')).toEqual({
      connection: { brokers: ['a:1', 'b:2'], clientId: 'pizza-actors', ssl: false },
      problems: [],
      warnings: [],
    })
  })

  test('keeps backslashes where it has sections, and unescapes them where it has none', () => {
    const password = (text: string) => parse(text).connection?.sasl?.password
    const text = client.replace(secret, String.raw`a\\b\tc\u0041`)
    expect(password(`[kafka_client]\n${text}`)).toBe(String.raw`a\\b\tc\u0041`)
    expect(password(text)).toBe('a\\b\tcA')
  })

  test("takes the login from Java's sasl.jaas.config", () => {
    const jaas = (username: string, password: string) =>
      `org.apache.kafka.common.security.plain.PlainLoginModule required \\\n  username=${username} password=${password};`
    const text = (line: string) => `${client.replace(/sasl.(username|password)=.*\n/g, '')}sasl.jaas.config=${line}`
    const { connection, warnings } = parse(text(jaas('"ada"', String.raw`"p\\"q; x"`)))
    expect(warnings).toEqual([])
    expect(connection?.sasl).toMatchObject({ username: 'ada' })
    expect(connection?.sasl?.password).toBe('p"q; x')
    expect(parse(text(jaas(`'ada'`, `'pw'`))).connection?.sasl?.password).toBe('pw')
    const { problems } = parse(text(jaas('ada', 'pw')))
    expect(problems).toContain('f line 4: sasl.jaas.config: expected … required username="…" password="…";')
  })

  test.each([
    ['SCRAM-SHA-256', 'scram-sha-256'],
    ['SCRAM-SHA-512', 'scram-sha-512'],
  ])('knows the mechanism %s', (name, mechanism) => {
    expect(parse(client.replace('=PLAIN', `=${name}`)).connection?.sasl?.mechanism).toBe(mechanism)
  })

  test('names certificates by their file', () => {
    const text = 'bootstrap.servers=a:1\nsecurity.protocol=SSL\nssl.ca.location=ca.pem'
    expect(parse(text, {}, { 'ca.pem': 'PEM' }).connection).toMatchObject({ ssl: { ca: ['PEM'] } })
    expect(parse(text).problems).toEqual(['f line 3: ssl.ca.location: cannot read ca.pem: permission denied'])
  })

  test.each([
    ['smallest', 'earliest'],
    ['earliest', 'earliest'],
    ['largest', 'latest'],
  ])('takes auto.offset.reset=%s as %s', (value, startFrom) => {
    expect(parse(`bootstrap.servers=a:1\nauto.offset.reset=${value}`).startFrom).toBe(startFrom)
  })

  test('warns of what it does not use, by line, and goes on', () => {
    const text = `[kafka_client]
bootstrap.server=x:1
bootstrap.servers=a:1
session.timeout.ms=45000
bootstrap.servers=b:1
sasl.username=ada
[schema_registry]
url=https://example
[consumer]
auto.offset.rest=latest`
    const { connection, warnings, problems } = parse(text)
    expect(problems).toEqual([])
    expect(connection?.brokers).toEqual(['b:1'])
    expect(warnings).toEqual([
      'f line 2: bootstrap.server is not supported and is ignored, did you mean bootstrap.servers?',
      'f line 4: session.timeout.ms is not supported and is ignored',
      'f line 5: bootstrap.servers is written twice; this one counts',
      'f line 7: section [schema_registry] is not used',
      'f line 10: auto.offset.rest is not supported and is ignored, did you mean auto.offset.reset?',
      'f line 6: the login is not used: security.protocol is without SASL',
    ])
  })

  test.each([
    ['', 'f: bootstrap.servers is missing; it names the brokers as host:port, separated by commas'],
    ['bootstrap.servers=', 'f: bootstrap.servers is missing; it names the brokers as host:port, separated by commas'],
    ['bootstrap.servers=a:1,b', 'f line 1: bootstrap.servers: expected host:port, got "b"'],
    ['bootstrap.servers=a:0', 'f line 1: bootstrap.servers: expected host:port, got "a:0"'],
    ['bootstrap.servers=a:65536', 'f line 1: bootstrap.servers: expected host:port, got "a:65536"'],
    ['bootstrap.servers=https://a:1', 'f line 1: bootstrap.servers: expected host:port, got "https://a:1"'],
    ['bootstrap.servers={{ BOOTSTRAP }}:1', 'f line 1: bootstrap.servers: expected host:port, got "{{ BOOTSTRAP }}:1"'],
    ['bootstrap.servers=a:1\ngroup.id=', 'f line 2: group.id: expected a name, got nothing'],
    [
      'bootstrap.servers=a:1\nauto.offset.reset=none',
      'f line 2: auto.offset.reset: expected one of earliest, smallest, beginning, latest, largest, end, got "none"',
    ],
    [
      client.replace('=PLAIN', '=GSSAPI'),
      'f line 3: sasl.mechanisms: expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, got "GSSAPI"',
    ],
    [
      client.replace('sasl.mechanisms=PLAIN', ''),
      'f: sasl.mechanisms is missing; expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512',
    ],
    [client.replace('ada', ''), 'f: sasl.username is missing; give it in the file or as PIZZA_SASL_USERNAME'],
    [
      client.replace(/sasl.password.*/, ''),
      'f: sasl.password is missing; give it in the file or as PIZZA_SASL_PASSWORD',
    ],
    [
      client.replace(secret, '{{ CLUSTER_API_SECRET }}'),
      'f line 5: sasl.password still holds a placeholder; put the real value there',
    ],
    [client.replace('ada', '<user>'), 'f line 4: sasl.username still holds a placeholder; put the real value there'],
  ])('is refused: %j', (text, problem) => {
    const { problems, connection } = parse(text)
    expect(problems).toEqual([problem])
    expect(connection).toBeUndefined()
  })

  test('takes the place of a value from an override before it judges the file', () => {
    expect(parse(client.replace(/sasl.password.*/, ''), { 'sasl.password': 'p' }).connection?.sasl?.password).toBe('p')
    expect(parse(client.replace(secret, '{{ X }}'), { 'sasl.password': 'p' }).problems).toEqual([])
    expect(parse('', { 'bootstrap.servers': 'a' }).problems).toEqual([
      'PIZZA_X: bootstrap.servers: expected host:port, got "a"',
    ])
  })

  test.each([
    ['an escape that is none', client.replace(secret, String.raw`S3CRET\u00zz`)],
    ['a secret on a line of its own', `${client}S3CRET`],
    ['a secret split at its equals sign', `${client}S3CRET==`],
    ['a mistyped key', `${client}sasl.pasword=S3CRET`],
    ['another key', `${client}ssl.key.password=S3CRET\nbasic.auth.user.info=S3CRET`],
    ['a wrong login module', `${client}sasl.jaas.config=required password=S3CRET`],
    ['a password without a user', client.replace('ada', '').replace(secret, 'S3CRET')],
    ['a login that is not used', client.replace('SASL_SSL', 'SSL').replace(secret, 'S3CRET')],
  ])('never shows a secret in a message: %s', (_, text) => {
    const { problems, warnings } = parse(text)
    expect(problems.length + warnings.length).toBeGreaterThan(0)
    expect([...problems, ...warnings].join()).not.toContain('S3CRET')
  })
})
