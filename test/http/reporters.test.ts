import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createPeers, type Peers } from '../../src/actors/peers.ts'
import type { Counts } from '../../src/actors/report.ts'
import { createReportStore } from '../../src/actors/report-store.ts'
import { verify } from '../../src/actors/verify.ts'
import { createReportApp } from '../../src/http/app.ts'
import { createDoor } from '../../src/http/door.ts'
import { listen } from '../../src/http/listen.ts'
import { createSharedReport } from '../../src/http/shared-report.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { evictMember } from '../../src/log/memory-log.ts'
import { chooseSeed, createRandom } from '../support/random.ts'
import {
  openMemoryShop,
  toppedRecord,
  until,
  type MemoryShop,
  type ReporterOptions,
  type RunningReporter,
} from '../support/memory-shop.ts'
import { scrape } from './shop.ts'

const partitions = 4
const topic = 'pizza-with-cheese'
const groupId = 'pizza-actors.cheese-reporter'
const logger = { error: () => {}, warn: () => {} }

interface Settings extends ReporterOptions {
  readonly patienceMs?: number
  /** Of the log that says who owns what. */
  readonly owners?: EventLog['owners']
  readonly isConfirmed?: () => boolean
}

interface HttpReporter extends RunningReporter {
  readonly url: string
  closePort(): Promise<void>
}

/** A reporter with its API, put together as start-reporter does it. */
async function startHttpReporter(shop: MemoryShop, name: string, settings: Settings = {}): Promise<HttpReporter> {
  const { owners = shop.log.owners, patienceMs = 5_000, isConfirmed } = settings
  const door = createDoor()
  const listening = await listen(door.app, { host: '127.0.0.1', port: 0, drainMs: 100 })
  onTestFinished(() => listening.close())
  const running = await shop.startReporter({ ...settings, name, address: listening.url })
  const own = { ...running.report, ...(isConfirmed && { isConfirmed }) }
  const isHere = (partition: number) => own.parts().some((part) => part.partition === partition)
  const peers = createPeers({ log: { ...shop.log, owners }, groupId, self: listening.url, partitions, isHere })
  const report = createSharedReport({ own, peers, partitions, patienceMs })
  onTestFinished(() => report.close())
  door.open(createReportApp({ report, own, scrape, logger }))
  return { ...running, url: listening.url, closePort: () => listening.close() }
}

/** Every partition is with one of these reporters, and has been read. */
const areSpread = (reporters: readonly HttpReporter[]) => () =>
  reporters.flatMap(({ report }) => report.parts()).length === partitions &&
  reporters.every(({ report }) => report.parts().length > 0)

async function read(reporter: HttpReporter): Promise<Counts> {
  const answer = await fetch(`${reporter.url}/report`)
  expect(answer.status).toBe(200)
  return (await answer.json()) as Counts
}

const sum = (counts: Counts) => Object.values(counts).reduce((total, pizzas) => total + pizzas, 0)

/** Appends pizzas of every partition, some of them again. @returns what a report has to say of all so far. */
function startLoad(shop: MemoryShop, seed: number) {
  const random = createRandom(seed)
  const choices = ['none', 'extra', 'goat cheese']
  const pizzas: { order_id: string; pizza_id: number; choice: string }[] = []
  let isStopping = false
  const run = async (): Promise<void> => {
    for (let order = 0; !isStopping; order++) {
      const fresh = Array.from({ length: 3 }, (_, n) => {
        return { order_id: `${order}`, pizza_id: n + 1, choice: random.pick(choices) }
      })
      const again = pizzas[random.below(pizzas.length)]
      pizzas.push(...fresh)
      const repeated = again ? [{ ...again, choice: 'goat cheese' }] : []
      await shop.append(...[...fresh, ...repeated].map((pizza) => toppedRecord(shop.topics, 'cheese', pizza)))
      await nextTurn()
    }
  }
  const running = run()
  return {
    get pizzas() {
      return pizzas.length
    },
    async stop(): Promise<Counts> {
      isStopping = true
      await running
      const counts: Record<string, number> = {}
      for (const { choice } of pizzas) counts[choice] = (counts[choice] ?? 0) + 1
      return counts
    },
  }
}

