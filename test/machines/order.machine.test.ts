import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createActor, type Actor, type AnyActorRef, type Snapshot } from 'xstate'
import { orderMachine, pizzaKey, type OrderEmitted, type OrderMachineEvent } from '../../src/machines/order.machine.ts'
import type { PizzaContext } from '../../src/machines/pizza.machine.ts'
import { recipe } from '../../src/menu.ts'

type State = 'new' | 'preparing' | 'ready'
type EventName =
  | 'order.placed'
  | 'pizza.topped, not its last'
  | 'pizza.topped, the last of one pizza'
  | 'pizza.topped, the last of the last pizza'
  | 'pizza.topped, a duplicate'
type Expected = State | 'a pizza moves' | 'a pizza is ready' | 'ignored'

type Order = Actor<typeof orderMachine>

interface Started {
  readonly order: Order
  readonly emitted: OrderEmitted[]
}

const full = { sauce: 'bbq', cheese: 'none', meats: 'ham', veggies: 'olives' }
const names = recipe.map(({ topping }) => topping)

function startOrder(snapshot?: Snapshot<unknown>): Started {
  const order = createActor(orderMachine, { input: { order_id: '77' }, ...(snapshot && { snapshot }) })
  const emitted: OrderEmitted[] = []
  order.on('pizza.requested', (event) => void emitted.push(event))
  order.on('order.ready', (event) => void emitted.push(event))
  return { order: order.start(), emitted }
}

const placed = (count: number): OrderMachineEvent => ({ type: 'order.placed', count, at: 100 })

function topped(pizza_id: number, toppings: Record<string, string> = full, at = 200 + pizza_id): OrderMachineEvent {
  return { type: 'pizza.topped', pizza_id, toppings, at }
}

/** An order of two pizzas; the first has its sauce once there are pizzas, the second misses only veggies. */
function orderIn(state: State): Started {
  const started = startOrder()
  if (state === 'new') return started
  const { order } = started
  order.send(placed(2))
  order.send(topped(1, { sauce: 'bbq' }))
  order.send(topped(2, { sauce: 'bbq', cheese: 'extra', meats: 'ham' }))
  if (state === 'preparing') return started
  order.send(topped(1))
  order.send(topped(2))
  return started
}

function persisted(order: Order): Snapshot<unknown> {
  return JSON.parse(JSON.stringify(order.getPersistedSnapshot())) as Snapshot<unknown>
}

function pizzaOf(order: Order, pizza_id: number) {
  const child = order.getSnapshot().children[pizzaKey(pizza_id)] as AnyActorRef | undefined
  return child?.getSnapshot() as { value: string; context: PizzaContext } | undefined
}

/** Sends the event the name speaks of. */
function send(order: Order, name: EventName): void {
  if (name === 'order.placed') return order.send(placed(5))
  if (name === 'pizza.topped, not its last') return order.send(topped(1, { cheese: 'extra' }))
  if (name === 'pizza.topped, a duplicate') return order.send(topped(1, { sauce: 'light' }))
  if (name === 'pizza.topped, the last of one pizza') return order.send(topped(2))
  if (order.getSnapshot().value === 'preparing') order.send(topped(2))
  order.send(topped(1))
}

const transitions: Record<State, Record<EventName, Expected>> = {
  new: {
    'order.placed': 'preparing',
    'pizza.topped, not its last': 'ignored',
    'pizza.topped, the last of one pizza': 'ignored',
    'pizza.topped, the last of the last pizza': 'ignored',
    'pizza.topped, a duplicate': 'ignored',
  },
  preparing: {
    'order.placed': 'ignored',
    'pizza.topped, not its last': 'a pizza moves',
    'pizza.topped, the last of one pizza': 'a pizza is ready',
    'pizza.topped, the last of the last pizza': 'ready',
    'pizza.topped, a duplicate': 'ignored',
  },
  ready: {
    'order.placed': 'ignored',
    'pizza.topped, not its last': 'ignored',
    'pizza.topped, the last of one pizza': 'ignored',
    'pizza.topped, the last of the last pizza': 'ignored',
    'pizza.topped, a duplicate': 'ignored',
  },
}

const cells = Object.entries(transitions).flatMap(([state, row]) =>
  Object.entries(row).map(([event, expected]) => [state, event, expected] as [State, EventName, Expected]),
)

