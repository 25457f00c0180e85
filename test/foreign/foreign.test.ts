/**
 * Foreign programs on the topics: producers that know no pizza_id, write fields of their own or write nonsense, and topping services of
 * other people in place of ours. Orders still become ready, and what cannot be taken is put aside with its reason.
 */
import { describe, expect, test } from 'vitest'
import type { EventLog } from '../../src/log/event-log.ts'
import { recipe } from '../../src/menu.ts'
import { checkShop } from '../support/checker.ts'
import { append, startForeignTopping } from '../support/foreign.ts'
import { failOnLeftovers } from '../support/lifecycle.ts'
import { startLoad } from '../support/load.ts'
import { chooseSeed, createRandom } from '../support/random.ts'
import type { ShopProcess } from '../support/shop-process.ts'
import { countRecords, readTopic } from '../support/topics.ts'
import { until } from '../support/until.ts'
import { createWitness, type OrderJson, type Witness } from '../support/witness.ts'
import { everyRole } from '../support/fleet.ts'
import { onEachLog, type OpenWorld, type World } from '../support/worlds.ts'

const timeout = 60_000

failOnLeftovers()

await onEachLog((openWorld, log) => {
  describe('A foreign producer', () => {
    test('places orders without placed_at, with fields of its own and in any key order (P1)', { timeout }, async () => {
      const { shop, log: events, world } = await openShop(openWorld)
      const written = [
        ['f-1', '{"order_id":"f-1","count":2}'],
        ['f-2', '{"count":1,"note":{"to":["door",2,1.0]},"order_id":"f-2"}'],
        [
          'f-3',
          ' { "big" : 12345678901234567890 , "count" : 3 , "order_id" : "f-3" , "placed_at" : "2026-01-02T03:04:05+02:00" } ',
        ],
      ] as const
      for (const [key, value] of written) await append(events, world.topics.orders, key, value)

      const orders = await Promise.all(written.map(([id]) => getWhenReady(shop, id)))
      expect(orders.map(({ status, pizzas }) => [status, pizzas.length])).toEqual([
        ['ready', 2],
        ['ready', 1],
        ['ready', 3],
      ])
      expect(Date.parse(orders[0]!.placed_at)).toBeGreaterThan(Date.now() - 60_000)
      expect(orders[2]!.placed_at).toBe('2026-01-02T01:04:05.000Z')
      await expectNothingWrong(world, shop)
    })

    test(
      'finds its fields, their order and its numbers as it wrote them after every topping',
      { timeout },
      async () => {
        const { shop, log: events, world } = await openShop(openWorld)
        await append(events, world.topics.orders, 'f-1', '{"order_id":"f-1","count":1}')
        await getWhenReady(shop, 'f-1')
        const written =
          '{"veggies":"","big":12345678901234567890,"rate":1.0,"tiny":1e-7,"nested":{"b":[1,{"c":null}],"a":-0.0},' +
          '"order_id":"f-1","text":"ünï\\u0000\\n","cheese":"","sauce":"","meats":"","pizza_id":1}'
        await append(events, world.topics.pizza, 'f-1', written)

        const last = world.topics.stages.get('veggies')!.to
        const topped = await until('the last topping', async () =>
          (await readTopic(events, last)).map(({ value }) => value!.toString()).find((value) => value.includes('big')),
        )
        const { sauce, cheese, meats, veggies } = JSON.parse(topped) as Record<string, string>
        const expected = written
          .replace('"veggies":""', `"veggies":${JSON.stringify(veggies)}`)
          .replace('"cheese":""', `"cheese":${JSON.stringify(cheese)}`)
          .replace('"sauce":""', `"sauce":${JSON.stringify(sauce)}`)
          .replace('"meats":""', `"meats":${JSON.stringify(meats)}`)
        expect(topped).toBe(expected)
        await shop.stop()
      },
    )

    test('gets a topping for each record without pizza_id, in any key order', { timeout }, async () => {
      const { shop, log: events, world } = await openShop(openWorld)
      await append(
        events,
        world.topics.pizza,
        'x-1',
        '{"veggies":"","meats":"","cheese":"","sauce":"","order_id":"x-1"}',
      )
      await append(events, world.topics.pizza, 'x-1', '{"order_id":"x-1"}')
      const last = world.topics.stages.get('veggies')!.to
      await until('both pizzas', async () => (await countRecords(events, last)) === 2)
      const pizzas = (await readTopic(events, last)).map(
        ({ value }) => JSON.parse(value!.toString()) as Record<string, string>,
      )
      for (const pizza of pizzas) for (const { topping } of recipe) expect(pizza[topping]).toMatch(/./)
      expect(Object.keys(pizzas[0]!)).toEqual(['veggies', 'meats', 'cheese', 'sauce', 'order_id'])
      await shop.stop()
    })
  })

  test(
    'P6: a bad record on any topic becomes a dead letter that says why and where from, and stops nothing',
    { timeout },
    async () => {
      const { shop, log: events, world } = await openShop(openWorld)
      await append(events, world.topics.orders, 'known', '{"order_id":"known","count":1}')
      await getWhenReady(shop, 'known')
      const expected = await writeBadRecords(world, events)

      const { deadLetters } = world.topics
      await until('the dead letters', async () => (await countRecords(events, deadLetters)) >= expected.length)
      // Whatever comes later than that would have come before this order is ready.
      await append(events, world.topics.orders, 'later', '{"order_id":"later","count":12}')
      const later = await getWhenReady(shop, 'later')
      expect(later.status).toBe('ready')

      const letters = (await readTopic(events, deadLetters)).map(({ key, value, headers = {} }) => {
        const { role, reason, topic, partition, offset } = headers
        return [
          role,
          reason,
          `${topic}/${partition}/${offset}`,
          key?.toString() ?? null,
          value?.toString() ?? null,
        ].join(' | ')
      })
      expect(letters.toSorted()).toEqual(expected.toSorted())
      expect((await fetch(`${shop.url}/readyz`)).status).toBe(200)
      expect(await world.verify()).toMatchObject({ code: 0 })
      await shop.stop()
    },
  )

  describe('A foreign cheese service in place of ours', () => {
    const menu = ['extra', 'none', 'three cheese', 'goat cheese']

    test('may pass every field on, and choose what is not on our menu (P1 P3 P7)', { timeout }, async () => {
      const { shop, log: events, world } = await openShop(openWorld, 'cheese')
      const serve = (value: string) => [JSON.stringify({ cheesed_by: 'us', ...JSON.parse(value), cheese: 'vegan' })]
      await startForeignTopping(world, events, { topping: 'cheese', name: 'fields', serve })
      const witness = await placeSome(shop)
      await expectNothingWrong(world, shop, { witness, otherChoices: ['vegan'] })
    })

    test('may drop pizza_id (P1 P3 P7)', { timeout }, async () => {
      const { shop, log: events, world } = await openShop(openWorld, 'cheese')
      const random = createRandom(chooseSeed(`Dropped pizza_id, ${log}`))
      const serve = (value: string) => {
        const { order_id, sauce } = JSON.parse(value) as Record<string, string>
        return [JSON.stringify({ order_id, sauce, cheese: random.pick(menu), meats: '', veggies: '' })]
      }
      await startForeignTopping(world, events, { topping: 'cheese', name: 'drops', serve })
      const witness = await placeSome(shop)
      await expectNothingWrong(world, shop, { witness })
    })

    test('may repeat itself and draw again each time: the first draw wins (P1 P2 P3 P7)', { timeout }, async () => {
      const { shop, log: events, world } = await openShop(openWorld, 'cheese')
      const random = createRandom(chooseSeed(`Draws again, ${log}`))
      const draw = (value: string) => JSON.stringify({ ...JSON.parse(value), cheese: random.pick(menu) })
      const serve = (value: string) => Array.from({ length: 1 + random.below(3) }, () => draw(value))
      await startForeignTopping(world, events, { topping: 'cheese', name: 'draws', serve })
      const witness = await placeSome(shop)
      // It comes back without its position and does everything again.
      const { from, to } = world.topics.stages.get('cheese')!
      const written = await countRecords(events, to)
      await startForeignTopping(world, events, { topping: 'cheese', name: 'draws-once-more', serve })
      await until(
        'the repetition',
        async () => (await countRecords(events, to)) >= written + (await countRecords(events, from)),
      )
      await expectNothingWrong(world, shop, { witness })
    })
  })
})

