/**
 * Role down. One role is away while orders keep coming: the others go on, the door and the report stay open, and when it is back
 * everything is made up for.
 */
import { expect, test } from 'vitest'
import { checkShop } from '../support/checker.ts'
import type { Fleet } from '../support/fleet.ts'
import { createHttpClient } from '../support/http-client.ts'
import { failOnLeftovers } from '../support/lifecycle.ts'
import { startLoad } from '../support/load.ts'
import { chooseSeed, createRandom } from '../support/random.ts'
import { countRecords } from '../support/topics.ts'
import { until } from '../support/until.ts'
import { createWitness, type OrderJson, type Witness } from '../support/witness.ts'
import { onEachLog, type World } from '../support/worlds.ts'

/** Orders a second; the role is away for 10 s of them, or with CHAOS_MINUTE=1 for a minute. */
const ordersPerSecond = 30
const ordersWhileAway = ordersPerSecond * (process.env['CHAOS_MINUTE'] === '1' ? 60 : 10)

failOnLeftovers()

await onEachLog((openWorld, log) => {
  test(
    'P5: with cheese away, orders are taken and wait in state cheese, and are all made when it is back',
    { timeout: 300_000 },
    async () => {
      const random = createRandom(chooseSeed(`Cheese away, ${log}`))
      const world = await openWorld()
      const { fleet, witness } = await openShop(world)
      const load = startLoad({ witness, random, url: fleet.url, clients: 4, ordersPerSecond })
      await load.whenPlaced(ordersPerSecond)
      const reporter = keepAsking(`${await fleet.reportUrl()}/report`)

      await fleet.stop('cheese')
      const broken = load.broken
      await load.whenPlaced(ordersWhileAway)

      const waiting = await placeAndWatch(await fleet.url(), witness)
      expect(waiting.in_progress.map(({ state }) => state)).toEqual(['cheese', 'cheese', 'cheese'])
      expect(load.broken + load.refused, 'POST and GET answer as always').toBe(broken)

      await fleet.start('cheese')
      await load.whenPlaced(ordersPerSecond)
      await load.stop()
      expect(await reporter.stop(), 'the reporter answered throughout').toEqual([])
      await expectNothingWrong(world, fleet, witness)
    },
  )

  test(
    'P5: with orders away, pizzas under way get their toppings and the reporter answers',
    { timeout: 120_000 },
    async () => {
      const world = await openWorld()
      const { fleet, witness } = await openShop(world)
      const reporter = keepAsking(`${await fleet.reportUrl()}/report`)
      const eventLog = world.openLog()

      const http = createHttpClient()
      const { status, text } = await http.post(`${await fleet.url()}/order/300`)
      expect(status).toBe(201)
      witness.accept((JSON.parse(text) as { order_id: string }).order_id, 300)
      await until('every pizza to be asked for', async () => (await countRecords(eventLog, world.topics.pizza)) >= 300)
      await fleet.kill('orders')

      const last = world.topics.stages.get('veggies')!.to
      await until('every pizza to have its last topping', async () => (await countRecords(eventLog, last)) >= 300)
      const report = await http.get(`${await fleet.reportUrl()}/report`)
      const counted = Object.values(JSON.parse(report.text) as Record<string, number>).reduce((sum, n) => sum + n, 0)
      expect(counted).toBe(300)
      http.close()

      await fleet.start('orders')
      expect(await reporter.stop(), 'the reporter answered throughout').toEqual([])
      await expectNothingWrong(world, fleet, witness)
    },
  )
})

async function openShop(world: World): Promise<{ fleet: Fleet; witness: Witness }> {
  const fleet = world.createFleet()
  await fleet.startAll()
  return { fleet, witness: createWitness() }
}

/** Places an order of three and looks until its pizzas got as far as they can. */
async function placeAndWatch(url: string, witness: Witness): Promise<OrderJson> {
  const http = createHttpClient()
  try {
    const { order_id } = JSON.parse((await http.post(`${url}/order/3`)).text) as { order_id: string }
    witness.accept(order_id, 3)
    return await until('every pizza to have its sauce', async () => {
      const answered = witness.look(order_id)
      const order = JSON.parse((await http.get(`${url}/order/${order_id}`)).text) as OrderJson
      answered(order)
      return order.in_progress.every(({ toppings }) => toppings['sauce'] !== undefined) ? order : undefined
    })
  } finally {
    http.close()
  }
}

/** Asks again and again, one question at a time. `stop` gives every answer that was not 200. */
function keepAsking(url: string): { stop(): Promise<string[]> } {
  const http = createHttpClient()
  const refusals: string[] = []
  let isStopping = false
  let asked = 0
  const ask = async (): Promise<void> => {
    while (!isStopping) {
      const answer = await http.get(url).catch((error: unknown) => ({ status: 0, text: String(error) }))
      if (answer.status !== 200) refusals.push(`${answer.status} ${answer.text}`)
      asked++
      // Twenty questions a second are enough, and leave the processor to the shop.
      await new Promise((resolve) => void setTimeout(resolve, 50))
    }
  }
  const asking = ask()
  return {
    async stop() {
      isStopping = true
      await asking
      http.close()
      return asked > 0 ? refusals : ['nobody asked']
    },
  }
}

async function expectNothingWrong(world: World, fleet: Fleet, witness: Witness): Promise<void> {
  const result = await checkShop({ witness, url: await fleet.url(), reportUrl: await fleet.reportUrl() })
  expect(result.violations).toEqual([])
  expect(await world.verify()).toMatchObject({ code: 0 })
  expect(fleet.crashes).toEqual([])
  await fleet.stopAll()
  console.log(`${result.orders} orders, ${result.pizzas} pizzas checked`)
}