/** Asks one reporter after the other, all the time. @returns where an answer was less than one before it. */
function keepAsking(urls: () => readonly string[]) {
  const complaints: string[] = []
  let last: Counts = {}
  let answers = 0
  let isStopping = false
  const ask = async (url: string): Promise<void> => {
    const answer = await fetch(`${url}/report`).catch(() => undefined)
    // Those that have gone do not answer; the others may say that they cannot yet.
    if (answer === undefined) return
    const counts = (await answer.json()) as Counts
    if (answer.status === 503) return
    for (const [choice, pizzas] of Object.entries(last)) {
      if ((counts[choice] ?? 0) < pizzas) complaints.push(`${choice}: ${counts[choice]} after ${pizzas}, says ${url}`)
    }
    last = counts
    answers++
  }
  const run = async (): Promise<void> => {
    while (!isStopping) for (const url of urls()) await ask(url)
  }
  const running = run()
  return {
    get answers() {
      return answers
    },
    async stop(): Promise<string[]> {
      isStopping = true
      await running
      return complaints
    },
  }
}

async function differencesOf(shop: MemoryShop, name: string) {
  const reportStore = createReportStore(`${shop.dir}/${name}.sqlite`, { readOnly: true })
  try {
    return (await verify({ log: shop.log, recipe: shop.recipe, topics: shop.topics, reportStore })).differences
  } finally {
    reportStore.close()
  }
}

