/**
 * Hosts. Several order hosts share the partitions of one shop on a real broker; they join, leave, are killed and are paused while
 * orders keep coming to all of them in turn. Afterwards nothing that a customer was told may be untrue, whichever host is asked.
 */
import { mkdir } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { placeKey } from '../../src/log/placement.ts'
import { kafkaAvailable, needsKafka, startTestBroker, type TestBroker } from '../kafka/broker.ts'
import { checkShop } from '../support/checker.ts'
import { everyRole, type Fleet } from '../support/fleet.ts'
import { createHttpClient } from '../support/http-client.ts'
import { judgeSnapshots } from '../support/judge.ts'
import { failOnLeftovers } from '../support/lifecycle.ts'
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
  /** Partition numbers that a host says it owns. */
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
        const fair = [Math.floor(partitions / among.length), Math.ceil(partitions / among.length)]
        return counts.reduce((a, b) => a + b) === partitions && counts.every((count) => fair.includes(count))
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
  const observer = startObserver({ witness, url, partitions, ordersPerSecond: 24 })
  return { witness, load, observer }
}

describe.skipIf(!(await kafkaAvailable()))(`Several order hosts (${needsKafka})`, () => {
  let broker: TestBroker
  let worlds = 0
  const openWorld = () => openKafkaWorld(broker.bootstrapServers, `h${++worlds}`)

  beforeAll(async () => {
    broker = await startTestBroker()
  }, 300_000)
  afterAll(() => broker?.close())

  test(
    'P1 P2 P3 P4 P7 P9: join, leave, die and are paused under load, and everything they told stays true',
    { timeout: 180_000 },
    async () => {
      const hosts = await openHosts(await openWorld(), ['a', 'b', 'c'])
      const { fleet, areSpread } = hosts
      await Promise.all([fleet.start(rest), fleet.start('a')])
      const customers = startCustomers(hosts)
      const { load, observer, witness } = customers
      const figures: string[] = []
      const measure = async (what: string, event: () => Promise<unknown>): Promise<number> => {
        const since = performance.now()
        await event()
        await observer.everyPartitionFinished()
        const { partition, ms } = observer.longestSince(since)
        figures.push(`${what}: ${ms} ms (partition ${partition}, load ${loadavg()[0]!.toFixed(1)})`)
        return ms
      }
      await observer.everyPartitionFinished()
      await measure('join of a second and a third', async () => {
        await fleet.start('b')
        await areSpread('a', 'b')
        await fleet.start('c')
        await areSpread('a', 'b', 'c')
      })
      // What the machine adds by itself: nothing moves here.
      const calm = await measure('nothing moves', () => load.whenPlaced(60))
      const leave = await measure('leave (SIGTERM)', async () => {
        await fleet.stop('b')
        await areSpread('a', 'c')
      })
      await measure('come back', async () => {
        await fleet.start('b')
        await areSpread('a', 'b', 'c')
      })
      const kill = await measure('kill -9', async () => {
        await fleet.kill('c')
        await areSpread('a', 'b')
      })
      await measure('come back after kill -9', async () => {
        await fleet.start('c')
        await areSpread('a', 'b', 'c')
      })
      await measure('pause beyond the session (SIGSTOP)', () => pauseAtWork(hosts, 'a', ['b', 'c']))
      await measure('wake up (SIGCONT)', async () => {
        hosts.resume('a')
        await areSpread('a', 'b', 'c')
      })
      console.log(`Longest standstill of a partition\n  ${figures.join('\n  ')}`)
      await expectNothingWrong(hosts, customers)
      expect(leave).toBeLessThanOrEqual(1_000 + calm)
      expect(kill).toBeLessThanOrEqual(sessionMs + 2_000 + calm)
    },
  )
})

/**
 * Stops a host in the middle of a large order that it has shown and not written down, for as long as it takes others to finish the order.
 */
async function pauseAtWork(hosts: Hosts, name: string, heirs: readonly string[]): Promise<void> {
  hosts.pause(name)
  await hosts.areSpread(...heirs)
}

/** Asks every host about everything, then the log, then the folder of each. */
async function expectNothingWrong(
  { world, fleet, dataDir }: Hosts,
  { load, observer, witness }: Customers,
): Promise<void> {
  await Promise.all([load.stop(), observer.stop()])
  const names = fleet.names.filter((name) => name !== rest)
  const reportUrl = await fleet.reportUrl()
  for (const name of names) {
    const result = await checkShop({ witness, url: fleet.process(name)!.url!, reportUrl, partitions })
    expect(result.violations, `asked ${name}`).toEqual([])
  }
  const judged = await judgeSnapshots(world.openLog(), world.topics.snapshots!)
  expect(judged.violations).toEqual([])
  console.log(
    `${witness.accepted.size} orders, ${witness.looks} answers compared, ${judged.checkpoints} checkpoints of partitions; ` +
      `${load.broken + observer.broken} requests broken off, ${load.refused} and ${observer.refusedGets} refused`,
  )
  expect(observer.refusedPosts, 'POST without a key is for any host that is up').toBe(0)
  const verified = await Promise.all(names.map((name) => world.verify(dataDir(name))))
  for (const { output } of verified) expect(output).toContain('no difference')
  expect(fleet.crashes).toEqual([])
  await fleet.stopAll()
}
