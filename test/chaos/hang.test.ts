/**
 * Hang. A process stops doing anything while it keeps its connections and its locks (SIGSTOP), as one does in a long pause of its
 * machine; another takes over its partitions, and then it wakes up and goes on with what it had in hand.
 */
import { expect, test } from 'vitest'
import { placeKey } from '../../src/log/placement.ts'
import { checkShop } from '../support/checker.ts'
import { createHttpClient } from '../support/http-client.ts'
import { failOnLeftovers } from '../support/lifecycle.ts'
import { startLoad } from '../support/load.ts'
import { chooseSeed, createRandom } from '../support/random.ts'
import { createWitness, type OrderJson, type Witness } from '../support/witness.ts'
import { onEachLog } from '../support/worlds.ts'

const toppings = ['sauce', 'cheese', 'meats', 'veggies']

failOnLeftovers()

await onEachLog((openWorld, log) => {
  test(
    'P1 P3 P7: toppings that hang are taken over, and do no harm when they wake up',
    { timeout: 180_000 },
    async () => {
      const random = createRandom(chooseSeed(`Hanging toppings, ${log}`))
      const world = await openWorld()
      const rest = await world.start({ roles: ['orders', 'cheese-reporter'] })
      const twins = [await world.start({ roles: toppings }), await world.start({ roles: toppings })]
      const witness = createWitness()
      const load = startLoad({ witness, random, url: async () => rest.url!, clients: 8, ordersPerSecond: 40 })
      for (const hanging of [twins[0]!, twins[1]!]) {
        await load.whenPlaced(20 + random.below(20))
        hanging.pause()
        // The other one has every partition as soon as an order on each is ready.
        await placeUntilReady(rest.url!, witness)
        hanging.resume()
        await load.whenPlaced(20)
      }
      await load.stop()
      const result = await checkShop({ witness, url: rest.url!, reportUrl: rest.reportUrl! })
      expect(result.violations).toEqual([])
      expect(await world.verify()).toMatchObject({ code: 0 })
      for (const shop of [...twins, rest]) expect(await shop.stop(), shop.output().slice(-2_000)).toBe(0)
    },
  )

  test(
    'P1 P2 P3 P4: orders that hang answer nothing meanwhile, and go on where they were',
    { timeout: 120_000 },
    async () => {
      const random = createRandom(chooseSeed(`Hanging orders, ${log}`))
      const world = await openWorld()
      const orders = await world.start({ roles: ['orders'] })
      const rest = await world.start({ roles: [...toppings, 'cheese-reporter'] })
      const witness = createWitness()
      const countOf = () => 30
      const load = startLoad({
        witness,
        random,
        url: async () => orders.url!,
        clients: 8,
        ordersPerSecond: 40,
        countOf,
      })
      const http = createHttpClient()
      for (let pauses = 0; pauses < 2; pauses++) {
        await load.whenPlaced(20)
        orders.pause()
        // Longer than any session: its group has given it up.
        const silence = await http.get(`${orders.url}/livez`, {}, 8_000).catch(() => 'none')
        expect(silence).toBe('none')
        orders.resume()
        await load.lookAtNewest()
      }
      http.close()
      await load.stop()
      const result = await checkShop({ witness, url: orders.url!, reportUrl: rest.reportUrl! })
      expect(result.violations).toEqual([])
      expect(await world.verify()).toMatchObject({ code: 0 })
      for (const shop of [orders, rest]) expect(await shop.stop(), shop.output().slice(-2_000)).toBe(0)
    },
  )
})

/** Places an order on every partition and waits until all of them are ready. */
async function placeUntilReady(url: string, witness: Witness): Promise<void> {
  const http = createHttpClient()
  const placed: string[] = []
  while (new Set(placed.map((id) => placeKey(id, 6))).size < 6) {
    const { text } = await http.post(`${url}/order/1`)
    const { order_id } = JSON.parse(text) as { order_id: string }
    witness.accept(order_id, 1)
    placed.push(order_id)
  }
  for (const id of placed) {
    const answered = witness.look(id)
    const order = JSON.parse((await http.get(`${url}/order/${id}`, { prefer: 'wait=30' })).text) as OrderJson
    answered(order)
    expect(order.status, `order ${id} on partition ${placeKey(id, 6)}`).toBe('ready')
  }
  http.close()
}
