/**
 * Kill. Orders keep coming while processes are killed with SIGKILL at random moments, start-up included; afterwards nothing that
 * a customer was told may be untrue.
 */
import { expect, test } from 'vitest'
import { checkShop } from '../support/checker.ts'
import type { Fleet } from '../support/fleet.ts'
import { failOnLeftovers } from '../support/lifecycle.ts'
import { startLoad, type Load } from '../support/load.ts'
import { chooseSeed, createRandom, type Random } from '../support/random.ts'
import { createWitness, type Witness } from '../support/witness.ts'
import { onEachLog, type World } from '../support/worlds.ts'

const kills = Number(process.env['CHAOS_KILLS'] ?? 40)

failOnLeftovers()

await onEachLog((openWorld, log) => {
  test(
    'P1 P2 P3 P4 P7: a shop of six processes survives kill -9 of any of them at any moment',
    { timeout: 300_000 },
    async () => {
      const random = createRandom(chooseSeed(`Single kills, ${log}`))
      const { world, fleet, witness, load } = await openShop(openWorld, random)
      const under = startKilling({ fleet, load, random })
      for (let killed = 0; killed < kills; killed++) await under.killOne()
      await under.everyoneIsBack()
      await expectNothingWrong(world, { fleet, witness, load })
    },
  )

  test('P1 P2 P3 P4 P7: a shop of six processes survives kill -9 of all at once', { timeout: 300_000 }, async () => {
    const random = createRandom(chooseSeed(`All at once, ${log}`))
    const { world, fleet, witness, load } = await openShop(openWorld, random)
    for (let killed = 0; killed < 3; killed++) {
      await load.whenPlaced(20 + random.below(20))
      await fleet.killAll()
      await fleet.startAll()
      await load.lookAtNewest()
    }
    await expectNothingWrong(world, { fleet, witness, load })
  })

  test('P1 P2 P3 P4 P7: a shop of one process survives kill -9', { timeout: 300_000 }, async () => {
    const random = createRandom(chooseSeed(`One process, ${log}`))
    // Rare checkpoints: a kill leaves much that was shown and is not stored.
    const options = { processes: [{ roles: [] }], args: ['--checkpoint-ms', '2000'] }
    const { world, fleet, witness, load } = await openShop(openWorld, random, options)
    for (let killed = 0; killed < 10; killed++) {
      await load.whenPlaced(1 + random.below(20))
      await fleet.killAll()
      await fleet.startAll()
      await load.lookAtNewest()
    }
    await expectNothingWrong(world, { fleet, witness, load })
  })
})

interface Running {
  readonly fleet: Fleet
  readonly witness: Witness
  readonly load: Load
}

async function openShop(
  openWorld: () => Promise<World>,
  random: Random,
  options?: Parameters<World['createFleet']>[0],
): Promise<Running & { world: World }> {
  const world = await openWorld()
  const fleet = world.createFleet(options)
  await fleet.startAll()
  const witness = createWitness()
  // A large order now and then, so that a kill finds work half done.
  const countOf = (r: Random) => (r.oneIn(25) ? 80 : 1 + r.below(3))
  const load = startLoad({ witness, random, url: fleet.url, clients: 8, ordersPerSecond: 50, patienceS: 1, countOf })
  await load.whenPlaced(20)
  return { world, fleet, witness, load }
}

/** Kills one process at a time; each comes back at once, or after more orders, or is killed again while it starts. */
function startKilling({ fleet, load, random }: { fleet: Fleet; load: Load; random: Random }) {
  const comingBack = new Map<string, Promise<void>>()
  const bringBack = async (name: string, afterOrders: number, cutAfterMs: number | undefined): Promise<void> => {
    await load.whenPlaced(afterOrders)
    if (cutAfterMs !== undefined) {
      const start = fleet.start(name)
      const isCut = await Promise.race([
        start.then(
          () => false,
          () => true,
        ),
        after(cutAfterMs).then(() => true),
      ])
      if (!isCut) return
      await fleet.kill(name)
      await start.catch(() => {})
    }
    await fleet.start(name)
    if (name === 'orders') await load.lookAtNewest()
  }
  return {
    async killOne(): Promise<void> {
      await load.whenPlaced(random.below(10))
      const name = random.pick(fleet.names)
      await comingBack.get(name)
      await fleet.kill(name)
      // While `orders` is down nobody can place one: it always comes back at once.
      const afterOrders = name === 'orders' || random.oneIn(2) ? 0 : 1 + random.below(30)
      comingBack.set(name, bringBack(name, afterOrders, random.oneIn(4) ? random.below(500) : undefined))
      if (name === 'orders') await comingBack.get(name)
    },
    async everyoneIsBack(): Promise<void> {
      await Promise.all(comingBack.values())
    },
  }
}

/** A moment of the seeded run, not a wait for something. */
function after(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms))
}

async function expectNothingWrong(world: World, { fleet, witness, load }: Running): Promise<void> {
  await load.stop()
  const result = await checkShop({ witness, url: await fleet.url(), reportUrl: await fleet.reportUrl() })
  console.log(
    `${result.orders} orders, ${result.pizzas} pizzas, ${witness.looks} answers compared; ` +
      `${load.broken} requests broken off, ${load.refused} refused`,
  )
  expect(result.violations).toEqual([])
  expect(load.broken, 'no request met a killed process: the test did not test').toBeGreaterThan(0)
  const verified = await world.verify()
  expect(verified.output).toContain('no difference')
  expect(verified.code).toBe(0)
  expect(fleet.crashes).toEqual([])
  await fleet.stopAll()
}
