/**
 * Hosts. Several order hosts share the partitions of one shop on a real broker; they join, leave, are killed and are paused while
 * orders keep coming to all of them in turn. Afterwards nothing that a customer was told may be untrue, whichever host is asked.
 */
import { mkdir } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startOrderHost, type OrderHost } from '../../src/actors/order-host.ts'
import { createOrderStore } from '../../src/actors/order-store.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { createKafkaLog, type KafkaLog } from '../../src/log/kafka-log.ts'
import { placeKey } from '../../src/log/placement.ts'
import type { Logger } from '../../src/logger.ts'
import { recipe } from '../../src/menu.ts'
import { printOrder } from '../../src/records.ts'
import { createTopics } from '../../src/topics.ts'
import { kafkaAvailable, needsKafka, startTestBroker, type TestBroker } from '../kafka/broker.ts'
import { checkShop, readAllOrders } from '../support/checker.ts'
import { everyRole, type Fleet } from '../support/fleet.ts'
import { createHttpClient } from '../support/http-client.ts'
import { judgeSnapshots } from '../support/judge.ts'
import { failOnLeftovers, makeFolder } from '../support/lifecycle.ts'
import { startLoad, type Load } from '../support/load.ts'
import { startObserver, type Observer } from '../support/observer.ts'
import { chooseSeed, createRandom } from '../support/random.ts'
import { until } from '../support/until.ts'
import { createWitness, type OrderJson, type Witness } from '../support/witness.ts'
import { openKafkaWorld, type World } from '../support/worlds.ts'

const partitions = 6
const sessionMs = 6_000
/** The role of everything but orders runs in one process, and nothing happens to it. */
const rest = 'rest'

failOnLeftovers()

interface Hosts {
  readonly world: World
  readonly fleet: Fleet
  /** Asks a host that is up and not paused, each in turn, as a load balancer does. */
  url(): string
  dataDir(name: string): string
  pause(name: string): void
  resume(name: string): void
  /** What a host says of its role `orders`. */
  metric(name: string, metric: string): Promise<number>
  /** Resolves when these hosts own the partitions evenly. */
  areSpread(...names: string[]): Promise<void>
}

