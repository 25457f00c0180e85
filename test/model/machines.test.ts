/**
 * The machines on every path of their models. The order is judged by a model that knows no machine (order-model.ts). `MODEL_LONG=1`
 * adds what takes minutes.
 */
import { describe, expect, it } from 'vitest'
import { createActor, type ActorRefFrom } from 'xstate'
import { orderMachine, pizzaKey, type OrderMachineEvent } from '../../src/machines/order.machine.ts'
import { pizzaMachine } from '../../src/machines/pizza.machine.ts'
import { recipe } from '../../src/menu.ts'
import { createOrderModel, toPizzaStates, type Taken, type ToppingCame } from '../../src/proof/order-model.ts'
import { findShortestPaths, findSimplePaths, findTransitionPaths, toModel, type Path } from '../../src/proof/paths.ts'
import { createCoverage, type Coverage } from './coverage.ts'

const isLong = process.env['MODEL_LONG'] === '1'
const names = recipe.map(({ topping }) => topping)

/** Walks a path with real actors and compares order and pizzas with the model after every step. */
function walk(count: number, { events }: Path<Taken, ToppingCame>, coverage?: Coverage): void {
  const model = createOrderModel(recipe, count)
  const order = createActor(orderMachine, {
    input: { order_id: '7' },
    ...(coverage && { inspect: coverage.inspect }),
  }).start()
  order.send({ type: 'order.placed', count, at: 1 })
  let taken = model.initial
  const look = () => {
    const { value, context, children } = order.getSnapshot()
    const pizzas = model.initial.map((_, index) =>
      (children[pizzaKey(index + 1)] as ActorRefFrom<typeof pizzaMachine>).getSnapshot(),
    )
    return { order: value, readyCount: context.readyCount, pizzas: pizzas.map((pizza) => pizza.value) }
  }
  const expected = () => {
    const pizzas = toPizzaStates(recipe, taken)
    const readyCount = pizzas.filter((state) => state === 'ready').length
    return { order: readyCount === count ? 'ready' : 'preparing', readyCount, pizzas }
  }
  for (const [step, event] of events.entries()) {
    const { pizza_id, topping } = event
    order.send({ type: 'pizza.topped', pizza_id, toppings: { [topping]: topping }, at: 10 + step })
    taken = model.next(taken, event)
    const found = look()
    const wanted = expected()
    // Comparing as text first: a matcher for each of a hundred thousand steps would be most of the time.
    if (JSON.stringify(found) !== JSON.stringify(wanted)) expect(found).toEqual(wanted)
  }
}

describe('The pizza machine', () => {
  const events = names.map((topping, index) => ({
    type: 'pizza.topped' as const,
    pizza_id: 1,
    toppings: { [topping]: topping },
    at: index + 1,
  }))
  const model = toModel({ machine: pizzaMachine, input: { pizza_id: 1 }, events })

  it('has a state for each set of toppings, in 65 ways, and is in the one that the set says', () => {
    expect(findShortestPaths(model)).toHaveLength(16)
    const paths = findSimplePaths(model)
    expect(paths).toHaveLength(65)
    for (const path of paths) {
      const has = new Set(path.events.flatMap(({ toppings }) => Object.keys(toppings)))
      const missed = names.find((topping) => !has.has(topping))
      expect(path.state.value).toBe(missed ?? 'ready')
      expect(Object.keys(path.state.context.toppings)).toEqual(names.filter((topping) => has.has(topping)))
    }
  })

  it('has every state entered and every transition taken on these paths', () => {
    const coverage = createCoverage()
    for (const path of findSimplePaths(model)) {
      const pizza = createActor(pizzaMachine, { input: { pizza_id: 1 }, inspect: coverage.inspect }).start()
      for (const event of path.events) pizza.send(event)
    }
    expect(coverage.missing(pizzaMachine)).toEqual([])
    expect(coverage.total(pizzaMachine)).toBe(5 + 4 + 4)
  })
})

describe('The order machine alone', () => {
  const input = { order_id: '7' }
  const placed: OrderMachineEvent = { type: 'order.placed', count: 2, at: 1 }
  const machineOnly = toModel({ machine: orderMachine, input, events: [placed] })
  // Its pizzas do not run here: their word comes as often as there are pizzas that have not given it.
  const model = {
    ...machineOnly,
    events: ({ context, value }: typeof machineOnly.initial): OrderMachineEvent[] =>
      value === 'preparing' ? [placed, { type: 'pizza.ready', pizza_id: context.readyCount + 1, at: 5 }] : [placed],
    toKey: ({ value, context }: typeof machineOnly.initial) => `${value}, ${context.readyCount} ready`,
  }

  it('goes from new over preparing to ready, in one way', () => {
    const ends = findSimplePaths(model).map(({ state }) => model.toKey(state))
    expect(ends).toEqual(['new, 0 ready', 'preparing, 0 ready', 'preparing, 1 ready', 'ready, 2 ready'])
  })
})

describe('An order with its pizzas', () => {
  const sizes: [count: number, states: number][] = [
    [1, 16],
    [2, 256],
  ]
  if (isLong) sizes.push([3, 4_096])

  it.each(sizes)('of %i is in the state the model says on a shortest path to each of %i states', (count, states) => {
    const paths = findShortestPaths(createOrderModel(recipe, count))
    expect(paths).toHaveLength(states)
    for (const path of paths) walk(count, path)
  })

  it('of 1 is so in every order of its toppings, and of 2 on every transition', () => {
    const ofOne = findSimplePaths(createOrderModel(recipe, 1))
    const ofTwo = findTransitionPaths(createOrderModel(recipe, 2))
    expect([ofOne.length, ofTwo.length]).toEqual([65, 1_024])
    for (const path of ofOne) walk(1, path)
    for (const path of ofTwo) walk(2, path)
  })

  it.each(isLong ? [109_601] : [])('of 2 is so in all %i orders of its toppings', { timeout: 300_000 }, (ways) => {
    const paths = findSimplePaths(createOrderModel(recipe, 2))
    expect(paths).toHaveLength(ways)
    for (const path of paths) walk(2, path)
  })

  it('has every state entered and every transition taken on these paths, its pizzas too', () => {
    const coverage = createCoverage()
    expect(coverage.missing(orderMachine)).toHaveLength(coverage.total(orderMachine))
    for (const path of findTransitionPaths(createOrderModel(recipe, 2))) walk(2, path, coverage)
    expect(coverage.missing(orderMachine)).toEqual([])
    expect(coverage.missing(pizzaMachine)).toEqual([])
    expect(coverage.total(orderMachine)).toBe(3 + 4)
  })
})