describe('Cheese reporters that share the partitions', () => {
  test('count each pizza once and never less than before, whoever joins, leaves, is killed or evicted (P7)', async () => {
    const shop = await openMemoryShop({ partitions })
    const up = new Set<HttpReporter>()
    const start = async (name: string) => {
      const reporter = await startHttpReporter(shop, name)
      up.add(reporter)
      return reporter
    }
    const seed = chooseSeed('Cheese reporters')
    const load = startLoad(shop, seed)
    let a = await start('a')
    const asking = keepAsking(() => [...up].map(({ url }) => url))
    /** Goes on when it has been answered a few times with more pizzas on the log. */
    const goOn = async (): Promise<void> => {
      await until(areSpread([...up]))
      const [answers, pizzas] = [asking.answers, load.pizzas]
      await until(() => asking.answers > answers + 4 && load.pizzas > pizzas + 20)
    }
    await goOn()
    let b = await start('b')
    await goOn()
    for (const pick of [0, 1]) {
      evictMember(shop.storage, groupId, () => pick)
      await goOn()
    }
    up.delete(a)
    a.crash()
    await a.closePort()
    await goOn()
    a = await start('a')
    await goOn()
    up.delete(b)
    await b.stop()
    await b.closePort()
    await goOn()
    b = await start('b')
    await goOn()
    const expected = await load.stop()
    expect(await asking.stop()).toEqual([])
    await until(() => [...up].every(({ report }) => report.parts().length > 0))
    for (const reporter of up) {
      await until(
        () =>
          [...up].flatMap(({ report }) => report.parts()).reduce((n, { counts }) => n + sum(counts), 0) === load.pizzas,
      )
      expect(await read(reporter)).toEqual(expected)
    }
    await Promise.all([a.stop(), b.stop()])
    expect([await differencesOf(shop, 'a'), await differencesOf(shop, 'b')]).toEqual([[], []])
  })

  test('show a partition only when all has been counted that the last owner may have shown (P7, N4)', async () => {
    const shop = await openMemoryShop({ partitions: 4 })
    const pizza = (pizza_id: number) => {
      return toppedRecord(shop.topics, 'cheese', { order_id: '1', pizza_id, choice: 'none' })
    }
    const a = await startHttpReporter(shop, 'a')
    await shop.append(pizza(1), pizza(2))
    await until(() => a.report.counts()['none'] === 2)
    a.crash()
    const held = Promise.withResolvers<void>()
    const wrapLog = (log: EventLog): EventLog => ({
      ...log,
      consume: (options) =>
        log.consume({
          ...options,
          async onBatch(records) {
            await held.promise
            await options.onBatch(records)
          },
        }),
    })
    const b = await startHttpReporter(shop, 'b', { wrapLog, patienceMs: 100 })
    await until(() => b.report.parts().length === partitions - 1)
    const answer = await fetch(`${b.url}/report`)
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await answer.json()).toMatchObject({ type: '/problems/behind' })
    const ready = async () => ((await (await fetch(`${b.url}/readyz`)).json()) as { ready: boolean }).ready
    expect(await ready()).toBe(false)
    held.resolve()
    await until(areSpread([b]))
    expect([await read(b), await ready()]).toEqual([{ none: 2 }, true])
  })

  test('ask nobody who owns what while one owns everything (P5)', async () => {
    const shop = await openMemoryShop({ partitions })
    let looks = 0
    const owners = async () => {
      looks++
      throw new Error('The log is away')
    }
    const a = await startHttpReporter(shop, 'a', { owners })
    await until(areSpread([a]))
    expect([await read(a), looks]).toEqual([{}, 0])
    // Even when it is not sure any more to be the owner: then it has to ask, and gets no answer.
    const b = await startHttpReporter(shop, 'b', { owners, isConfirmed: () => false })
    a.crash()
    await until(areSpread([b]))
    expect(await read(b)).toEqual({})
    expect(looks).toBeGreaterThan(0)
  })

  test('go on with what was known of the owners while the log does not say (P5, V3)', async () => {
    const shop = await openMemoryShop({ partitions })
    const log = { isAway: false, looks: 0 }
    const settings: Settings = {
      owners: async (of) => {
        if (log.isAway) throw new Error('The log is away')
        log.looks++
        return shop.log.owners(of)
      },
      isConfirmed: () => !log.isAway,
    }
    const reporters = [await startHttpReporter(shop, 'a', settings), await startHttpReporter(shop, 'b', settings)]
    await until(areSpread(reporters))
    const orders = Array.from({ length: 20 }, (_, n) => ({ order_id: `${n}`, pizza_id: 1, choice: 'none' }))
    await shop.append(...orders.map((pizza) => toppedRecord(shop.topics, 'cheese', pizza)))
    await until(
      () => reporters.flatMap(({ report }) => report.parts()).reduce((n, part) => n + sum(part.counts), 0) === 20,
    )
    // Each looks although nobody has asked it yet.
    const { looks } = log
    await until(() => log.looks >= looks + 4)
    log.isAway = true
    for (const reporter of reporters) expect(await read(reporter)).toEqual({ none: 20 })
  })

  test('do not take the word of one that may have been replaced (P7)', async () => {
    const shop = await openMemoryShop({ partitions })
    const paused = { isPaused: false }
    const a = await startHttpReporter(shop, 'a', { patienceMs: 100 })
    const b = await startHttpReporter(shop, 'b', { isConfirmed: () => !paused.isPaused, patienceMs: 100 })
    await until(areSpread([a, b]))
    expect(await read(a)).toEqual({})
    paused.isPaused = true
    const statuses = [a, b].map(async ({ url }) => (await fetch(`${url}/report`)).status)
    expect(await Promise.all(statuses)).toEqual([503, 503])
  })

  test('make no record a dead letter that an owner before them has (P6)', async () => {
    const shop = await openMemoryShop({ partitions })
    const a = await startHttpReporter(shop, 'a')
    await until(areSpread([a]))
    await shop.append({ topic, key: '1', value: 'no JSON' })
    await until(
      () =>
        shop.storage.committed
          .get(groupId)
          ?.get(topic)
          ?.values()
          .some((position) => position > 0) === true,
    )
    a.crash()
    await shop.append({ topic, key: '1', value: 'no JSON either' })
    const b = await startHttpReporter(shop, 'b')
    await until(areSpread([b]))
    await until(() => shop.records('dead-letters').length === 2)
    const letters = shop.records('dead-letters').map(({ headers }) => headers!['offset'])
    expect(letters).toEqual(['0', '1'])
  })
})

describe('A standby reporter, which owns nothing', () => {
  test('answers with what the others have', async () => {
    const shop = await openMemoryShop({ partitions })
    const a = await startHttpReporter(shop, 'a')
    await until(areSpread([a]))
    await shop.append(toppedRecord(shop.topics, 'cheese', { order_id: '1', pizza_id: 1, choice: 'none' }))
    await until(() => a.report.counts()['none'] === 1)
    const nothing = { counts: () => ({}), parts: () => [], isConfirmed: () => true, readiness: a.report.readiness }
    const peers: Pick<Peers, 'others' | 'isAway'> = {
      others: async () => new Map([[a.url, [0, 1, 2, 3]]]),
      isAway: () => false,
    }
    const standby = createSharedReport({ own: nothing, partitions, peers })
    onTestFinished(() => standby.close())
    expect(await standby.read()).toEqual({ none: 1 })
  })
})
