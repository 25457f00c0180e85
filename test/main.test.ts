import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { exitCodes } from '../src/exit-codes.ts'
import { createFolder, run, type RunOptions } from './main-process.ts'

/** Every test starts processes, some of them six: how long that takes is the machine's affair. */
vi.setConfig({ testTimeout: 60_000 })

const free = ['--port', '0', '--report-port', '0']

/** Starts a shop on free ports and a folder of its own, and waits until it is up. */
async function open(
  args: readonly string[] = [],
  { data = createFolder(), ...options }: RunOptions & { data?: string } = {},
) {
  const shop = run([...free, '--data', data, ...args], options)
  return { shop, data, urls: await shop.urls() }
}

async function order(url: string, count: number): Promise<{ id: string; status: string; pizzas: unknown[] }> {
  const placed = await fetch(`${url}/order/${count}`, { method: 'POST' })
  expect(placed.status).toBe(201)
  const { order_id } = (await placed.json()) as { order_id: string }
  return read(url, order_id)
}

async function read(url: string, id: string): Promise<{ id: string; status: string; pizzas: unknown[] }> {
  const response = await fetch(`${url}/order/${id}`, { headers: { prefer: 'wait=10' } })
  expect(response.status).toBe(200)
  return (await response.json()) as { id: string; status: string; pizzas: unknown[] }
}

describe('The program', () => {
  test('prints its help, and nothing else', async () => {
    const help = run(['--help'])
    expect(await help.ended).toBe(exitCodes.ok)
    expect(help.err()).toBe('')
    expect(help.out()).toBe(readFileSync(join(import.meta.dirname, '__snapshots__/help.txt'), 'utf8'))
  })

  test('prints its version', async () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
      version: string
    }
    const program = run(['--version'])
    expect(await program.ended).toBe(exitCodes.ok)
    expect(program.out()).toBe(`${version}\n`)
  })

  test('says everything that is wrong with its configuration, a line each, and starts nothing', async () => {
    const data = join(createFolder(), 'data')
    const program = run(['sause', '--port', 'x', '--config', 'nowhere.properties', '--data', data])
    expect(await program.ended).toBe(exitCodes.usage)
    expect(program.out()).toBe('')
    expect(program.err().split('\n')).toEqual([
      'pizza-actors: sause: there is no such role, did you mean sauce?',
      'pizza-actors: --port: expected an integer from 0 to 65535, got "x"',
      'pizza-actors: --config: cannot read nowhere.properties: no such file or directory',
      'pizza-actors: Every option: npm start -- --help',
      '',
    ])
  })

  test('runs every role on the embedded log, and stops in order on SIGTERM', async () => {
    const { shop, urls } = await open()
    expect(await order(urls.orders, 2)).toMatchObject({ status: 'ready', pizzas: [{}, {}] })
    shop.kill('SIGTERM')
    expect(await shop.ended).toBe(exitCodes.ok)
    expect(shop.out()).toContain('all, in this process')
    expect(shop.err()).not.toContain('"level":50')
  })

  test('has after a stop, by SIGINT or SIGKILL, the orders that it had before (P1)', async () => {
    const { shop, urls, data } = await open()
    const { id, pizzas } = await order(urls.orders, 3)
    shop.kill('SIGINT')
    expect(await shop.ended).toBe(exitCodes.ok)

    const second = await open([], { data })
    expect(await read(second.urls.orders, id)).toMatchObject({ id, status: 'ready', pizzas })
    second.shop.kill('SIGKILL')
    expect(await second.shop.ended).toBe('SIGKILL')

    const third = await open([], { data })
    expect(await read(third.urls.orders, id)).toMatchObject({ id, status: 'ready', pizzas })
  })

  test('can be one process for each role', async () => {
    const data = createFolder()
    const { urls } = await open(['orders', 'cheese-reporter'], { data })
    for (const topping of ['sauce', 'cheese', 'meats', 'veggies']) run([topping, '--data', data])
    expect(await order(urls.orders, 2)).toMatchObject({ status: 'ready', pizzas: [{}, {}] })
    const report = (await (await fetch(`${urls.report}/report`)).json()) as Record<string, number>
    expect(Object.values(report).reduce((sum, n) => sum + n, 0)).toBeLessThanOrEqual(2)
  })

  test('ends at once when a second signal comes before the first has been served', async () => {
    const { shop } = await open()
    shop.kill('SIGINT')
    shop.kill('SIGTERM')
    expect([130, 143]).toContain(await shop.ended)
  })

  test('orders by itself with --demo', async () => {
    const { urls } = await open(['--demo', '50'])
    const events = await fetch(`${urls.orders}/events`)
    let seen = ''
    for await (const chunk of events.body!.pipeThrough(new TextDecoderStream())) {
      seen += chunk
      if (seen.includes('order.ready')) break
    }
    expect(seen).toContain('order.ready')
  })

  test('ends with the error in its log when nobody expected it', async () => {
    const preload = `process.once('SIGUSR2', () => { throw new Error('boom') })`
    const { shop } = await open([], { preload })
    shop.kill('SIGUSR2')
    expect(await shop.ended).toBe(exitCodes.crashed)
    expect(shop.err()).toMatch(/"level":60.*boom/)
  })

  test('does not load the Kafka client for the embedded log', async () => {
    const preload = `import { createRequire } from 'node:module'
      process.on('exit', () => {
        const files = Object.keys(createRequire('/').cache)
        process.stderr.write(['express', 'kafkajs'].map((name) => name + '=' + files.some((file) => file.includes('/node_modules/' + name + '/'))).join())
      })`
    const { shop } = await open([], { preload })
    shop.kill('SIGTERM')
    await shop.ended
    expect(shop.err()).toContain('express=true,kafkajs=false')
  })
})

