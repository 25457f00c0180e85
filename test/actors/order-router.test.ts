import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createApplied } from '../../src/actors/applied.ts'
import { createHeldRecords } from '../../src/actors/held-records.ts'
import { cutDirtyOrder } from '../../src/actors/live-order.ts'
import { createOrderCache } from '../../src/actors/order-cache.ts'
import { silentRebuilds } from '../../src/actors/order-rebuild.ts'
import { createOrderRouter } from '../../src/actors/order-router.ts'
import { createOrderStore } from '../../src/actors/order-store.ts'
import { toOrderView } from '../../src/actors/order-view.ts'
import { toSnapshot } from '../../src/actors/order-envelope.ts'
import type { AppendRecord, LogRecord, Positions } from '../../src/log/event-log.ts'
import { createOrderMachine } from '../../src/machines/order.machine.ts'
import { createPizzaMachine } from '../../src/machines/pizza.machine.ts'
import { recipe } from '../../src/menu.ts'
import { createTopics } from '../../src/topics.ts'
import { orderRecord, toppedRecord } from '../support/memory-shop.ts'

const topics = createTopics(recipe, { prefix: '', partitions: 1 })

/** A pizza machine with a defect: it throws when it is brought dynamite. */
const defective = createOrderMachine(recipe).provide({
  actors: {
    pizza: createPizzaMachine(recipe).provide({
      guards: {
        bringsMissingTopping({ context, event }) {
          if (Object.values(event.toppings).includes('dynamite')) throw new Error('Boom')
          return Object.keys(event.toppings).some((topping) => context.toppings[topping] === undefined)
        },
      },
    }),
  },
})

function openRouter({ machine = createOrderMachine(recipe), heldMax = 10_000, liveActorsMax = 100 } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'pizza-actors-'))
  const store = createOrderStore(join(dir, 'orders.sqlite'))
  onTestFinished(() => {
    store.close()
    rmSync(dir, { recursive: true })
  })
  const applied = createApplied()
  const held = createHeldRecords(heldMax)
  const seen = { requested: [] as string[], ready: [] as string[], refused: [] as [LogRecord, Error][] }
  const repaired: [string, unknown][] = []
  const router = createOrderRouter({
    topics,
    applied,
    held,
    createCache: (effects) =>
      createOrderCache({ machine, recipe, store, effects, liveActorsMax, rebuilds: silentRebuilds }),
    requestPizzas: (orderId, count) => void seen.requested.push(`${orderId}: ${count}`),
    isRequested: () => false,
    announceReady: (orderId) => void seen.ready.push(orderId),
    refuse: (record, error) => void seen.refused.push([record, error as Error]),
    repaired: (orderId, error) => void repaired.push([orderId, error]),
  })
  const ends = new Map<string, number>()
  /** Gives records their offsets, as the log would. */
  const place = ({ topic, key, value }: AppendRecord): LogRecord => {
    const offset = ends.get(topic) ?? 0
    ends.set(topic, offset + 1)
    return {
      topic,
      partition: 0,
      offset,
      key: Buffer.from(key!),
      value: Buffer.from(value!),
      timestampMs: 1_000 + offset,
    }
  }
  const { cache } = router
  /** As the checkpointer does, in two steps. */
  const cut = () => {
    const orders = cache.takeDirty()
    const checkpoint = { orders: orders.map(cutDirtyOrder), positions: applied.snapshot(), held: held.all() }
    return () => {
      store.checkpoint(checkpoint)
      cache.passivate(orders)
    }
  }
  const view = (orderId: string) => {
    const { actor, version } = cache.get(orderId)!
    return toOrderView(toSnapshot(actor), version)
  }
  return { router, cache, store, held, applied, ...seen, repaired, place, cut, view }
}

const order = (order_id: string, count: number) => orderRecord(topics, order_id, count)
const topped = (topping: string, order_id: string, pizza_id: number | undefined, choice = 'some') =>
  toppedRecord(topics, topping, { order_id, pizza_id, choice })
const all = recipe.map(({ topping }) => topping)
const why = (refused: [LogRecord, Error][]) =>
  refused.map(([{ topic, offset }, { message }]) => [topic, offset, message])

