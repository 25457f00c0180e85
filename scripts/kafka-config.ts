/**
 * The files of a one-node Kafka broker: server.properties, logging, and for authenticated listeners users and a certificate.
 * Every listener binds to 127.0.0.1, so that nothing is reachable from other machines.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface BrokerUser {
  readonly name: string
  readonly password: string
}

export interface BrokerPorts {
  readonly plaintext: number
  readonly controller: number
  readonly sasl: number
  readonly tls: number
  readonly saslTls: number
}

export interface BrokerFiles {
  readonly dir: string
  readonly ports: BrokerPorts
  /** Users for SASL (PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512). Adds the listeners `sasl`, `tls` and `saslTls`. */
  readonly users?: readonly BrokerUser[] | undefined
  /** Further lines for server.properties. */
  readonly properties?: Readonly<Record<string, string>> | undefined
}

/** Paths inside the broker's folder. */
export function brokerPaths(dir: string) {
  return {
    properties: join(dir, 'server.properties'),
    logging: join(dir, 'log4j2.properties'),
    data: join(dir, 'data'),
    keystore: join(dir, 'broker.p12'),
    certificate: join(dir, 'broker.pem'),
  }
}

/** Writes server.properties and log4j2.properties, and with users a self-signed certificate. */
export async function writeBrokerFiles(files: BrokerFiles): Promise<void> {
  const paths = brokerPaths(files.dir)
  const keystorePassword = randomBytes(18).toString('base64url')
  if (files.users) await writeCertificate(paths, keystorePassword)
  const properties = {
    ...nodeProperties(files),
    ...(files.users ? authProperties(files, keystorePassword) : {}),
    ...files.properties,
  }
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`)
  await writeFile(paths.properties, lines.join(''), { mode: 0o600 })
  await writeFile(paths.logging, logging)
}

function nodeProperties({ dir, ports, users }: BrokerFiles): Record<string, string> {
  const clients = [`PLAINTEXT://127.0.0.1:${ports.plaintext}`]
  if (users) {
    clients.push(
      `SASL://127.0.0.1:${ports.sasl}`,
      `TLS://127.0.0.1:${ports.tls}`,
      `SASLTLS://127.0.0.1:${ports.saslTls}`,
    )
  }
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${ports.controller}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: [...clients, `CONTROLLER://127.0.0.1:${ports.controller}`].join(','),
    'advertised.listeners': clients.join(','),
    'listener.security.protocol.map':
      'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,SASLTLS:SASL_SSL',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': brokerPaths(dir).data,
    'auto.create.topics.enable': 'false',
    // One node holds every internal topic.
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '4',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    // A killed broker may not come back before its former self has expired: 9 s by default.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    // The default of 3 s is for many members that start together.
    'group.initial.rebalance.delay.ms': '0',
    // Events and positions are kept: the log is what orders are rebuilt from.
    'log.retention.ms': '-1',
    'offsets.retention.minutes': '5256000',
  }
}

function authProperties({ dir, users = [] }: BrokerFiles, keystorePassword: string): Record<string, string> {
  const plain = users.map(({ name, password }) => `user_${name}="${password}"`).join(' ')
  const properties: Record<string, string> = {
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'ssl.keystore.location': brokerPaths(dir).keystore,
    'ssl.keystore.type': 'PKCS12',
    'ssl.keystore.password': keystorePassword,
    'ssl.client.auth': 'none',
    // The default of 100 ms delays every refused login; a test broker may answer at once.
    'connection.failed.authentication.delay.ms': '0',
  }
  const modules = 'org.apache.kafka.common.security'
  for (const listener of ['sasl', 'sasltls']) {
    properties[`listener.name.${listener}.plain.sasl.jaas.config`] =
      `${modules}.plain.PlainLoginModule required ${plain};`
    for (const mechanism of ['scram-sha-256', 'scram-sha-512']) {
      properties[`listener.name.${listener}.${mechanism}.sasl.jaas.config`] =
        `${modules}.scram.ScramLoginModule required;`
    }
  }
  return properties
}

/** The arguments with which StorageTool stores the SCRAM verifiers of users. */
export function scramArguments(users: readonly BrokerUser[]): string[] {
  return users.flatMap(({ name, password }) =>
    ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
      '--add-scram',
      `${mechanism}=[name=${name},password=${password}]`,
    ]),
  )
}

async function writeCertificate(paths: ReturnType<typeof brokerPaths>, password: string): Promise<void> {
  if (existsSync(paths.keystore)) throw new Error(`${paths.keystore} exists: a broker with users needs a fresh folder`)
  const store = ['-keystore', paths.keystore, '-storetype', 'PKCS12', '-storepass', password, '-alias', 'broker']
  const names = ['-dname', 'CN=localhost', '-ext', 'SAN=dns:localhost,ip:127.0.0.1']
  await run('keytool', [
    '-genkeypair',
    '-keyalg',
    'EC',
    '-groupname',
    'secp256r1',
    '-validity',
    '30',
    ...names,
    ...store,
  ])
  await run('keytool', ['-exportcert', '-rfc', '-file', paths.certificate, ...store])
}

/** Warnings go to the output; the one line of KafkaRaftServer says that the broker answers. */
const logging = `status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %m (%c{1})%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.started.name=kafka.server.KafkaRaftServer
logger.started.level=info
`
