/** The broker that tests, benchmarks and `npm run kafka` start: it says what is wrong, and leaves nothing behind. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBroker } from '../../scripts/kafka-broker.ts'
import { createKafkaLog } from '../../src/log/kafka-log.ts'
import { kafkaAvailable, needsKafka, startTestBroker } from './broker.ts'

const brokerModule = new URL('../../scripts/kafka-broker.ts', import.meta.url).href

describe.skipIf(!(await kafkaAvailable()))(`A local broker (${needsKafka})`, { timeout: 60_000 }, () => {
  let dir: string
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'pizza-kafka-'))
  })
  afterAll(() => rm(dir, { recursive: true, force: true }))

  it('says that the port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await expect(startBroker({ dir: join(dir, 'taken'), port })).rejects.toThrow(`port ${port} is taken`)
    server.close()
  })

  it('shows the end of its log when it does not start', async () => {
    const properties = { 'log.dirs': '' }
    await expect(startBroker({ dir: join(dir, 'broken'), properties })).rejects.toThrow(/log\.dirs/)
  })

  it('keeps records, ports and positions over a crash', async () => {
    const broker = await startTestBroker()
    const connection = { brokers: [broker.bootstrapServers], clientId: 'test', ssl: false }
    const before = createKafkaLog({ connection })
    await before.ensureTopics([{ name: 'kept', partitions: 1 }])
    await before.append([{ topic: 'kept', key: 'k', value: 'v' }])
    await before.close()
    const { pid } = broker
    await broker.kill()
    expect(broker.pid).toBeUndefined()
    await broker.restart()
    expect(broker.pid).not.toBe(pid)
    const after = createKafkaLog({ connection })
    expect(await after.ends(['kept'])).toEqual(new Map([['kept', [1]]]))
    await after.close()
    await broker.close()
  })

  it('ends when the process that started it is killed', async () => {
    const script = `
      const { startBroker } = await import(${JSON.stringify(brokerModule)})
      const broker = await startBroker({ dir: ${JSON.stringify(join(dir, 'orphan'))} })
      console.log(broker.pid)
      setInterval(() => {}, 1000)`
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await once(createInterface({ input: parent.stdout }), 'line')) as [string]
    const pid = Number(line)
    expect(isAlive(pid)).toBe(true)
    parent.kill('SIGKILL')
    // Nothing tells of the end of a process that is no child, so this asks until it is gone.
    while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 20))
  })
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