describe('The order router', () => {
  it('takes the orders of a batch first, so that a topping read together with its order finds it (U1)', () => {
    const { router, place, view, refused, held } = openRouter()
    const hold = vi.spyOn(held, 'hold')
    router.apply([topped('sauce', '7', 1), order('7', 1)].map(place))
    expect(view('7').in_progress[0]).toMatchObject({ state: 'cheese', toppings: { sauce: 'some' } })
    expect(refused).toEqual([])
    expect(hold).not.toHaveBeenCalled()
  })

  it('sends the toppings of one pizza in one batch as one event, and tells that the order is ready once (U2)', () => {
    const { router, place, cache, ready, requested } = openRouter()
    router.apply([order('7', 2)].map(place))
    let events = 0
    cache.peek('7')!.actor.system.inspect({ next: ({ type }) => void (type === '@xstate.event' && events++) })
    router.apply([1, 2].flatMap((pizza_id) => all.map((topping) => place(topped(topping, '7', pizza_id)))))
    // For each pizza: one to the order, handed on to the pizza, and its `pizza.ready` back.
    expect(events).toBe(6)
    expect([requested, ready]).toEqual([['7: 2'], ['7']])
  })

  it('takes no second `order.placed` and no topping twice, and asks for pizzas once (D1, Z1)', () => {
    const { router, place, cache, view, requested } = openRouter()
    router.apply([order('7', 2), order('7', 5), topped('sauce', '7', 1, 'bbq')].map(place))
    router.apply([order('7', 1), topped('sauce', '7', 1, 'light')].map(place))
    expect(view('7')).toMatchObject({ count: 2, version: 2, in_progress: [{ toppings: { sauce: 'bbq' } }, {}] })
    expect(requested).toEqual(['7: 2'])
    expect(cache.peek('7')!.journal).toHaveLength(2)
  })

  it('takes each record once, also when its batch is delivered again (L2)', () => {
    const { router, place, view } = openRouter()
    const batch = [order('7', 3), topped('sauce', '7', undefined)].map(place)
    router.apply(batch)
    router.apply(batch)
    expect(view('7').in_progress.map(({ state }) => state)).toEqual(['cheese', 'sauce', 'sauce'])
  })

  it('gives toppings without pizza id to the first pizza that misses them, also within one batch', () => {
    const { router, place, view, refused } = openRouter()
    router.apply([order('7', 3), topped('cheese', '7', 2, 'extra')].map(place))
    router.apply(['a', 'b', 'c'].map((choice) => place(topped('cheese', '7', undefined, choice))))
    const cheeses = view('7').in_progress.map(({ toppings }) => toppings['cheese'])
    expect(cheeses).toEqual(['a', 'extra', 'b'])
    expect(refused).toEqual([])
  })

  it('refuses whatever it cannot take, with the reason, and takes the rest of the batch (U3, O5)', () => {
    const { router, place, view, refused } = openRouter()
    const torn = (topic: string): AppendRecord => ({ topic, key: '7', value: '{' })
    router.apply(
      [
        torn('orders'),
        order('7', 2),
        order('8', 0),
        torn('pizza-with-sauce'),
        topped('sauce', '7', 3),
        topped('sauce', '7', 2, ''),
        topped('sauce', '7', 1),
      ].map(place),
    )
    expect(why(refused)).toEqual([
      ['orders', 0, expect.stringContaining('The value is not JSON')],
      ['orders', 2, expect.stringContaining('count: Too small')],
      ['pizza-with-sauce', 0, expect.stringContaining('The value is not JSON')],
      ['pizza-with-sauce', 1, 'Order 7 has pizzas 1 to 2, not 3'],
      ['pizza-with-sauce', 2, expect.stringContaining('Field sauce: expected the choice')],
    ])
    expect(refused.map(([, error]) => (error as Error & { reason: string }).reason)).toEqual([
      'not-json',
      'invalid-record',
      'not-json',
      'unknown-pizza',
      'invalid-record',
    ])
    expect(view('7').in_progress.map(({ state }) => state)).toEqual(['cheese', 'sauce'])
  })

  it('refuses the oldest of too many records that it holds (H2)', async () => {
    const { router, place, refused, held } = openRouter({ heldMax: 3 })
    const never: Positions = new Map([['orders', new Map([[0, 1_000]])]])
    router.apply([1, 2, 3, 4, 5].map((n) => place(topped('sauce', `nobody-${n}`, 1))))
    await router.settleHeld(() => Promise.resolve(never))
    expect(why(refused)).toEqual([
      ['pizza-with-sauce', 0, 'No order nobody-1 was placed'],
      ['pizza-with-sauce', 1, 'No order nobody-2 was placed'],
    ])
    expect(held.all().map(({ offset }) => offset)).toEqual([2, 3, 4])
  })

  it('has passed exactly the records it was given, and never goes back (A1)', () => {
    const { router, place, applied } = openRouter()
    const batch = [order('7', 1), topped('sauce', '7', 1), topped('sauce', '7', 9)].map(place)
    router.apply(batch)
    router.apply(batch.slice(0, 2))
    expect(applied.snapshot()).toEqual(
      new Map([
        ['orders', new Map([[0, 1]])],
        ['pizza-with-sauce', new Map([[0, 2]])],
      ]),
    )
  })
})

