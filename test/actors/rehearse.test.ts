import { describe, expect, it } from 'vitest'
import { assign, createMachine, fromTransition, sendTo } from 'xstate'
import type { OrderMachine } from '../../src/actors/live-order.ts'
import { rehearse } from '../../src/actors/rehearse.ts'
import { rehearseOrder, type Fate } from '../../src/actors/rehearse-order.ts'
import type { Candidate } from '../../src/actors/rehearse-walk.ts'
import { createOrderMachine, type OrderPlacedEvent } from '../../src/machines/order.machine.ts'
import { createPizzaMachine, type PizzaToppedEvent } from '../../src/machines/pizza.machine.ts'
import { recipe } from '../../src/menu.ts'
import { createCandidate, createStoredOrder, createStoreOf, type StoredOrderOptions } from '../support/stored-order.ts'

const ours = createOrderMachine(recipe)

/** What becomes of an order: its fate, then a line for each finding. */
function fateOf(candidate: Partial<Candidate>, order: StoredOrderOptions): [Fate, ...string[]] {
  const stored = createStoredOrder(order)
  const { fate, restored, replayed } = rehearseOrder(createCandidate(candidate), stored, stored.entries)
  const lines = [restored.map(({ text }) => `restored: ${text}`), replayed.map(({ text }) => `replayed: ${text}`)]
  return [fate, ...lines.flat()]
}

/** Our order machine with another configuration, as an edit of its file would make it. */
function edit(change: (config: OrderMachine['config']) => object): OrderMachine {
  return createMachine(change(ours.config) as never, ours.implementations as never) as unknown as OrderMachine
}

const ready = { count: 2 }
const moving = { count: 2, toppings: 2 }

/** With spawned children under another name. */
const pies: Partial<Candidate> = {
  pizzaKey: (pizza_id) => `pie-${pizza_id}`,
  machine: ours.provide({
    actions: {
      spawnPizzas: assign(({ event, spawn }) => {
        const { count, at: placedAt } = event as OrderPlacedEvent
        for (let pizza_id = 1; pizza_id <= count; pizza_id++) {
          spawn('pizza', { id: `pie-${pizza_id}`, input: { pizza_id } })
        }
        return { count, placedAt }
      }),
      forwardToPizza: sendTo(
        ({ self, event }) => self.getSnapshot().children[`pie-${(event as PizzaToppedEvent).pizza_id}`]!,
        ({ event }) => event as PizzaToppedEvent,
      ),
    },
  }),
}