describe('An order', () => {
  it('has the states of the table', () => {
    expect(Object.keys(orderMachine.states)).toEqual(Object.keys(transitions))
  })

  it.each(cells)('in state %s that is sent %s: %s', (state, name, expected) => {
    const { order, emitted } = orderIn(state)
    const before = persisted(order)
    const emittedBefore = emitted.length
    const { readyCount } = order.getSnapshot().context
    send(order, name)
    const { value, context } = order.getSnapshot()
    const emittedNow = emitted.slice(emittedBefore).map(({ type }) => type)
    if (expected === 'ignored') {
      expect(persisted(order)).toEqual(before)
      expect(emittedNow).toEqual([])
    } else if (expected === 'a pizza moves' || expected === 'a pizza is ready') {
      expect(value).toBe(state)
      expect(context.readyCount - readyCount).toBe(expected === 'a pizza is ready' ? 1 : 0)
      expect(persisted(order)).not.toEqual(before)
      expect(emittedNow).toEqual([])
    } else {
      expect(value).toBe(expected)
      expect(emittedNow).toEqual([expected === 'ready' ? 'order.ready' : 'pizza.requested'])
    }
  })

  it('spawns exactly its pizzas 1 to count, once (D1)', () => {
    const { order, emitted } = startOrder()
    order.send(placed(3))
    order.send(placed(7))
    expect(Object.keys(order.getSnapshot().children)).toEqual(['pizza-1', 'pizza-2', 'pizza-3'])
    expect(order.getSnapshot().context).toMatchObject({ order_id: '77', count: 3, placedAt: 100 })
    expect(emitted).toEqual([{ type: 'pizza.requested', order_id: '77', count: 3 }])
  })

  it('hands a topping to its own pizza only', () => {
    const { order } = startOrder()
    order.send(placed(3))
    order.send(topped(2, { cheese: 'extra' }))
    const held = [1, 2, 3].map((pizza_id) => pizzaOf(order, pizza_id)!.context.toppings)
    expect(held).toEqual([{}, { cheese: 'extra' }, {}])
  })

  it('is ready when its last pizza is, at the time of the newest topping, and says so once (D2, D3)', () => {
    const { order, emitted } = startOrder()
    order.send(placed(2))
    order.send(topped(2, full, 900))
    expect(order.getSnapshot().value).toBe('preparing')
    order.send(topped(1, full, 500))
    order.send(topped(1, full, 1_000))
    const { value, context } = order.getSnapshot()
    expect({ value, ...context }).toMatchObject({ value: 'ready', readyCount: 2, readyAt: 900 })
    expect(emitted.slice(1)).toEqual([{ type: 'order.ready', order_id: '77', at: 900 }])
  })

  it('that is restored asks for nothing and announces nothing again (D3)', () => {
    for (const state of ['preparing', 'ready'] as const) {
      const { order } = orderIn(state)
      expect(startOrder(persisted(order)).emitted).toEqual([])
    }
  })

  it('of a thousand pizzas becomes ready', () => {
    const { order } = startOrder()
    order.send(placed(1_000))
    for (let pizza_id = 1; pizza_id <= 1_000; pizza_id++) order.send(topped(pizza_id))
    expect(order.getSnapshot().value).toBe('ready')
  })

  it('keeps the one list of its pizzas: no topping copies it, so a pizza costs the same in any order (P8)', () => {
    const { order } = startOrder()
    order.send(placed(1_000))
    const { children } = order.getSnapshot()
    for (const name of names) order.send(topped(500, { [name]: 'some' }))
    expect(order.getSnapshot().context.readyCount).toBe(1)
    expect(order.getSnapshot().children).toBe(children)
  })
})

interface OneTopping {
  readonly pizza_id: number
  readonly name: string
  readonly isRepeat: boolean
}

const firsts: OneTopping[] = [1, 2, 3].flatMap((pizza_id) => names.map((name) => ({ pizza_id, name, isRepeat: false })))
/** The twelve toppings of three pizzas in any order, with repeats (of another choice) somewhere after the first. */
const history = fc
  .tuple(
    fc.shuffledSubarray(firsts, { minLength: firsts.length }),
    fc.array(fc.tuple(fc.constantFrom(...firsts), fc.nat(40)), { maxLength: 15 }),
  )
  .map(([events, repeats]) => {
    const all = [...events]
    for (const [{ pizza_id, name }, place] of repeats) {
      const first = all.findIndex((event) => event.pizza_id === pizza_id && event.name === name)
      all.splice(first + 1 + (place % (all.length - first)), 0, { pizza_id, name, isRepeat: true })
    }
    return all
  })

const toEvent = ({ pizza_id, name, isRepeat }: OneTopping): OrderMachineEvent =>
  topped(pizza_id, { [name]: isRepeat ? 'another' : name }, isRepeat ? 9_999 : 200 + names.indexOf(name))

describe('The snapshot of an order', () => {
  const inOrder = startOrder().order
  inOrder.send(placed(3))
  for (const event of firsts) inOrder.send(toEvent(event))
  const expected = JSON.stringify(persisted(inOrder))

  it('is the same for every order of its toppings, with any repeats (D1, D2, Z1, Z3, P3)', () => {
    fc.assert(
      fc.property(history, (events) => {
        const { order, emitted } = startOrder()
        order.send(placed(3))
        for (const event of events) order.send(toEvent(event))
        expect(JSON.stringify(persisted(order))).toBe(expected)
        expect(emitted.map(({ type }) => type)).toEqual(['pizza.requested', 'order.ready'])
      }),
    )
  })

  it('goes through JSON and back after any event, and the order goes on as if it had not', () => {
    fc.assert(
      fc.property(history, (events) => {
        const straight = startOrder()
        const all = [placed(3), ...events.map(toEvent)]
        let restored = startOrder()
        for (const event of all) {
          straight.order.send(event)
          restored.order.send(event)
          expect(persisted(restored.order)).toEqual(persisted(straight.order))
          restored = startOrder(persisted(restored.order))
          expect(persisted(restored.order)).toEqual(persisted(straight.order))
        }
      }),
      { numRuns: 30 },
    )
  })

  it('never goes back: neither the order nor how many pizzas are ready (D2, P2)', () => {
    fc.assert(
      fc.property(history, (events) => {
        const { order } = startOrder()
        order.send(placed(3))
        let last = 0
        for (const event of events) {
          order.send(toEvent(event))
          const { value, context } = order.getSnapshot()
          expect(context.readyCount).toBeGreaterThanOrEqual(last)
          expect(value).toBe(context.readyCount === 3 ? 'ready' : 'preparing')
          last = context.readyCount
        }
      }),
    )
  })
})
