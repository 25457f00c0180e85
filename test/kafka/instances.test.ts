/**
 * Instances. Two processes of one role share its partitions on a real broker while orders keep coming: one is stopped, one is killed.
 * No pizza is lost (P5), and no report says less than one before it (P7), whichever reporter is asked.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkShop } from '../support/checker.ts'
import { everyRole, type Fleet } from '../support/fleet.ts'
import { createHttpClient, type HttpClient } from '../support/http-client.ts'
import { failOnLeftovers } from '../support/lifecycle.ts'
import { startLoad } from '../support/load.ts'
import { chooseSeed, createRandom } from '../support/random.ts'
import { runProgram } from '../support/shop-process.ts'
import { until } from '../support/until.ts'
import { createWitness } from '../support/witness.ts'
import { openKafkaWorld, type World } from '../support/worlds.ts'
import { kafkaAvailable, needsKafka, startTestBroker, type TestBroker } from './broker.ts'

const partitions = 6
/** The other roles, which nothing happens to. */
const rest = 'rest'

failOnLeftovers()

async function openFleet(world: World, role: string, names: readonly string[]): Promise<Fleet> {
  const processes = [
    ...names.map((name) => ({ roles: [role], name, dataDir: join(world.dataDir, name) })),
    { roles: everyRole.filter((other) => other !== role), name: rest },
  ]
  for (const name of names) await mkdir(join(world.dataDir, name))
  const fleet = world.createFleet({ processes, args: ['--metrics-port', '0'] })
  await fleet.startAll()
  return fleet
}

/** Partition numbers that a process owns in a role. */
async function countPartitions(http: HttpClient, fleet: Fleet, name: string, role: string): Promise<number> {
  const url = /^ {2}metrics +(http\S+)$/m.exec(fleet.process(name)!.output())![1]!
  const { text } = await http.get(url)
  return Number(new RegExp(`^pizza_partitions\\{role="${role}"\\} (\\d+)`, 'm').exec(text)?.[1])
}

/** Resolves when these processes, and no others, own every partition between them. */
async function areSpread(http: HttpClient, fleet: Fleet, role: string, names: readonly string[]): Promise<void> {
  await until(`${names.join(' and ')} to own the partitions`, async () => {
    const counts = await Promise.all(names.map((name) => countPartitions(http, fleet, name, role)))
    return counts.every((count) => count === partitions / names.length)
  })
}

/** Asks the reporters that are up in turn. */
function keepAsking(http: HttpClient, fleet: Fleet, names: readonly string[]) {
  const complaints: string[] = []
  let last: Record<string, number> = {}
  let answeredAt = performance.now()
  let longestGapMs = 0
  let isStopping = false
  const ask = async (name: string): Promise<void> => {
    const url = fleet.process(name)?.reportUrl
    const answer = url === undefined ? undefined : await http.get(`${url}/report`).catch(() => undefined)
    if (answer?.status !== 200) return
    const counts = JSON.parse(answer.text) as Record<string, number>
    for (const [choice, pizzas] of Object.entries(last)) {
      if ((counts[choice] ?? 0) < pizzas) complaints.push(`${choice}: ${counts[choice]} after ${pizzas}, says ${name}`)
    }
    last = counts
    longestGapMs = Math.max(longestGapMs, performance.now() - answeredAt)
    answeredAt = performance.now()
  }
  const run = async (): Promise<void> => {
    while (!isStopping) {
      for (const name of names) await ask(name)
      // Leaves the processors to the shop.
      await sleep(20)
    }
  }
  const running = run()
  return {
    /** How long nobody gave an answer, at most, since the last call. */
    async longestGap(): Promise<number> {
      const before = answeredAt
      await until('another answer', async () => answeredAt > before)
      const gap = longestGapMs
      longestGapMs = 0
      return Math.round(gap)
    },
    async stop(): Promise<string[]> {
      isStopping = true
      await running
      return complaints
    },
  }
}