describe('An order that is rehearsed (P10)', () => {
  it.each([0, 1, 2, 3, 4])('is the same under the machines that wrote it, with %s toppings', (toppings) => {
    expect(fateOf({}, { count: 3, toppings })).toEqual(['same'])
  })

  it('is rebuilt where a state is gone that its pizza is in, and lost where it has shown what that state took', () => {
    const machine = createOrderMachine(recipe.filter(({ topping }) => topping !== 'meats'))
    expect(fateOf({ machine }, moving)).toEqual([
      'rebuild',
      "restored: its snapshot cannot be read: State 'meats' does not exist on 'pizza'",
      'replayed: pizza meats → veggies',
    ])
    expect(fateOf({ machine }, ready)).toEqual([
      'lost',
      'replayed: pizza.topped (meats) is refused in preparing',
      'replayed: pizza context.toppings differs',
      'replayed: toppings it has shown are gone: meats (P2)',
    ])
  })

  it('is lost where its children are called otherwise, until a migration renames them', () => {
    const { machine, pizzaKey } = pies as Candidate
    for (const order of [ready, moving]) {
      expect(fateOf({ machine, pizzaKey }, order)).toEqual([
        'lost',
        'restored: it cannot be shown any more: it has no child pie-1 (P2)',
        'replayed: children pizza-N → pie-N',
      ])
      const migrations: Candidate['migrations'] = {
        1: (old) => ({
          ...old,
          children: Object.fromEntries(
            Object.entries(old.children).map(([key, child]) => [key.replace('pizza', 'pie'), child]),
          ),
        }),
      }
      expect(fateOf({ machine, pizzaKey, machineVersion: 2, migrations }, order)).toEqual([
        'changed',
        'restored: children pizza-N → pie-N',
      ])
    }
  })

  it('shows a context that its snapshot lacks, until a migration adds it', () => {
    const machine = edit((config) => ({
      ...config,
      context: ({ input }: { input: { order_id: string } }) => ({
        order_id: input.order_id,
        count: 0,
        placedAt: 0,
        readyCount: 0,
        readyAt: 0,
        boxes: 0,
      }),
    }))
    expect(fateOf({ machine }, moving)).toEqual(['changed', 'replayed: order context.boxes is added'])
    const migrations: Candidate['migrations'] = {
      1: (old) => ({ ...old, context: { ...old.context, boxes: 0 } }),
    }
    expect(fateOf({ machine, machineVersion: 2, migrations }, moving)).toEqual([
      'changed',
      'restored: order context.boxes is added',
    ])
  })

  it('is lost where a context key is gone that its way to ready needs', () => {
    const migrations: Candidate['migrations'] = {
      1: (old) => ({ ...old, context: { ...old.context, readyCount: undefined } }),
    }
    expect(fateOf({ machineVersion: 2, migrations }, moving)).toContain(
      'restored: with every topping it stays preparing and is never ready (P1)',
    )
  })

  it('is lost where an event is refused that it took', () => {
    const machine = edit(({ states, ...config }) => {
      const preparing = { ...states!.preparing, on: { 'pizza.ready': { actions: 'countReadyPizza' } } }
      return { ...config, states: { ...states, preparing } }
    })
    const [fate, ...lines] = fateOf({ machine }, ready)
    expect(fate).toBe('lost')
    expect(lines).toContain('replayed: pizza.topped (veggies) is refused in preparing')
    expect(lines).toContain('replayed: order ready → preparing')
    expect(lines).toContain('replayed: pizza ready → sauce')
    expect(lines).toContain('replayed: it was shown as ready and is not any more (P2)')
    expect(lines.some((line) => line.startsWith('restored'))).toBe(false)
  })

  it('is lost where the machine throws, and where it never comes to rest', () => {
    const throwing = ours.provide({
      actions: {
        countReadyPizza: assign(() => {
          throw new Error('no oven')
        }),
      },
    })
    expect(fateOf({ machine: throwing }, moving)).toEqual([
      'lost',
      'restored: the machine throws: no oven',
      'replayed: the machine throws: no oven',
    ])
    const turning = ours.provide({
      actions: {
        forwardToPizza: sendTo(
          ({ self }) => self,
          ({ event }) => event,
        ),
      },
    })
    expect(fateOf({ machine: turning }, moving)).toEqual([
      'lost',
      'restored: the machine throws: it never comes to rest',
      'replayed: the machine throws: it never comes to rest',
    ])
  })

  it('is lost where a pizza takes only one topping of those that come at once', () => {
    const pizza = createPizzaMachine(recipe).provide({
      actions: {
        takeToppings: assign(({ context, event }) => {
          const [first] = Object.entries(event.toppings)
          return { toppings: { ...context.toppings, ...Object.fromEntries(first ? [first] : []) }, toppedAt: event.at }
        }),
      },
    })
    expect(fateOf({ machine: ours.provide({ actors: { pizza } }) }, moving)).toEqual([
      'lost',
      'restored: with every topping it stays preparing and is never ready (P1)',
    ])
  })

  it('is lost where a rebuild would ask for none of its pizzas', () => {
    const machine = ours.provide({ actions: { requestPizzas() {} } })
    expect(fateOf({ machine }, moving)).toEqual(['lost', 'replayed: it asks for no pizzas'])
  })

  it('is told of where nobody would hear that it is ready', () => {
    const machine = ours.provide({ actions: { announceReady() {} } })
    const text = 'it does not say that it is ready'
    expect(fateOf({ machine }, moving)).toEqual(['changed', `restored: ${text}`, `replayed: ${text}`])
  })

  it('is lost where a fifth topping would take its finished pizzas back at a rebuild', () => {
    const longer = [...recipe, { topping: 'herbs', menu: { kind: 'one' as const, choices: ['basil'] } }]
    const candidate = { machine: createOrderMachine(longer), recipe: longer }
    expect(fateOf(candidate, ready)).toContain(
      'replayed: pizzas it has shown as finished are not finished any more (P2)',
    )
    expect(fateOf(candidate, moving)).toEqual(['same'])
  })

  it('is judged by its snapshot alone where its journal is not whole', () => {
    const stored = createStoredOrder(moving)
    const rehearse = (candidate: Partial<Candidate>) => rehearseOrder(createCandidate(candidate), stored, [])
    const replayed = [{ kind: 'no-journal', text: 'its journal has 0 of 5 events: it cannot be replayed' }]
    expect(rehearse({})).toEqual({ fate: 'changed', restored: [], replayed })
    const machine = createOrderMachine(recipe.filter(({ topping }) => topping !== 'meats'))
    expect(rehearse({ machine })).toMatchObject({ fate: 'lost', restored: [{ kind: 'unreadable' }], replayed })
  })

  it('is lost where neither snapshot nor journal can be read', () => {
    const stored = createStoredOrder(moving)
    const { fate, restored } = rehearseOrder(createCandidate(), { ...stored, envelope: '{"schema":9}' }, [])
    expect(fate).toBe('lost')
    expect(restored).toMatchObject([{ kind: 'unreadable', text: expect.stringMatching(/order 7: it has schema 9/) }])
  })

  it('survives a candidate that is nothing like an order', () => {
    const machine = fromTransition((state: object) => state, {}) as unknown as OrderMachine
    expect(fateOf({ machine }, moving)[0]).toBe('lost')
  })
})