interface OpenShop {
  readonly world: World
  readonly shop: ShopProcess
  readonly log: EventLog
}

/** One process with every role, or with every role but one. */
async function openShop(openWorld: OpenWorld, without?: string): Promise<OpenShop> {
  const world = await openWorld()
  const shop = await world.start({ roles: everyRole.filter((role) => role !== without) })
  return { world, shop, log: world.openLog() }
}

async function getWhenReady(shop: ShopProcess, orderId: string): Promise<OrderJson & { placed_at: string }> {
  const response = await fetch(`${shop.url}/order/${orderId}`, { headers: { prefer: 'wait=20' } })
  const text = await response.text()
  expect(`${response.status} ${text}`).toMatch(/^200 /)
  return JSON.parse(text) as OrderJson & { placed_at: string }
}

async function placeSome(shop: ShopProcess): Promise<Witness> {
  const witness = createWitness()
  const random = createRandom(1)
  const url = async () => shop.url!
  const load = startLoad({ witness, random, url, clients: 4, patienceS: 5, countOf: (r) => 1 + r.below(12) })
  await load.whenPlaced(40)
  await load.stop()
  return witness
}

async function expectNothingWrong(
  world: World,
  shop: ShopProcess,
  { witness = createWitness(), otherChoices = [] }: { witness?: Witness; otherChoices?: readonly string[] } = {},
): Promise<void> {
  const result = await checkShop({ witness, url: shop.url!, reportUrl: shop.reportUrl!, otherChoices })
  expect(result.violations).toEqual([])
  expect(await world.verify()).toMatchObject({ code: 0 })
  expect(await shop.stop()).toBe(0)
}