describe.skipIf(!(await kafkaAvailable()))(`Two processes of one role (${needsKafka})`, { timeout: 180_000 }, () => {
  let broker: TestBroker
  let worlds = 0

  beforeAll(async () => {
    broker = await startTestBroker()
  }, 300_000)
  afterAll(() => broker?.close())

  const open = () => openKafkaWorld(broker.bootstrapServers, `i${++worlds}`)

  test('P5, P7: cheese reporters answer for each other, one is stopped and one is killed', async () => {
    const world = await open()
    const names = ['a', 'b']
    const role = 'cheese-reporter'
    const fleet = await openFleet(world, role, names)
    const http = createHttpClient()
    const witness = createWitness()
    const random = createRandom(chooseSeed('Two reporters'))
    const load = startLoad({ witness, random, url: fleet.url, clients: 2, ordersPerSecond: 20 })
    const spread = (...of: string[]) => areSpread(http, fleet, role, of)
    await spread('a', 'b')
    const asking = keepAsking(http, fleet, names)
    await load.whenPlaced(20)
    await asking.longestGap()

    await fleet.stop('b')
    await spread('a')
    const stoppedMs = await asking.longestGap()
    await load.whenPlaced(20)
    await fleet.start('b')
    await spread('a', 'b')
    await load.whenPlaced(20)
    const joinedMs = await asking.longestGap()
    await fleet.kill('a')
    await spread('b')
    await load.whenPlaced(20)
    const killedMs = await asking.longestGap()
    await fleet.start('a')
    await spread('a', 'b')
    await load.whenPlaced(20)
    await load.stop()
    expect(await asking.stop()).toEqual([])
    console.log(`Longest time without a report: ${stoppedMs} ms stopped, ${joinedMs} joined, ${killedMs} killed`)

    for (const name of names) {
      const { reportUrl } = fleet.process(name)!
      const result = await checkShop({ witness, url: await fleet.url(), reportUrl: reportUrl! })
      expect(result.violations).toEqual([])
    }
    http.close()
    expect(fleet.crashes).toEqual([])
    await fleet.stopAll()
    for (const dataDir of [world.dataDir, ...names.map((name) => join(world.dataDir, name))]) {
      const configFile = join(world.dataDir, 'config.properties')
      const args = ['--topic-prefix', world.topics.orders.replace(/orders$/, '')]
      expect(await runProgram('verify', { dataDir, configFile, args })).toMatchObject({ code: 0 })
    }
  })

  test('P5: sauce goes on when one of its processes is stopped, and when one is killed', async () => {
    const world = await open()
    const fleet = await openFleet(world, 'sauce', ['a', 'b'])
    const http = createHttpClient()
    const witness = createWitness()
    const random = createRandom(chooseSeed('Two sauces'))
    const load = startLoad({ witness, random, url: fleet.url, clients: 2, ordersPerSecond: 20 })
    const spread = (...of: string[]) => areSpread(http, fleet, 'sauce', of)
    const timed = async (act: Promise<void>): Promise<number> => {
      const startedAt = performance.now()
      await act
      return Math.round(performance.now() - startedAt)
    }
    await spread('a', 'b')
    await load.whenPlaced(20)
    await fleet.stop('b')
    const stoppedMs = await timed(spread('a'))
    await load.whenPlaced(20)
    await fleet.start('b')
    await spread('a', 'b')
    await load.whenPlaced(20)
    await fleet.kill('a')
    const killedMs = await timed(spread('b'))
    await load.whenPlaced(20)
    await load.stop()
    console.log(`Every partition is with the other: ${stoppedMs} ms after a stop, ${killedMs} after a kill`)
    const result = await checkShop({ witness, url: await fleet.url(), reportUrl: await fleet.reportUrl() })
    expect(result.violations).toEqual([])
    http.close()
    expect(fleet.crashes).toEqual([])
    await fleet.stopAll()
    // A stop gives them away; a kill is noticed when the session times out, after 6 s.
    expect(stoppedMs).toBeLessThan(3_000)
    expect(killedMs).toBeLessThan(15_000)
  })

  test('P5: cheese reporters answer while the broker is away, with what they had', async () => {
    const world = await open()
    const names = ['a', 'b']
    const fleet = await openFleet(world, 'cheese-reporter', names)
    const http = createHttpClient()
    await areSpread(http, fleet, 'cheese-reporter', names)
    const { text } = await http.post(`${await fleet.url()}/order/100`)
    const { order_id } = JSON.parse(text) as { order_id: string }
    await http.get(`${await fleet.url()}/order/${order_id}`, { prefer: 'wait=30' })
    const read = async (name: string) => {
      const startedAt = performance.now()
      const answer = await http.get(`${fleet.process(name)!.reportUrl}/report`)
      return { answer: `${answer.status} ${answer.text}`, tookMs: Math.round(performance.now() - startedAt) }
    }
    const sum = (answer: string) => [...answer.matchAll(/:(\d+)/g)].reduce((n, [, pizzas]) => n + Number(pizzas), 0)
    await until('every pizza to be counted', async () => sum((await read('a')).answer) === 100)
    const { answer: before } = await read('a')
    expect((await read('b')).answer).toBe(before)
    await broker.kill()
    const tookMs: number[] = []
    // For longer than a membership lasts.
    const endsAt = performance.now() + 8_000
    while (performance.now() < endsAt) {
      for (const name of names) {
        const { answer, tookMs: took } = await read(name)
        expect(answer).toBe(before)
        tookMs.push(took)
      }
      await sleep(20)
    }
    http.close()
    const sorted = tookMs.toSorted((a, b) => a - b)
    console.log(
      `${sorted.length} reports without a broker: median ${sorted[sorted.length >> 1]} ms, longest ${sorted.at(-1)}`,
    )
    await fleet.killAll()
  })
})
