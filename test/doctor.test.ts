import { existsSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { parseConfig } from '../src/config.ts'
import { inspectNode, inspectRoom } from '../src/doctor-machine.ts'
import { runDoctor } from '../src/doctor.ts'
import { exitCodes } from '../src/exit-codes.ts'
import type { EventLog } from '../src/log/event-log.ts'
import { createMemoryLog, createMemoryStorage } from '../src/log/memory-log.ts'
import { recipe } from '../src/menu.ts'
import { createTopics } from '../src/topics.ts'
import { createFolder, run } from './main-process.ts'
import { until } from './support/until.ts'

/** Real processes, and the doctor looks twice at roles that are behind. */
vi.setConfig({ testTimeout: 60_000 })

const roles = ['orders', 'sauce', 'cheese', 'meats', 'veggies', 'cheese-reporter']

/** Runs the doctor as users do. */
async function examine(args: readonly string[]) {
  const doctor = run(['doctor', ...args])
  const code = await doctor.ended
  const lines = doctor.out().split('\n').filter(Boolean)
  const of = (level: string) => lines.filter((line) => line.startsWith(`${level} `))
  return { code, lines, ok: of('ok'), warn: of('warn'), fail: of('FAIL'), err: doctor.err() }
}

async function openPort(handle: RequestListener): Promise<string> {
  const server = createServer(handle).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  return String((server.address() as AddressInfo).port)
}

interface Waiting {
  in_progress: { state: string }[]
}

const free = ['--port', '0', '--report-port', '0']

describe('The doctor', () => {
  test('finds nothing before the first start, and makes nothing', async () => {
    const data = join(createFolder(), 'not', 'there')
    const { code, fail, warn, lines } = await examine([...free, '--data', data])
    expect({ code, fail, warn }).toEqual({ code: exitCodes.ok, fail: [], warn: [] })
    expect(lines).toContainEqual(expect.stringMatching(/^ok +Node\.js +24\./))
    expect(lines).toContainEqual(expect.stringMatching(/^ok +data folder .*made by the first start/))
    expect(lines).toContainEqual(expect.stringMatching(/^ok +log +not there yet/))
    expect(lines.at(-1)).toBe('Nothing keeps the shop from working.')
    expect(existsSync(join(data, '..'))).toBe(false)
  })

  test('finds a running shop well, its ports taken by nobody else', async () => {
    const data = createFolder()
    const shop = run([...free, '--data', data])
    const urls = await shop.urls()
    const placed = await fetch(`${urls.orders}/order/2`, { method: 'POST' })
    expect(placed.status).toBe(201)
    const [port, reportPort] = [urls.orders, urls.report].map((url) => new URL(url).port) as [string, string]
    const { code, ok, fail, warn, err } = await examine(['--port', port, '--report-port', reportPort, '--data', data])
    expect({ code, fail, warn, err }).toEqual({ code: exitCodes.ok, fail: [], warn: [], err: '' })
    expect(ok).toContainEqual(expect.stringMatching(new RegExp(`port ${port} +a running shop answers there`)))
    expect(ok).toContainEqual(expect.stringMatching(/orders\.sqlite +a running shop works on it/))
    expect(ok).toContainEqual(expect.stringMatching(/topics +7, each with 6 partitions/))
    for (const role of roles) expect(ok).toContainEqual(expect.stringContaining(`role ${role} `))
    expect(ok).toContainEqual(expect.stringMatching(/clock +no record is from the future/))
  })

  test('names a role that is down, and how to start it', async () => {
    const data = createFolder()
    const shop = run([...roles.filter((role) => role !== 'cheese'), ...free, '--data', data])
    const { orders } = await shop.urls()
    const placed = await fetch(`${orders}/order/3`, { method: 'POST' })
    await until('the pizzas to wait for cheese', async () => {
      const { in_progress } = (await (await fetch(`${orders}${placed.headers.get('location')}`)).json()) as Waiting
      return in_progress.length === 3 && in_progress.every(({ state }) => state === 'cheese')
    })
    const { code, warn } = await examine([...free, '--data', data])
    expect(code).toBe(exitCodes.ok)
    expect(warn).toEqual([expect.stringMatching(/^warn +role cheese +3 records behind.* npm start -- cheese;/)])
  })

  test('says for each thing that is wrong how to mend it, and ends with 1', async () => {
    const data = createFolder()
    const shop = run([...free, '--data', data])
    await shop.urls()
    shop.kill('SIGTERM')
    await shop.ended
    const port = await openPort((_req, res) => res.end('{"ok":true}'))
    const { code, fail, lines } = await examine([
      '--port',
      port,
      '--report-port',
      '0',
      '--data',
      data,
      '--partitions',
      '4',
    ])
    expect(code).toBe(exitCodes.failed)
    expect(fail).toHaveLength(8)
    expect(fail[0]).toMatch(new RegExp(`port ${port} .*another program.* choose another port with --port\\.`))
    expect(fail[1]).toMatch(/orders +It has 6 partitions, and 4 are configured\. Start with the --partitions/)
    expect(lines.at(-1)).toMatch(/^8 to mend/)
  })

  test('says that the data folder cannot be one', async () => {
    const data = join(createFolder(), 'file')
    writeFileSync(data, '')
    const { code, fail } = await examine([...free, '--data', data])
    expect(code).toBe(exitCodes.failed)
    expect(fail).toEqual([expect.stringMatching(/data folder .*is a file.*--data\.$/)])
  })

  test('looks at what the named roles need and at nothing else', async () => {
    const data = createFolder()
    const port = await openPort((_req, res) => res.end())
    const { code, lines } = await examine(['sauce', '--port', port, '--data', data])
    expect(code).toBe(exitCodes.ok)
    expect(lines.join('\n')).not.toMatch(/port|orders\.sqlite/)
  })

  test('says which brokers cannot be reached, and no password', async () => {
    const folder = createFolder()
    const config = join(folder, 'config.properties')
    const login = 'security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=ada\nsasl.password=S3CRET\n'
    writeFileSync(config, `bootstrap.servers=127.0.0.1:1\n${login}`)
    const { code, fail, lines } = await examine([
      ...free,
      '--config',
      config,
      '--data',
      folder,
      '--log-level',
      'silent',
    ])
    expect(code).toBe(exitCodes.failed)
    expect(fail).toEqual([expect.stringMatching(/^FAIL +log .*127\.0\.0\.1:1.*bootstrap\.servers/)])
    expect(lines.join('\n')).not.toContain('S3CRET')
  })
})

describe('What it thinks of', () => {
  test('a Node.js that is too old', () => {
    expect(inspectNode('24.0.0').level).toBe('ok')
    expect(inspectNode('22.20.0')).toMatchObject({ level: 'FAIL', text: expect.stringContaining('npm start') })
  })

  test('a disk that is getting full', () => {
    expect(inspectRoom('./data', 2 ** 30).level).toBe('ok')
    expect(inspectRoom('./data', 2 ** 29)).toMatchObject({ level: 'warn', text: expect.stringContaining('0.5 GiB') })
    expect(inspectRoom('./data', 2 ** 20)).toMatchObject({ level: 'FAIL', text: expect.stringContaining('--data') })
  })

  test.each([
    [0, 'ok'],
    [60_000, 'warn'],
    [2 * 3_600_000, 'FAIL'],
  ])('a record that is %i ms from the future: %s', async (aheadMs, level) => {
    const parsed = parseConfig({ argv: [...free, '--data', createFolder()], env: {}, readFile: () => '', version: '' })
    if (parsed.kind !== 'start') throw new Error('Expected a configuration')
    const memory = createMemoryLog({ storage: createMemoryStorage() })
    await memory.ensureTopics(createTopics(recipe, parsed.config.topics).specs)
    await memory.append([{ topic: 'orders', key: '7', value: '{}' }])
    const log: EventLog = {
      ...memory,
      async *read(at, range) {
        for await (const records of memory.read(at, range)) {
          yield records.map((record) => ({ ...record, timestampMs: Date.now() + aheadMs }))
        }
      },
    }
    const lines: string[] = []
    const print = (line: string) => void lines.push(line)
    const openLog = () => Promise.resolve(log)
    expect(await runDoctor(parsed.config, { nodeVersion: '24.1.0', openLog, print })).toBe(level !== 'FAIL')
    expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^${level} +clock`)))
  })
})
