import { describe, expect, onTestFinished, test } from 'vitest'
import { describeOrder } from '../../src/actors/dead-letter-order.ts'
import { isMark, parseLetter, type DeadLetter } from '../../src/actors/dead-letters.ts'
import { createOrderStore } from '../../src/actors/order-store.ts'
import { createOrderTrial } from '../../src/actors/order-trial.ts'
import { deleteBelow } from '../../src/log/memory-log.ts'
import { openMemoryShop, orderRecord, toppedRecord, until, type MemoryShop } from '../support/memory-shop.ts'

const order_id = '777'

/** An order of two pizzas that took the sauce of its first, refused a third pizza's, and then took the cheese. */
async function openStory() {
  const shop = await openMemoryShop()
  const host = await shop.startHost()
  const top = (topping: string, pizza_id: number) =>
    shop.append(toppedRecord(shop.topics, topping, { order_id, pizza_id, choice: 'some' }))
  const version = async (wanted: number) => {
    await until(() => host.host.cache.get(order_id)?.version === wanted)
    await host.host.checkpointer.now()
  }
  // Placed long before it came to the log, as its customer says.
  await shop.append(orderRecord(shop.topics, order_id, 2, '2020-01-01T00:00:00.000Z'))
  await top('sauce', 1)
  await version(2)
  await top('meats', 3)
  await until(() => shop.records(shop.topics.deadLetters).length === 1)
  // The next records come in a later millisecond.
  const at = shop.records(shop.topics.deadLetters)[0]!.timestampMs
  await until(() => Date.now() > at)
  await top('cheese', 1)
  await version(3)
  return { shop, host }
}

async function describeIt(shop: MemoryShop, { hasStore = true } = {}) {
  const letter = shop
    .records(shop.topics.deadLetters)
    .map(parseLetter)
    .find((read): read is DeadLetter => !isMark(read))!
  const store = hasStore ? createOrderStore(shop.orderFile, { readOnly: true }) : undefined
  onTestFinished(() => store?.close())
  const { log, topics, recipe } = shop
  const orderIds = new Set([order_id])
  const trial = await createOrderTrial({ log, topics, recipe, orderIds, ...(store && { store }) })
  return describeOrder({ log, recipe, trial, ...(store && { store }) }, order_id, letter)
}

const was = { state: 'preparing', count: 2, pizzas_ready: 0 }
const waitsFor = (toppings: Record<string, string>, state: string) => ({ pizza_id: 1, state, toppings })

describe('The order of a dead letter', () => {
  test.each([true, false])(
    'is told as it was and as it is, with what it takes next (state store there: %s) (P6)',
    async (hasStore) => {
      const { shop } = await openStory()
      const described = await describeIt(shop, { hasStore })
      expect(described).toMatchObject({ id: order_id, was, now: was, is_complete: true })
      expect(described.was!.in_progress[0]).toEqual(waitsFor({ sauce: 'some' }, 'cheese'))
      expect(described.now.in_progress[0]).toEqual(waitsFor({ sauce: 'some', cheese: 'some' }, 'meats'))
      expect(described.takes).toEqual([
        { event: 'pizza.topped', pizza_id: 1, toppings: ['meats', 'veggies'] },
        { event: 'pizza.topped', pizza_id: 2, toppings: ['sauce', 'cheese', 'meats', 'veggies'] },
      ])
    },
  )

  test('is not told where the log has lost what is in no store', async () => {
    const { shop } = await openStory()
    for (const [partition, { length }] of shop.storage.topics
      .get(shop.topics.orders)!
      .map(({ records }) => records)
      .entries()) {
      deleteBelow(shop.storage, { topic: shop.topics.orders, partition }, length)
    }
    expect(await describeIt(shop, { hasStore: false })).toMatchObject({ was: null, is_complete: false })
    expect(await describeIt(shop)).toMatchObject({ was, is_complete: true })
  })

  test('is told to the end of the log, however old the store is', async () => {
    const { shop, host } = await openStory()
    host.crash()
    await shop.append(toppedRecord(shop.topics, 'meats', { order_id, pizza_id: 1, choice: 'some' }))
    const { now, takes } = await describeIt(shop)
    expect(now.in_progress[0]).toMatchObject({ state: 'veggies' })
    expect(takes[0]).toMatchObject({ toppings: ['veggies'] })
  })
})
