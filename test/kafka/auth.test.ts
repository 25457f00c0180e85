/** Logging in to a real broker: each mechanism, encrypted and not, and what is said when it fails. Secrets never show. */
import { readFile } from 'node:fs/promises'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EventLog, LogRecord } from '../../src/log/event-log.ts'
import type { KafkaConnection, KafkaSasl } from '../../src/log/kafka-connection.ts'
import { createKafkaLog } from '../../src/log/kafka-log.ts'
import { kafkaAvailable, needsKafka, startTestBroker, type TestBroker } from './broker.ts'

const user = { name: 'baker', password: 'mozzarella-and-basil' }
const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512'] as const

describe.skipIf(!(await kafkaAvailable()))(`A Kafka log that logs in (${needsKafka})`, { timeout: 30_000 }, () => {
  let broker: TestBroker
  let ca: string
  let topics = 0

  beforeAll(async () => {
    broker = await startTestBroker({ users: [user] })
    ca = await readFile(broker.certificatePath, 'utf8')
  }, 90_000)
  afterAll(() => broker?.close())

  const sasl = (mechanism: KafkaSasl['mechanism'], password = user.password): KafkaSasl => {
    return { mechanism, username: user.name, password }
  }

  /** Creates a topic, appends, and reads it back through a group: every kind of request on both connections. */
  async function expectToWork(connection: Omit<KafkaConnection, 'clientId'>): Promise<void> {
    const log = createKafkaLog({ connection: { ...connection, clientId: 'auth-test' } })
    const topic = `topic-${topics++}`
    try {
      await log.ensureTopics([{ name: topic, partitions: 1 }])
      await log.append([{ topic, key: 'k', value: 'v' }])
      expect(String((await firstRecord(log, topic)).value)).toBe('v')
    } finally {
      await log.close()
    }
  }

  /** What a log says when it cannot log in: the error of an append, and everything else it told. */
  async function failureOf(
    connection: Omit<KafkaConnection, 'clientId'>,
  ): Promise<{ error: unknown; told: unknown[] }> {
    const told: unknown[] = []
    const onWarning = (message: string) => void told.push(message)
    const log = createKafkaLog({
      connection: { ...connection, clientId: 'auth-test' },
      appendTimeoutMs: 1_000,
      onWarning,
    })
    try {
      const consumerFailed = Promise.withResolvers<void>()
      const onError = (error: unknown) => {
        told.push(error)
        consumerFailed.resolve()
      }
      const group = { groupId: 'refused', topics: ['any'], startFrom: 'earliest', positions: 'group' } as const
      await log.consume({ ...group, onBatch: () => {}, onError })
      const [append] = await Promise.allSettled([log.append([{ topic: 'any', key: 'k', value: 'v' }])])
      const error: unknown = append.status === 'rejected' ? append.reason : undefined
      await consumerFailed.promise
      return { error, told }
    } finally {
      await log.close()
    }
  }

  it.each(mechanisms)('works with SASL %s', async (mechanism) => {
    await expectToWork({ brokers: [broker.listeners.sasl], ssl: false, sasl: sasl(mechanism) })
  })

  it('works over TLS with the authority it was given', async () => {
    await expectToWork({ brokers: [broker.listeners.tls], ssl: { ca: [ca] } })
    await expectToWork({ brokers: [broker.listeners.tls.replace('127.0.0.1', 'localhost')], ssl: { ca: [ca] } })
  })

  it('works with SASL over TLS', async () => {
    await expectToWork({ brokers: [broker.listeners.saslTls], ssl: { ca: [ca] }, sasl: sasl('scram-sha-512') })
  })

  it.each(mechanisms)('says what to check when the password is wrong (%s), and shows it nowhere', async (mechanism) => {
    const wrong = 'pineapple-4711'
    const { error, told } = await failureOf({
      brokers: [broker.listeners.sasl],
      ssl: false,
      sasl: sasl(mechanism, wrong),
    })
    expect(error).toMatchObject({ name: 'LogError', code: 'authentication' })
    expect(error).toHaveProperty(
      'message',
      expect.stringMatching(/check sasl\.username \(baker\), sasl\.password and sasl\.mechanisms/),
    )
    expect(told).toContainEqual(expect.objectContaining({ code: 'authentication' }))
    expect(inspect([error, told], { depth: 20, showHidden: true })).not.toContain(wrong)
  })

  it('says which setting is wrong when it does not know the authority', async () => {
    const { error } = await failureOf({ brokers: [broker.listeners.tls], ssl: true })
    expect(error).toMatchObject({ code: 'authentication', message: expect.stringContaining('ssl.ca.location') })
  })

  // The broker hangs up without a reason in both cases.
  it.each([
    { title: 'does not log in where it must', listener: 'sasl' },
    { title: 'speaks plain text to a TLS listener', listener: 'tls' },
  ] as const)('names the broker and security.protocol when it $title', async ({ listener }) => {
    const { error } = await failureOf({ brokers: [broker.listeners[listener]], ssl: false })
    expect(error).toMatchObject({ code: 'unavailable', message: expect.stringContaining(broker.listeners[listener]) })
    expect(error).toMatchObject({ message: expect.stringContaining('check that security.protocol') })
  })
})

function firstRecord(log: EventLog, topic: string): Promise<LogRecord> {
  return new Promise((resolve, reject) => {
    const onBatch = (records: readonly LogRecord[]) => resolve(records[0]!)
    const group = { groupId: `group-${topic}`, topics: [topic], startFrom: 'earliest', positions: 'group' } as const
    log.consume({ ...group, onBatch, onError: reject }).catch(reject)
  })
}
