/** The doctor on a real broker: topics that are not there, a login that is refused, a shop that runs. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exitCodes } from '../../src/exit-codes.ts'
import { createKafkaClient } from '../../src/log/kafka-client.ts'
import { createKafkaLog } from '../../src/log/kafka-log.ts'
import { createFolder, run } from '../main-process.ts'
import { until } from '../support/until.ts'
import { kafkaAvailable, needsKafka, startTestBroker, type TestBroker } from './broker.ts'

const user = { name: 'baker', password: 'mozzarella-and-basil' }
const free = ['--port', '0', '--report-port', '0']

describe.skipIf(!(await kafkaAvailable()))(`The doctor on Kafka (${needsKafka})`, { timeout: 60_000 }, () => {
  let broker: TestBroker

  beforeAll(async () => {
    broker = await startTestBroker({ users: [user] })
  }, 300_000)
  afterAll(() => broker?.close())

  function writeConfig(lines: string): string[] {
    const folder = createFolder()
    const config = join(folder, 'config.properties')
    writeFileSync(config, lines)
    return ['--config', config, '--data', folder, ...free]
  }

  async function examine(args: readonly string[]) {
    const doctor = run(['doctor', ...args])
    const code = await doctor.ended
    const lines = doctor.out().split('\n')
    const of = (level: string) => lines.filter((line) => line.startsWith(`${level} `))
    return { code, lines, warn: of('warn'), fail: of('FAIL') }
  }

  test('names topics that are not there, and makes none', async () => {
    const args = [...writeConfig(`bootstrap.servers=${broker.bootstrapServers}`), '--topic-prefix', 'none-']
    const { code, warn, fail } = await examine(args)
    expect({ code, fail }).toEqual({ code: exitCodes.ok, fail: [] })
    expect(warn).toHaveLength(8)
    expect(warn[0]).toMatch(/none-orders +is not there yet/)
    const log = createKafkaLog({ connection: { brokers: [broker.bootstrapServers], clientId: 'test', ssl: false } })
    await expect(log.ends(['none-orders'])).rejects.toMatchObject({ code: 'unknown-topic' })
    await log.close()
  })

  test('says what to check when the login is refused, and no password', async () => {
    const login = 'security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=baker\nsasl.password=S3CRET\n'
    const { code, lines, fail } = await examine(writeConfig(`bootstrap.servers=${broker.listeners.sasl}\n${login}`))
    expect(code).toBe(exitCodes.failed)
    expect(fail).toEqual([expect.stringMatching(/^FAIL +log .*sasl\.username \(baker\)/)])
    expect(lines.join('\n')).not.toContain('S3CRET')
  })

  test('finds a running shop well, and a role that was stopped', async () => {
    const args = [...writeConfig(`bootstrap.servers=${broker.bootstrapServers}`), '--topic-prefix', 'run-']
    const shop = run([...args, 'orders', 'sauce', 'cheese', 'meats', 'cheese-reporter'])
    const { orders } = await shop.urls()
    const placed = await fetch(`${orders}/order/2`, { method: 'POST' })
    const shown = await fetch(`${orders}${placed.headers.get('location')}`, { headers: { prefer: 'wait=2' } })
    expect(await shown.json()).toMatchObject({ in_progress: [{ state: 'veggies' }, { state: 'veggies' }] })
    const { code, lines, warn, fail } = await examine(args)
    expect({ code, fail }).toEqual({ code: exitCodes.ok, fail: [] })
    expect(warn).toEqual([expect.stringMatching(/role veggies +2 records behind.*npm start -- veggies/)])
    expect(lines).toContainEqual(expect.stringMatching(/^ok +topics +8, each with 6 partitions/))
    expect(lines).toContainEqual(expect.stringMatching(/^ok +kept records +the topics keep what a rebuild needs/))
    expect(lines).toContainEqual(expect.stringMatching(/^ok +clock/))
  })

  test('warns of topics that do not keep what the shop is rebuilt from, and says how to mend it', async () => {
    const prefix = 'set-'
    const args = [...writeConfig(`bootstrap.servers=${broker.bootstrapServers}`), '--topic-prefix', prefix]
    await createTopics([
      [`${prefix}orders`, { 'retention.ms': '604800000' }],
      [`${prefix}pizza-with-sauce`, { 'retention.ms': '-1', 'retention.bytes': '1048576' }],
      [`${prefix}pizza-with-meats`, { 'retention.ms': '-1', 'cleanup.policy': 'compact' }],
      [`${prefix}order-snapshots`, { 'retention.ms': '-1' }],
    ])
    const shop = run([...args, 'sauce'])
    await until('the topics', async () => (await examine(args)).lines.some((line) => /^ok +clock/.test(line)))
    shop.kill('SIGTERM')
    await shop.ended
    const { code, warn, fail } = await examine(args)
    expect({ code, fail }).toEqual({ code: exitCodes.ok, fail: [] })
    expect(warn).toEqual([
      expect.stringMatching(
        /set-orders +deletes old records \(retention\.ms=604800000\): .*--topic set-orders --add-config retention\.ms=-1$/,
      ),
      expect.stringMatching(
        /set-pizza-with-sauce +deletes old records \(retention\.bytes=1048576\).*retention\.bytes=-1$/,
      ),
      expect.stringMatching(/set-pizza-with-meats +is compacted .*--add-config cleanup\.policy=delete$/),
      expect.stringMatching(/set-order-snapshots +is not compacted .*--add-config cleanup\.policy=compact$/),
    ])
  })

  /** As somebody else would, before the shop's first start. */
  async function createTopics(topics: readonly (readonly [string, Readonly<Record<string, string>>])[]): Promise<void> {
    const connection = { brokers: [broker.bootstrapServers], clientId: 'test', ssl: false }
    const client = createKafkaClient({ connection, operationTimeoutMs: 10_000, onWarning() {} })
    await client.attempt('create topics', async (cluster) => {
      const controller = await cluster.findControllerBroker()
      const wanted = topics.map(([topic, settings]) => ({
        topic,
        numPartitions: 6,
        replicationFactor: 1,
        configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
      }))
      return controller.createTopics({ topics: wanted, timeout: 10_000 })
    })
    await client.close()
  }
})