async function openHosts(world: World, names: readonly string[], args: readonly string[] = []): Promise<Hosts> {
  const dataDir = (name: string): string => join(world.dataDir, name)
  const processes = [
    ...names.map((name) => ({ roles: ['orders'], name, dataDir: dataDir(name) })),
    { roles: everyRole.filter((role) => role !== 'orders'), name: rest },
  ]
  for (const name of names) await mkdir(dataDir(name))
  const fleet = world.createFleet({ processes, args })
  const paused = new Set<string>()
  let turn = 0
  const metric = async (name: string, of: string): Promise<number> => {
    const http = createHttpClient()
    try {
      const { text } = await http.get(`${fleet.process(name)!.url}/metrics`)
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${of}{role="orders"}`))
          ?.split(' ')[1],
      )
    } finally {
      http.close()
    }
  }
  return {
    world,
    fleet,
    dataDir,
    url() {
      const up = names.filter((name) => fleet.process(name) !== undefined && !paused.has(name))
      return fleet.process(up[turn++ % up.length]!)!.url!
    },
    pause(name) {
      paused.add(name)
      fleet.process(name)!.pause()
    },
    resume(name) {
      fleet.process(name)!.resume()
      paused.delete(name)
    },
    metric,
    async areSpread(...among) {
      await until(`${partitions} partitions on ${among.join(', ')}`, async () => {
        const counts = await Promise.all(among.map((name) => metric(name, 'pizza_partitions')))
        const fair = new Set([Math.floor(partitions / among.length), Math.ceil(partitions / among.length)])
        return counts.reduce((a, b) => a + b) === partitions && counts.every((count) => fair.has(count))
      })
    },
  }
}

interface Customers {
  readonly witness: Witness
  readonly load: Load
  readonly observer: Observer
}

function startCustomers({ url }: Hosts): Customers {
  const witness = createWitness()
  const random = createRandom(chooseSeed('Hosts'))
  // A large order now and then, so that a move finds work half done.
  const countOf = (r: typeof random) => (r.oneIn(20) ? 40 : 1 + r.below(3))
  const load = startLoad({
    witness,
    random,
    url: async () => url(),
    clients: 6,
    ordersPerSecond: 15,
    patienceS: 1,
    countOf,
  })
  const observer = startObserver({ witness, url, partitions, ordersPerSecond: 18 })
  return { witness, load, observer }
}

describe.skipIf(!(await kafkaAvailable()))(`Several order hosts (${needsKafka})`, () => {
  let broker: TestBroker
  let worlds = 0
  const openWorld = () => openKafkaWorld(broker.bootstrapServers, `h${++worlds}`)

  beforeAll(async () => {
    broker = await startTestBroker({ properties: { 'group.min.session.timeout.ms': '1000' } })
  }, 300_000)
  afterAll(() => broker?.close())

  test(
    'P1 P2 P3 P4 P7 P9: join, leave, die and are paused under load, and everything they told stays true',
    { timeout: 300_000 },
    async () => {
      const hosts = await openHosts(await openWorld(), ['a', 'b', 'c'])
      const { fleet, areSpread } = hosts
      await Promise.all([fleet.start(rest), fleet.start('a')])
      const { witness, load, observer } = startCustomers(hosts)
      const measure = createMeasure(observer)
      await observer.everyPartitionFinished()
      await measure('two more join', async () => {
        await fleet.start('b')
        await areSpread('a', 'b')
        await fleet.start('c')
        await areSpread('a', 'b', 'c')
      })
      // What the machine adds by itself.
      const calm = await measure('nothing moves', () => load.whenPlaced(40))
      const leave = await measure('one leaves (SIGTERM)', async () => {
        await fleet.stop('b')
        await areSpread('a', 'c')
      })
      const kill = await measure('one dies (kill -9)', async () => {
        await fleet.kill('c')
        await areSpread('a')
      })
      await measure('both come back', async () => {
        await Promise.all([fleet.start('b'), fleet.start('c')])
        await areSpread('a', 'b', 'c')
      })
      let paused: Awaited<ReturnType<typeof pauseAtWork>>
      await measure('one is paused for longer than its session (SIGSTOP)', async () => {
        paused = await pauseAtWork(hosts, 'a')
        await areSpread('b', 'c')
      })
      await measure('it goes on (SIGCONT)', async () => {
        await paused.resume()
        await areSpread('a', 'b', 'c')
      })
      await Promise.all([load.stop(), observer.stop()])
      console.log(
        `${load.broken + observer.broken} requests broken off; refused: ${load.refused} with keys or waiting, ` +
          `${observer.refusedGets} GET, ${observer.refusedPosts} POST without a key`,
      )
      await expectNothingWrong(hosts, witness)
      expect(observer.refusedPosts, 'POST without a key is for any host that is up').toBe(0)
      // The promise is of the program, the margin what the machine adds by itself: both were measured in the same minute. A machine
      // on which nothing is finished for a second while nothing moves has no time for heartbeats either, and says nothing about it.
      if (calm > 1_000) return console.warn('NOT JUDGED: too busy a machine to hold these figures against the promise')
      expect(leave).toBeLessThanOrEqual(1_000 + calm)
      expect(kill).toBeLessThanOrEqual(sessionMs + 2_000 + calm)
    },
  )

  test('more than partitions: the rest stand by, serve every order, and take over', { timeout: 180_000 }, async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    const hosts = await openHosts(await openWorld(), names)
    const { fleet, areSpread } = hosts
    await Promise.all([fleet.start(rest), fleet.start('a')])
    const witness = createWitness()
    await placeAndFinish(hosts, witness, 60)
    await Promise.all(names.slice(1).map((name) => fleet.start(name)))
    await areSpread(...names)
    const told = await Promise.all(names.map((name) => readAllOrders(fleet.process(name)!.url!)))
    expect(told[0]!.size).toBe(60)
    for (const answers of told) expect(answers).toEqual(told[0])
    const counts = await Promise.all(names.map((name) => hosts.metric(name, 'pizza_partitions')))
    const standby = names[counts.indexOf(0)]!
    expect(await areReady(hosts, names)).toEqual(names.map(() => '200 {"ready":true,"reasons":[]}'))

    const leaving = names.find((name) => name !== standby)!
    // Any of them may stand by, the first one too, which had nothing to read.
    const everything = restoredBytes(hosts, 'b')
    await fleet.stop(leaving)
    await areSpread(...names.filter((name) => name !== leaving))
    await placeAndFinish(hosts, witness, 3)
    await fleet.start(leaving)
    await areSpread(...names)
    const difference = restoredBytes(hosts, leaving)
    console.log(`An empty disk read ${everything} bytes, one that came back after 3 of 63 orders ${difference} bytes`)
    expect(everything).toBeGreaterThan(60 * 200)
    // Three orders of 63 are 5 %; the rest are checkpoints of positions, and what others wrote while it left.
    expect(difference).toBeLessThan(0.2 * everything)
    await expectNothingWrong(hosts, witness)
  })

  test.each([
    { claims: 'claims', isFenced: true },
    { claims: 'appends that nobody refuses', isFenced: false },
  ])(
    'P9: an owner that was replaced without noticing writes late, by $claims',
    { timeout: 60_000 },
    async ({ isFenced }) => {
      const { judged, refused } = await writeLate(broker.bootstrapServers, isFenced)
      expect(judged.checkpoints).toBe(isFenced ? 2 : 3)
      expect(refused).toBe(isFenced ? 1 : 0)
      // The judge must find what fencing prevents, or it would find nothing in the tests above either.
      expect(judged.violations).toEqual(isFenced ? [] : [expect.stringMatching(/orders back from 3 to 2$/)])
    },
  )
})

/** Prints the longest standstill of a partition from the beginning of what happens to orders after it. @returns milliseconds. */
function createMeasure(observer: Observer) {
  return async (what: string, happen: () => Promise<unknown>): Promise<number> => {
    const since = performance.now()
    await happen()
    await observer.everyPartitionFinished()
    const { partition, ms } = observer.longestSince(since)
    const took = ((performance.now() - since) / 1_000).toFixed(1)
    console.log(
      `${ms} ms: partition ${partition} stood still while ${what} (${took} s, load ${loadavg()[0]!.toFixed(1)})`,
    )
    return ms
  }
}

/**
 * P9: stops a host in the middle of an order that it has shown and not finished, until others have finished it; then the host goes on,
 * and its late checkpoint is refused.
 */
async function pauseAtWork(hosts: Hosts, name: string): Promise<{ resume(): Promise<void> }> {
  const http = createHttpClient()
  const { url, output } = hosts.fleet.process(name)!
  const { text: own } = await http.get(`${url}/own/orders?limit=1`)
  const { partitions: mine } = JSON.parse(own) as { partitions: number[] }
  const place = async (): Promise<string> => {
    const { text } = await http.post(`${url}/order/300`)
    return (JSON.parse(text) as { order_id: string }).order_id
  }
  const look = async (at: string): Promise<OrderJson> => {
    const { status, text } = await http.get(`${at}/order/${orderId}`)
    return status === 200 ? (JSON.parse(text) as OrderJson) : await look(at)
  }
  /** Whether it is caught half done. */
  const isCaught = async (): Promise<boolean> => {
    if (!mine.includes(placeKey(orderId, partitions))) return false
    const isBegun = ({ status, in_progress }: OrderJson) =>
      status === 'ready' || in_progress.some(({ state }) => state !== 'sauce')
    const order = await until('the order to be begun', async () => [await look(url!)].find(isBegun))
    return order.status !== 'ready'
  }
  let orderId = await place()
  while (!(await isCaught())) orderId = await place()
  hosts.pause(name)
  await until('the others finish the order', async () => (await look(hosts.url())).status === 'ready')
  const finished = await look(hosts.url())
  return {
    async resume() {
      // They are the first that it sees when it goes on, before it can have heard that it was replaced.
      const early = Array.from({ length: 5 }, () => http.get(`${url}/order/${orderId}`))
      hosts.resume(name)
      for (const { status, text } of await Promise.all(early)) {
        if (status !== 503) expect(JSON.parse(text)).toEqual(finished)
      }
      await until('the late checkpoint is refused', () => output().includes('Another owner has the partition'))
      expect(await hosts.metric(name, 'pizza_fenced_total')).toBeGreaterThan(0)
      expect(await look(url!)).toEqual(finished)
      http.close()
    },
  }
}

/** Asks every host about everything, then the log, then the folder of each. */
async function expectNothingWrong({ world, fleet, dataDir }: Hosts, witness: Witness): Promise<void> {
  const names = fleet.names.filter((name) => name !== rest)
  const reportUrl = await fleet.reportUrl()
  for (const name of names) {
    const result = await checkShop({ witness, url: fleet.process(name)!.url!, reportUrl, partitions })
    expect(result.violations, `asked ${name}`).toEqual([])
  }
  const judged = await judgeSnapshots(world.openLog(), world.topics.snapshots!)
  expect(judged.violations).toEqual([])
  console.log(
    `${witness.accepted.size} orders, ${witness.looks} answers compared, ${judged.checkpoints} checkpoints of partitions`,
  )
  const verified = await Promise.all(names.map((name) => world.verify(dataDir(name))))
  for (const { output } of verified) expect(output).toContain('no difference')
  expect(fleet.crashes).toEqual([])
  await fleet.stopAll()
}

async function placeAndFinish({ url }: Hosts, witness: Witness, orders: number): Promise<void> {
  const http = createHttpClient()
  const place = async (): Promise<void> => {
    const { order_id } = JSON.parse((await http.post(`${url()}/order/3`)).text) as { order_id: string }
    witness.accept(order_id, 3)
    const { text } = await http.get(`${url()}/order/${order_id}`, { prefer: 'wait=30' })
    expect((JSON.parse(text) as OrderJson).status).toBe('ready')
  }
  await Promise.all(Array.from({ length: orders }, place))
  http.close()
}

async function areReady({ fleet }: Hosts, names: readonly string[]): Promise<string[]> {
  const http = createHttpClient()
  const answers = await Promise.all(names.map((name) => http.get(`${fleet.process(name)!.url}/readyz`)))
  http.close()
  return answers.map(({ status, text }) => `${status} ${text}`)
}

/** Bytes that a host has read since its start to take partitions over, as its log says. */
function restoredBytes({ fleet }: Hosts, name: string): number {
  const found = fleet
    .process(name)!
    .output()
    .matchAll(/"bytes":(\d+),.*"msg":"Took over partition/g)
  return [...found].reduce((sum, [, bytes]) => sum + Number(bytes), 0)
}

/**
 * One partition and two order hosts. The first has something that it has not written down when the group drops it without its noticing,
 * as in a pause; the second takes over and goes on; then the first writes.
 */
async function writeLate(bootstrapServers: string, isFenced: boolean) {
  const connection = { brokers: [bootstrapServers], clientId: 'late', ssl: false }
  const open = (): KafkaLog => {
    const log = createKafkaLog({ connection, sessionTimeoutMs: 1_000, heartbeatMs: 200 })
    onTestFinished(() => log.close())
    return log
  }
  const [membership, writing, heirs] = [open(), open(), open()]
  const topics = createTopics(recipe, { prefix: isFenced ? 'late-' : 'unfenced-', partitions: 1, hasSnapshots: true })
  await writing.ensureTopics(topics.specs)
  const dir = await makeFolder()
  const start = async (name: string, log: EventLog): Promise<OrderHost> => {
    const store = createOrderStore(join(dir, `${name}.sqlite`))
    const never = 1_000_000
    const settings = { liveActorsMax: 100, checkpointMs: never, checkpointOrdersMax: never, groupId: topics.orders }
    const host = await startOrderHost({ ...settings, log, logger: silent, store, recipe, topics, address: name })
    onTestFinished(async () => {
      await host.stop(AbortSignal.abort())
      store.close()
    })
    return host
  }
  const order = async (host: OrderHost, id: string): Promise<void> => {
    const value = printOrder({ order_id: id, count: 1, placedAt: Number(id) })
    await writing.append([{ topic: topics.orders, key: id, value }])
    await until(`order ${id}`, () => host.applied.position(topics.orders, 0) === Number(id))
  }
  const unfenced: EventLog['claim'] = async (at) => ({
    ...at,
    append: async (records) => (await writing.claim!(at)).append(records),
    release() {},
  })
  const claim = isFenced ? writing.claim! : unfenced
  const old = await start('old', { ...writing, consume: membership.consume, claim })
  await order(old, '1')
  await old.checkpointer.now()
  await order(old, '2')
  membership.crash()
  const heir = await start('heir', heirs)
  await order(heir, '3')
  await heir.checkpointer.now()
  await old.checkpointer.now()
  // Readers may see an append a little later; a claim waits for that.
  await writing.claim!({ topic: topics.snapshots!, partition: 0 })
  return { judged: await judgeSnapshots(writing, topics.snapshots!), refused: old.stats().handover.refused }
}

const silent = { info() {}, warn() {}, error() {}, debug() {} } as unknown as Logger
