import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createActor, type Actor, type Snapshot } from 'xstate'
import { pizzaMachine, type PizzaToppedEvent } from '../../src/machines/pizza.machine.ts'

const names = ['sauce', 'cheese', 'meats', 'veggies'] as const

type State = 'sauce' | 'cheese' | 'meats' | 'veggies' | 'ready'
type EventName =
  | 'sauce'
  | 'cheese'
  | 'meats'
  | 'veggies'
  | 'the two next'
  | 'all four'
  | 'a foreign topping'
  | 'nothing'
/** A state the pizza goes to; `held`: it stays and keeps a topping that came early; `ignored`: nothing changes at all. */
type Expected = State | 'held' | 'ignored'

type Pizza = Actor<typeof pizzaMachine>

function topped(toppings: Record<string, string>, at = 1): PizzaToppedEvent {
  return { type: 'pizza.topped', pizza_id: 1, toppings, at }
}

function startPizza(snapshot?: Snapshot<unknown>): Pizza {
  return createActor(pizzaMachine, { input: { pizza_id: 1 }, ...(snapshot && { snapshot }) }).start()
}

/** A pizza that took everything before `state`, in order. */
function pizzaIn(state: State): Pizza {
  const pizza = startPizza()
  for (const name of names.slice(0, state === 'ready' ? 4 : names.indexOf(state))) {
    pizza.send(topped({ [name]: `first ${name}` }))
  }
  return pizza
}

function stateOf(pizza: Pizza): State {
  return pizza.getSnapshot().value
}

/** The snapshot as the store keeps it. */
function persisted(pizza: Pizza): Snapshot<unknown> {
  return JSON.parse(JSON.stringify(pizza.getPersistedSnapshot())) as Snapshot<unknown>
}

function eventIn(state: State, name: EventName): PizzaToppedEvent {
  if (name === 'nothing') return topped({}, 9)
  if (name === 'a foreign topping') return topped({ basil: 'fresh' }, 9)
  if (name === 'all four') return topped(Object.fromEntries(names.map((n) => [n, `other ${n}`])), 9)
  if (name !== 'the two next') return topped({ [name]: `other ${name}` }, 9)
  const at = state === 'ready' ? 2 : names.indexOf(state)
  return topped(Object.fromEntries(names.slice(at, at + 2).map((n) => [n, `other ${n}`])), 9)
}

const transitions: Record<State, Record<EventName, Expected>> = {
  sauce: {
    sauce: 'cheese',
    cheese: 'held',
    meats: 'held',
    veggies: 'held',
    'the two next': 'meats',
    'all four': 'ready',
    'a foreign topping': 'ignored',
    nothing: 'ignored',
  },
  cheese: {
    sauce: 'ignored',
    cheese: 'meats',
    meats: 'held',
    veggies: 'held',
    'the two next': 'veggies',
    'all four': 'ready',
    'a foreign topping': 'ignored',
    nothing: 'ignored',
  },
  meats: {
    sauce: 'ignored',
    cheese: 'ignored',
    meats: 'veggies',
    veggies: 'held',
    'the two next': 'ready',
    'all four': 'ready',
    'a foreign topping': 'ignored',
    nothing: 'ignored',
  },
  veggies: {
    sauce: 'ignored',
    cheese: 'ignored',
    meats: 'ignored',
    veggies: 'ready',
    'the two next': 'ready',
    'all four': 'ready',
    'a foreign topping': 'ignored',
    nothing: 'ignored',
  },
  ready: {
    sauce: 'ignored',
    cheese: 'ignored',
    meats: 'ignored',
    veggies: 'ignored',
    'the two next': 'ignored',
    'all four': 'ignored',
    'a foreign topping': 'ignored',
    nothing: 'ignored',
  },
}

const cells = Object.entries(transitions).flatMap(([state, row]) =>
  Object.entries(row).map(([event, expected]) => [state, event, expected] as [State, EventName, Expected]),
)