describe('The order cache', () => {
  it('keeps orders that changed since the cut when the cut is written, however many (C1)', () => {
    const { router, place, cut, cache, view, store } = openRouter({ liveActorsMax: 2 })
    router.apply([order('7', 1), order('8', 1), order('9', 1)].map(place))
    const write = cut()
    router.apply([topped('sauce', '7', 1), topped('sauce', '8', 1)].map(place))
    write()
    expect(['7', '8', '9'].map((orderId) => cache.peek(orderId) !== undefined)).toEqual([true, true, false])
    router.apply([topped('cheese', '7', 1), topped('cheese', '8', 1), topped('cheese', '9', 1)].map(place))
    expect(['7', '8', '9'].map((orderId) => view(orderId).version)).toEqual([3, 3, 2])
    cut()()
    expect(['7', '8', '9'].map((orderId) => store.load(orderId)!.version)).toEqual([3, 3, 2])
    expect([cache.size, cache.hydrations]).toEqual([2, 1])
  })

  it('counts an order with its pizzas, and drops as many small ones for a large one (C4, P8)', () => {
    const { router, place, cut, cache } = openRouter({ liveActorsMax: 102 })
    router.apply(['1', '2', '3'].map((orderId) => place(order(orderId, 2))))
    cut()()
    expect(cache.size).toBe(9)
    router.apply([place(order('large', 98))])
    expect(cache.size).toBe(9 + 99)
    cut()()
    expect(['1', '2', '3', 'large'].filter((orderId) => cache.peek(orderId) !== undefined)).toEqual(['3', 'large'])
    expect(cache.size).toBe(3 + 99)
  })

  it('leaves the rest of a batch for after a checkpoint when it is full, and passes nothing it has not taken (P8)', () => {
    const { router, place, cut, cache, applied, refused, view } = openRouter({ liveActorsMax: 500 })
    const ids = Array.from({ length: 25 }, (_, n) => `${n}`)
    const sauce = place(topped('sauce', '24', 1_000))
    let rest: readonly LogRecord[] = [sauce, ...ids.map((orderId) => place(order(orderId, 1_000)))]
    let checkpoints = 0
    for (rest = router.apply(rest); rest.length > 0; rest = router.apply(rest)) {
      expect(cache.size).toBeGreaterThan(10_000)
      expect(cache.size).toBeLessThan(10_500 + 1_001 + 1)
      expect(applied.position('orders', 0)).toBe(25 + 1 - rest.length)
      expect(applied.position('pizza-with-sauce', 0)).toBe(0)
      cut()()
      checkpoints++
    }
    expect(checkpoints).toBe(2)
    expect([applied.position('orders', 0), applied.position('pizza-with-sauce', 0)]).toEqual([25, 1])
    expect([view('24').version, refused.length]).toEqual([2, 0])
  })

  it('takes one record at least, however full it is', () => {
    const { router, place } = openRouter({ liveActorsMax: 1 })
    const rest = router.apply(['1', '2', '3', '4'].map((orderId) => place(order(orderId, 10_000))))
    expect(rest.map(({ offset }) => offset)).toEqual([2, 3])
    expect(router.apply(rest).map(({ offset }) => offset)).toEqual([3])
  })

  it('drops what is ready first, then what was idle longest (C1, P8)', () => {
    const { router, place, cut, cache } = openRouter({ liveActorsMax: 4 })
    router.apply(['5', '6', '7', '8'].map((orderId) => place(order(orderId, 1))))
    router.apply(all.map((topping) => place(topped(topping, '8', 1))))
    router.apply([topped('sauce', '5', 1)].map(place))
    cut()()
    router.apply([topped('cheese', '6', 1)].map(place))
    router.apply([topped('cheese', '7', 1)].map(place))
    cut()()
    expect(['5', '6', '7', '8'].filter((orderId) => cache.peek(orderId) !== undefined)).toEqual(['6', '7'])
  })
})