/** Writes nonsense to every topic. @returns the dead letters it must become, as `role | reason | coordinates | key | value`. */
async function writeBadRecords(world: World, events: EventLog): Promise<string[]> {
  const { orders, pizza, stages } = world.topics
  const [sauced, cheesed, finished] = ['sauce', 'cheese', 'veggies'].map((topping) => stages.get(topping)!.to)
  const expected: string[] = []
  const write = async (
    topic: string,
    value: string | null,
    letters: ReadonlyArray<readonly [string, string]>,
  ): Promise<void> => {
    const { partition, offset } = await append(events, topic, 'known', value)
    const where = `${topic}/${partition}/${offset}`
    for (const [role, reason] of letters) expected.push([role, reason, where, 'known', value].join(' | '))
  }
  for (const [value, reason] of [
    ['this is not JSON', 'not-json'],
    ['', 'not-json'],
    [null, 'invalid-record'],
    ['null', 'invalid-record'],
    ['[]', 'invalid-record'],
    ['"text"', 'invalid-record'],
    ['{}', 'invalid-record'],
    ['{"order_id":7}', 'invalid-record'],
  ] as const) {
    await write(orders, value, [['orders', reason]])
    await write(pizza, value, [['sauce', reason]])
    await write(sauced!, value, [
      ['orders', reason],
      ['cheese', reason],
    ])
    await write(cheesed!, value, [
      ['orders', reason],
      ['meats', reason],
      ['cheese-reporter', reason],
    ])
    await write(finished!, value, [['orders', reason]])
  }
  for (const count of ['0', '-1', '1.5', '"2"', '10001', 'null']) {
    await write(orders, `{"order_id":"known","count":${count}}`, [['orders', 'invalid-record']])
  }
  await write(finished!, '{"order_id":"known","pizza_id":1,"veggies":5}', [['orders', 'invalid-record']])
  await write(finished!, '{"order_id":"known","pizza_id":"1","veggies":"olives"}', [['orders', 'invalid-record']])
  await write(finished!, '{"order_id":"known","pizza_id":99,"veggies":"olives"}', [['orders', 'unknown-pizza']])
  await write(finished!, '{"order_id":"nobody","pizza_id":1,"veggies":"olives"}', [['orders', 'unknown-order']])
  return expected
}