describe('A pizza', () => {
  it('begins by waiting for the first topping, and has a state for each and `ready`', () => {
    expect(stateOf(startPizza())).toBe('sauce')
    expect(Object.keys(pizzaMachine.states)).toEqual(Object.keys(transitions))
  })

  it.each(cells)('in state %s that is brought %s: %s', (state, name, expected) => {
    const pizza = pizzaIn(state)
    const before = pizza.getSnapshot()
    pizza.send(eventIn(state, name))
    const after = pizza.getSnapshot()
    if (expected === 'ignored') return expect(after).toBe(before)
    expect(after.value).toBe(expected === 'held' ? state : expected)
    expect(Object.keys(after.context.toppings).length).toBeGreaterThan(Object.keys(before.context.toppings).length)
    expect(after.context.toppedAt).toBe(9)
  })

  it('keeps the first choice of each topping, whatever else comes with a later one (Z1)', () => {
    const pizza = startPizza()
    pizza.send(topped({ cheese: 'goat cheese' }, 5))
    pizza.send(topped({ sauce: 'bbq', cheese: 'none', meats: 'ham' }, 3))
    pizza.send(topped({ sauce: 'light' }, 8))
    const { value, context } = pizza.getSnapshot()
    expect({ value, ...context }).toEqual({
      value: 'veggies',
      pizza_id: 1,
      toppings: { sauce: 'bbq', cheese: 'goat cheese', meats: 'ham' },
      toppedAt: 5,
    })
  })

  it('takes a choice called none for a topping it has', () => {
    const pizza = pizzaIn('meats')
    pizza.send(topped({ meats: 'none' }))
    pizza.send(topped({ meats: 'ham' }))
    expect(stateOf(pizza)).toBe('veggies')
    expect(pizza.getSnapshot().context.toppings['meats']).toBe('none')
  })

  it('lists its toppings in the order of the recipe, however they came', () => {
    const pizza = startPizza()
    for (const name of names.toReversed()) pizza.send(topped({ [name]: name }))
    expect(Object.keys(pizza.getSnapshot().context.toppings)).toEqual(names)
    expect(stateOf(pizza)).toBe('ready')
  })

  it('is in the state of the first topping it misses, for every set of toppings it may have', () => {
    for (let set = 0; set < 16; set++) {
      const has = names.filter((_, bit) => (set & (1 << bit)) !== 0)
      const pizza = startPizza()
      for (const name of has.toReversed()) pizza.send(topped({ [name]: name }))
      expect(stateOf(pizza)).toBe(names.find((name) => !has.includes(name)) ?? 'ready')
    }
  })
})

const oneOf = fc.constantFrom(...names)
/** One first event for each topping, in any order, and repeats of them anywhere after their first. */
const history = fc
  .tuple(
    fc.shuffledSubarray([...names], { minLength: 1 }),
    fc.array(fc.tuple(oneOf, fc.nat(20), fc.boolean()), { maxLength: 12 }),
  )
  .map(([firsts, repeats]) => {
    const events = firsts.map((name) => ({
      name: name as string,
      choice: `first ${name}`,
      at: names.indexOf(name) + 1,
    }))
    for (const [name, place, isOther] of repeats) {
      const first = events.findIndex((event) => event.name === name)
      if (first === -1) continue
      const at = first + 1 + (place % (events.length - first))
      events.splice(at, 0, { name, choice: isOther ? `other ${name}` : `first ${name}`, at: 99 })
    }
    return events
  })

describe('The snapshot of a pizza', () => {
  it('depends on which toppings were taken, not on their order or how often they came (Z1, Z3, P3)', () => {
    fc.assert(
      fc.property(history, (events) => {
        const pizza = startPizza()
        for (const { name, choice, at } of events) pizza.send(topped({ [name]: choice }, at))
        const inOrder = startPizza()
        for (const name of names) {
          if (events.some((event) => event.name === name)) {
            inOrder.send(topped({ [name]: `first ${name}` }, names.indexOf(name) + 1))
          }
        }
        expect(JSON.stringify(persisted(pizza))).toBe(JSON.stringify(persisted(inOrder)))
      }),
    )
  })

  it('only moves forward along the recipe (Z2, P3)', () => {
    const order = [...names, 'ready']
    fc.assert(
      fc.property(history, (events) => {
        const pizza = startPizza()
        for (const { name, choice, at } of events) {
          const before = order.indexOf(stateOf(pizza))
          pizza.send(topped({ [name]: choice }, at))
          expect(order.indexOf(stateOf(pizza))).toBeGreaterThanOrEqual(before)
        }
      }),
    )
  })

  it('goes through JSON and back after any event, and the pizza goes on as if it had not', () => {
    fc.assert(
      fc.property(history, (events) => {
        const straight = startPizza()
        let restored = startPizza()
        for (const { name, choice, at } of events) {
          straight.send(topped({ [name]: choice }, at))
          restored.send(topped({ [name]: choice }, at))
          restored = startPizza(persisted(restored))
          expect(persisted(restored)).toEqual(persisted(straight))
        }
      }),
    )
  })
})