describe('A start that cannot be', () => {
  test('says which port is taken, and how to choose another', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void other.close())
    await new Promise((resolve) => other.once('listening', resolve))
    const { port } = other.address() as AddressInfo
    for (const [flag, otherFlag] of [
      ['--port', '--report-port'],
      ['--report-port', '--port'],
    ] as const) {
      const shop = run([flag, String(port), otherFlag, '0', '--data', createFolder()])
      expect(await shop.ended).toBe(exitCodes.portTaken)
      expect(shop.err()).toMatch(new RegExp(`(^|\\n)pizza-actors: [^\\n]*${port}[^\\n]* ${flag}\\.\\n$`))
      expect(shop.out()).toBe('')
    }
  })

  test('says that the data folder cannot be written', async () => {
    const file = join(createFolder(), 'file')
    writeFileSync(file, '')
    const shop = run(['--data', join(file, 'data')])
    expect(await shop.ended).toBe(exitCodes.dataNotWritable)
    expect(shop.err()).toMatch(/^pizza-actors: Cannot write the data folder [^\n]*--data\.\n$/)
  })

  test('says that another process works on the data folder', async () => {
    const { data, urls } = await open()
    const shop = run([...free, '--data', data])
    expect(await shop.ended).toBe(exitCodes.dataInUse)
    expect(shop.err()).toMatch(/(^|\n)pizza-actors: [^\n]*--data\.\n$/)
    expect(await order(urls.orders, 1)).toMatchObject({ status: 'ready' })
  })

  test('says which brokers cannot be reached, and no password', async () => {
    const nobody = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => nobody.once('listening', resolve))
    const { port } = nobody.address() as AddressInfo
    await new Promise((resolve) => nobody.close(resolve))
    const folder = createFolder()
    const config = join(folder, 'config.properties')
    const login = 'security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=ada\nsasl.password=S3CRET\n'
    writeFileSync(config, `bootstrap.servers=127.0.0.1:${port}\n${login}`)
    const shop = run(['--config', config, '--data', folder, '--log-level', 'trace'])
    expect(await shop.ended).toBe(exitCodes.logUnavailable)
    expect(shop.err()).toMatch(
      new RegExp(`pizza-actors: [^\\n]*127\\.0\\.0\\.1:${port}[^\\n]*bootstrap\\.servers[^\\n]*\\n$`),
    )
    expect(shop.err()).not.toContain('S3CRET')
    expect(shop.err()).not.toMatch(/^ +at /m)
  })

  test('says that there is nothing to verify', async () => {
    const data = createFolder()
    for (const folder of [data, join(data, 'nowhere')]) {
      const verify = run(['verify', '--data', folder])
      expect(await verify.ended).toBe(exitCodes.usage)
      expect(verify.err()).toMatch(/^pizza-actors: [^\n]*--data[^\n]*\n$/)
    }
  })
})

describe('verify', () => {
  test('finds no difference beside a running shop (P4)', async () => {
    const { urls, data } = await open()
    await order(urls.orders, 5)
    const verify = run(['verify', '--data', data])
    expect(await verify.ended).toBe(exitCodes.ok)
    expect(verify.out()).toMatch(/no difference/)
  })
})
