/**
 * Rebuild. The state stores are deleted, as one would to change a machine or after a disk was lost; the log gives everything back, to
 * the byte, and nothing is made twice.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { EventLog } from '../../src/log/event-log.ts'
import { checkShop, readAllOrders } from '../support/checker.ts'
import { failOnLeftovers } from '../support/lifecycle.ts'
import { startLoad } from '../support/load.ts'
import { chooseSeed, createRandom } from '../support/random.ts'
import { countRecords } from '../support/topics.ts'
import { until } from '../support/until.ts'
import { createWitness } from '../support/witness.ts'
import { onEachLog, type World } from '../support/worlds.ts'

failOnLeftovers()

await onEachLog((openWorld, log) => {
  test(
    'P2 P4 O4: a shop without its stores gives the same answers again and asks for no pizza twice',
    { timeout: 120_000 },
    async () => {
      const random = createRandom(chooseSeed(`Rebuild, ${log}`))
      const world = await openWorld()
      const fleet = world.createFleet()
      const eventLog = world.openLog()
      await fleet.startAll()
      const witness = createWitness()
      const load = startLoad({
        witness,
        random,
        url: fleet.url,
        clients: 8,
        patienceS: 2,
        countOf: (r) => (r.oneIn(30) ? 100 : 2),
      })
      await load.whenPlaced(200)
      await load.stop()
      await checkShop({ witness, url: await fleet.url(), reportUrl: await fleet.reportUrl() })
      // Some orders are finished, some wait in the middle, and some will be read for the first time after the rebuild.
      await fleet.stop('cheese')
      await placeOrders(await fleet.url(), 20)
      await until('the sauces of waiting orders', () => isTopped(eventLog, world, 'sauce'))
      const before = await readAllOrders(await fleet.url())
      const report = await readReport(await fleet.reportUrl())
      const requested = await countRecords(eventLog, world.topics.pizza)

      await fleet.stop('orders')
      await fleet.stop('cheese-reporter')
      await deleteStores(world)
      await eventLog.append([
        { topic: world.topics.orders, key: 'placed-meanwhile', value: '{"order_id":"placed-meanwhile","count":7}' },
      ])
      await fleet.start('orders')
      await fleet.start('cheese-reporter')

      const after = await readAllOrders(await fleet.url())
      expect(after.delete('placed-meanwhile')).toBe(true)
      expect(after).toEqual(before)
      await until('the report', async () => (await readReport(await fleet.reportUrl())) === report)

      await fleet.start('cheese')
      const result = await checkShop({ witness, url: await fleet.url(), reportUrl: await fleet.reportUrl() })
      expect(result.violations).toEqual([])
      // The checker's own orders have one pizza each.
      const checkerPizzas = result.orders - before.size - 1
      expect(await countRecords(eventLog, world.topics.pizza)).toBe(requested + 7 + checkerPizzas)
      expect(await world.verify()).toMatchObject({ code: 0 })
      expect(fleet.crashes).toEqual([])
      await fleet.stopAll()
    },
  )

  test(
    'P1 P2 P7: a shop whose stores vanish with kill -9 under load gives the same answers again',
    { timeout: 120_000 },
    async () => {
      const random = createRandom(chooseSeed(`Rebuild after a kill, ${log}`))
      const world = await openWorld()
      const fleet = world.createFleet()
      await fleet.startAll()
      const witness = createWitness()
      const load = startLoad({ witness, random, url: fleet.url, clients: 8, ordersPerSecond: 60, patienceS: 1 })
      for (let round = 0; round < 3; round++) {
        await load.whenPlaced(30 + random.below(30))
        await Promise.all([fleet.kill('orders'), fleet.kill('cheese-reporter')])
        await deleteStores(world)
        await Promise.all([fleet.start('orders'), fleet.start('cheese-reporter')])
      }
      await load.whenPlaced(30)
      await load.stop()
      const result = await checkShop({ witness, url: await fleet.url(), reportUrl: await fleet.reportUrl() })
      expect(result.violations).toEqual([])
      expect(await world.verify()).toMatchObject({ code: 0 })
      expect(fleet.crashes).toEqual([])
      await fleet.stopAll()
    },
  )
})

async function placeOrders(url: string, orders: number): Promise<void> {
  for (let placed = 0; placed < orders; placed++) {
    const { status } = await fetch(`${url}/order/2`, { method: 'POST' })
    expect(status).toBe(201)
  }
}

async function isTopped(log: EventLog, world: World, topping: string): Promise<boolean> {
  const { from, to } = world.topics.stages.get(topping)!
  const [pizzas, requested] = [await countRecords(log, to), await countRecords(log, from)]
  const orders = await countRecords(log, world.topics.orders)
  const committed = (await log.committed(`${world.groupId}.orders`, [world.topics.orders, to])).entries()
  const applied = Object.fromEntries([...committed].map(([topic, at]) => [topic, sum(at.values())]))
  return pizzas === requested && applied[to] === pizzas && applied[world.topics.orders] === orders
}

function sum(numbers: Iterable<number>): number {
  return [...numbers].reduce((total, number) => total + number, 0)
}

async function readReport(url: string): Promise<string> {
  return (await fetch(`${url}/report`)).text()
}

async function deleteStores({ dataDir }: World): Promise<void> {
  const files = (await readdir(dataDir)).filter((name) => /^(orders|report)\.sqlite/.test(name))
  expect(files).toContain('orders.sqlite')
  expect(files).toContain('report.sqlite')
  await Promise.all(files.map((name) => rm(join(dataDir, name))))
}