describe('A rehearsal', () => {
  const orders = [
    ...Array.from({ length: 30 }, (_, n) => createStoredOrder({ order_id: `${100 + n}`, count: (n % 5) + 1 })),
    ...Array.from({ length: 20 }, (_, n) => createStoredOrder({ order_id: `${200 + n}`, count: 2, toppings: n % 4 })),
  ]
  const store = createStoreOf(orders)

  it('puts orders of one status and with the same findings into one group, the worst first', () => {
    const machine = createOrderMachine(recipe.filter(({ topping }) => topping !== 'meats'))
    const report = rehearse({ store, candidate: createCandidate({ machine }) })
    expect(report).toMatchObject({ orders: 50, fates: { same: 10, changed: 0, rebuild: 5, lost: 35 }, ungrouped: 0 })
    const brief = report.groups.map(({ fate, status, orders, pizzasMin, pizzasMax, example }) => [
      fate,
      status,
      orders,
      pizzasMin,
      pizzasMax,
      example,
    ])
    expect(brief).toEqual([
      ['lost', 'ready', 30, 1, 5, '100'],
      ['lost', 'preparing', 5, 2, 2, '203'],
      ['rebuild', 'preparing', 5, 2, 2, '202'],
      ['same', 'preparing', 10, 2, 2, '200'],
    ])
  })

  it('makes no group of what is said of one order only', () => {
    const broken = orders.map((order) => ({ ...order, envelope: order.envelope.slice(0, 60) }))
    const { groups } = rehearse({ store: createStoreOf(broken), candidate: createCandidate() })
    expect(groups.map(({ status, orders }) => [status, orders])).toEqual([
      ['ready', 30],
      ['preparing', 20],
    ])
  })

  it('counts the orders it has no group for, and holds no more groups than it may (P8)', () => {
    const report = rehearse({ store, candidate: createCandidate(), groupsMax: 1 })
    expect(report).toMatchObject({ orders: 50, groups: [{ orders: 30 }], ungrouped: 20 })
  })

  it('says how far it is', () => {
    const many = Array.from({ length: 600 }, (_, n) => createStoredOrder({ order_id: String(n), count: 1 }))
    const seen: [number, number][] = []
    const onProgress = (tried: number, total: number) => void seen.push([tried, total])
    rehearse({ store: createStoreOf(many), candidate: createCandidate(), onProgress })
    expect(seen).toEqual([
      [250, 600],
      [500, 600],
    ])
  })
})
