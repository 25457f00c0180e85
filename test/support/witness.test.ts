/** The witness must find what it is for: each promise is broken once. */
import { expect, test } from 'vitest'
import { createWitness, type OrderJson } from './witness.ts'

const finished = { order_id: 'a', pizza_id: 1, sauce: 'bbq', cheese: 'none', meats: 'none', veggies: 'olives' }
const ready: OrderJson = { id: 'a', count: 1, status: 'ready', pizzas: [finished], in_progress: [] }
const at = (state: string, toppings: Record<string, string>): OrderJson => ({
  id: 'a',
  count: 1,
  status: 'preparing',
  pizzas: [],
  in_progress: [{ pizza_id: 1, state, toppings }],
})

function tell(...orders: Array<OrderJson | undefined>): readonly string[] {
  const witness = createWitness()
  witness.accept('a', 1)
  for (const order of orders) witness.look('a')(order)
  return witness.violations
}

test('A witness finds nothing wrong with an order that moves forward', () => {
  expect(
    tell(at('sauce', {}), at('cheese', { sauce: 'bbq' }), at('meats', { sauce: 'bbq', cheese: 'none' }), ready, ready),
  ).toEqual([])
})

test.each([
  ['P1: order a was accepted, and GET does not know it', [undefined]],
  ['P1: order a was accepted for 1 pizzas, and GET says 2', [{ ...ready, count: 2 }]],
  ['P1: order a shows pizza 1 twice', [{ ...ready, pizzas: [finished, finished] }]],
  ['P1: order a of 1 shows 0 pizzas', [{ ...ready, pizzas: [] }]],
  ['P1: order a is preparing with 1 of 1 pizzas finished', [{ ...ready, status: 'preparing' }]],
  ['P1: order a shows a pizza of order b', [{ ...ready, pizzas: [{ ...finished, order_id: 'b' }] }]],
  ['P2: order a pizza 1 was finished as', [ready, { ...ready, pizzas: [{ ...finished, meats: 'ham' }] }]],
  ['P2 P3: order a pizza 1 was finished, and a later GET says sauce', [ready, at('sauce', {})]],
  ['P3: order a pizza 1 was cheese, and a later GET says sauce', [at('cheese', { sauce: 'bbq' }), at('sauce', {})]],
  [
    'P3: order a pizza 1 was shown with sauce bbq and with light',
    [at('cheese', { sauce: 'bbq' }), at('cheese', { sauce: 'light' })],
  ],
  ['P3: order a pizza 1 is in meats and misses cheese', [at('meats', { sauce: 'bbq' })]],
] satisfies Array<[string, Array<OrderJson | undefined>]>)('A witness says: %s', (violation, orders) => {
  expect(tell(...orders).join('\n')).toContain(violation)
})

test('A witness lets answers that were under way together come in any order', () => {
  const witness = createWitness()
  const [first, second] = [witness.look('a'), witness.look('a')]
  second(ready)
  first(at('cheese', { sauce: 'bbq' }))
  expect(witness.violations).toEqual([])
})

test('A witness finds two answers to one order with other counts', () => {
  const witness = createWitness()
  witness.accept('a', 1)
  witness.accept('a', 2)
  expect(witness.violations).toEqual(['P1: order a was accepted for 1 and for 2'])
})
