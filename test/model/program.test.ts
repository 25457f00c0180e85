/**
 * The whole program on every path of the order model: orders come by HTTP, toppings by the log, and the orders role is killed and
 * started again between events. All paths are walked side by side, one order each.
 */
import { describe, expect, it } from 'vitest'
import { recipe } from '../../src/menu.ts'
import { createOrderModel, toPizzaStates, type Taken, type ToppingCame } from '../../src/proof/order-model.ts'
import { findShortestPaths, findSimplePaths, type Path } from '../../src/proof/paths.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import type { Topics } from '../../src/topics.ts'
import { createHttpClient, type HttpClient } from '../support/http-client.ts'
import { failOnLeftovers } from '../support/lifecycle.ts'
import { toppedRecord } from '../support/memory-shop.ts'
import { until } from '../support/until.ts'
import type { OrderJson } from '../support/witness.ts'
import { onEachLog } from '../support/worlds.ts'

failOnLeftovers()

interface Walk {
  readonly orderId: string
  readonly count: number
  readonly path: Path<Taken, ToppingCame>
}

const ofOne = findSimplePaths(createOrderModel(recipe, 1))
const ofTwo = findShortestPaths(createOrderModel(recipe, 2))

async function place(http: HttpClient, url: string, count: number, path: Walk['path']): Promise<Walk> {
  const { status, text } = await http.post(`${url}/order/${count}`)
  expect(status).toBe(201)
  return { orderId: (JSON.parse(text) as { order_id: string }).order_id, count, path }
}

/** Brings each walk its next event. */
async function step(log: EventLog, topics: Topics, walks: readonly Walk[], index: number): Promise<void> {
  const records = walks.flatMap(({ orderId: order_id, path }) => {
    const event = path.events[index]
    if (event === undefined) return []
    const { pizza_id, topping } = event
    return [toppedRecord(topics, topping, { order_id, pizza_id, choice: `some ${topping}` })]
  })
  await log.append(records)
}

/** Waits until each order has taken its first events, and compares what GET shows with the model. */
async function compare(http: HttpClient, url: string, walks: readonly Walk[], steps: number): Promise<void> {
  for (const { orderId, count, path } of walks) {
    const events = path.events.slice(0, steps)
    await until(`order ${orderId} to take ${events.length} events`, async () => {
      const { status, text } = await http.get(`${url}/order/${orderId}/history`)
      return status === 200 && (JSON.parse(text) as { events: unknown[] }).events.length === 1 + events.length
    })
    const model = createOrderModel(recipe, count)
    const states = toPizzaStates(recipe, events.reduce(model.next, model.initial))
    const order = JSON.parse((await http.get(`${url}/order/${orderId}`)).text) as OrderJson
    const shown = states.map((_, index) => {
      const waiting = order.in_progress.find(({ pizza_id }) => pizza_id === index + 1)
      return waiting?.state ?? 'ready'
    })
    expect(shown).toEqual(states)
    expect(order.pizzas).toHaveLength(states.filter((state) => state === 'ready').length)
  }
}

describe('The program', async () => {
  await onEachLog((openWorld, log) => {
    it('is in the state the model says after every step of every path, killed in between (P1-P3)', async () => {
      const world = await openWorld()
      const http = createHttpClient()
      const handle = world.openLog()
      let shop = await world.start({ roles: ['orders'] })
      const walks: Walk[] = []
      for (const path of ofOne) walks.push(await place(http, shop.url!, 1, path))
      for (const path of ofTwo) walks.push(await place(http, shop.url!, 2, path))
      await compare(http, shop.url!, walks, 0)
      // A restart on Kafka waits for the group to drop the dead member, so it is done less often there.
      const killEvery = log === 'kafka' ? 3 : 1
      for (let steps = 1; steps <= 8; steps++) {
        await step(handle, world.topics, walks, steps - 1)
        if (steps % killEvery === 0) {
          await shop.kill()
          shop = await world.start({ roles: ['orders'] })
        }
        await compare(http, shop.url!, walks, steps)
      }
      http.close()
      expect((await world.verify()).code).toBe(0)
      expect(await shop.stop()).toBe(0)
    }, 240_000)
  })
})