describe('An order whose machine throws', () => {
  it('goes on without that event, which is refused; other orders notice nothing', () => {
    const { router, place, view, refused, repaired, ready } = openRouter({ machine: defective })
    router.apply([order('7', 1), order('8', 1), topped('sauce', '7', 1, 'bbq')].map(place))
    router.apply([topped('cheese', '7', 1, 'dynamite'), topped('cheese', '8', 1, 'extra')].map(place))
    expect(why(refused)).toEqual([['pizza-with-cheese', 0, expect.stringContaining('Boom')]])
    expect(repaired).toEqual([['7', refused[0]![1]]])
    expect(view('7').in_progress[0]).toMatchObject({ state: 'cheese', toppings: { sauce: 'bbq' } })
    expect(view('8').in_progress[0]!.toppings).toEqual({ cheese: 'extra' })
    router.apply(all.slice(1).map((topping) => place(topped(topping, '7', 1, 'fresh'))))
    expect(view('7').pizzas[0]).toMatchObject({ sauce: 'bbq', cheese: 'fresh' })
    expect(ready).toEqual(['7'])
  })

  it.each(['not written yet', 'on its way into the store', 'in the store'])(
    'has each event in its journal once, when its last checkpoint is %s (C1, V3, P4)',
    (state) => {
      const { router, place, store, cut, view, cache } = openRouter({ machine: defective })
      router.apply([order('7', 1), topped('sauce', '7', 1, 'bbq')].map(place))
      const write = state === 'not written yet' ? undefined : cut()
      if (state === 'in the store') write!()
      router.apply([topped('veggies', '7', 1, 'olives')].map(place))
      router.apply([topped('cheese', '7', 1, 'dynamite')].map(place))
      if (state === 'on its way into the store') write!()
      router.apply([topped('meats', '7', 1, 'ham')].map(place))
      cut()()
      const journal = store.journal('7')
      expect(journal.flatMap(({ entries }) => entries).map(({ pizza }) => pizza?.topping ?? 'placed')).toEqual([
        'placed',
        'sauce',
        'veggies',
        'meats',
      ])
      let version = 1
      for (const chunk of journal) {
        expect(chunk.firstVersion).toBe(version)
        version += chunk.entries.length
      }
      expect(store.load('7')!.version).toBe(4)
      expect(cache.dirtyCount).toBe(0)
      expect(view('7').in_progress[0]!.state).toBe('cheese')
    },
  )

  it('asks for its pizzas once, though it takes `order.placed` again while it is repaired', () => {
    const { router, place, requested } = openRouter({ machine: defective })
    router.apply([order('7', 1)].map(place))
    router.apply([topped('sauce', '7', 1, 'dynamite')].map(place))
    expect(requested).toEqual(['7: 1'])
  })

  it('when it is placed is as unknown as if nobody had placed it, and its record is refused (O5)', () => {
    const machine = createOrderMachine(recipe).provide({
      actions: {
        requestPizzas() {
          throw new Error('Boom')
        },
      },
    })
    const { router, place, cut, refused, store, cache, held } = openRouter({ machine })
    router.apply([order('7', 1)].map(place))
    router.apply([topped('sauce', '7', 1)].map(place))
    expect(why(refused)).toEqual([['orders', 0, 'Boom']])
    expect([held.size, cache.size]).toEqual([1, 0])
    cut()()
    expect(store.load('7')).toBeUndefined()
  })
})
