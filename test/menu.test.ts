import { describe, expect, it } from 'vitest'
import { choose, recipe, type Menu, type Step } from '../src/menu.ts'

/** What the customer was promised, written down a second time on purpose. */
const menus: Record<string, { choices: string[]; drawsMax?: number }> = {
  sauce: { choices: ['regular', 'light', 'extra', 'none', 'alfredo', 'bbq'] },
  cheese: { choices: ['extra', 'none', 'three cheese', 'goat cheese'] },
  meats: { choices: ['pepperoni', 'sausage', 'ham', 'anchovies', 'salami', 'bacon'], drawsMax: 4 },
  veggies: { choices: ['tomato', 'olives', 'onions', 'peppers', 'pineapple', 'mushrooms'], drawsMax: 4 },
}

const pizzas = 100_000

/** Ids as orders get them: UUIDv7 read as decimal integers, a few milliseconds apart, with pizzas 1 to 4 each. */
function* realisticPizzas(count: number): Generator<{ order_id: string; pizza_id: number }> {
  let random = 0x9e3779b97f4a7c15n
  for (let n = 0; n < count; n++) {
    if (n % 4 === 0) random = (random * 6364136223846793005n + 1442695040888963407n) & 0xffff_ffff_ffff_ffffn
    const time = 1_790_000_000_000n + BigInt(n >> 2) * 3n
    const uuid = (time << 80n) | (0x7n << 76n) | ((random >> 52n) << 64n) | (0x8n << 60n) | (random & (2n ** 60n - 1n))
    yield { order_id: uuid.toString(), pizza_id: (n % 4) + 1 }
  }
}

function identify({ order_id, pizza_id }: { order_id: string; pizza_id: number }, topping: string): string {
  return `${order_id}/${pizza_id}/${topping}`
}

function stepOf(topping: string): Step {
  return recipe.find((step) => step.topping === topping)!
}

/** How often each choice came up. */
function tally(step: Step): Map<string, number> {
  const counts = new Map<string, number>()
  for (const pizza of realisticPizzas(pizzas)) {
    const choice = choose(step.menu, identify(pizza, step.topping))
    counts.set(choice, (counts.get(choice) ?? 0) + 1)
  }
  return counts
}

/** Every choice of a menu with its probability: `several` draws 0 … drawsMax times, each time any choice, doubles count once. */
function probabilities({ choices, drawsMax }: { choices: string[]; drawsMax?: number }): Map<string, number> {
  if (drawsMax === undefined) return new Map(choices.map((choice) => [choice, 1 / choices.length]))
  const found = new Map<string, number>()
  const draw = (drawn: string[], left: number, probability: number): void => {
    if (left > 0) {
      for (const choice of choices) draw([...drawn, choice], left - 1, probability / choices.length)
      return
    }
    const text = drawn.length === 0 ? 'none' : [...new Set(drawn)].join(' & ')
    found.set(text, (found.get(text) ?? 0) + probability)
  }
  for (let draws = 0; draws <= drawsMax; draws++) draw([], draws, 1 / (drawsMax + 1))
  return found
}

function chiSquare(counts: ReadonlyMap<string, number>, expected: ReadonlyMap<string, number>, total: number): number {
  let sum = 0
  for (const [choice, probability] of expected) {
    const wanted = probability * total
    sum += ((counts.get(choice) ?? 0) - wanted) ** 2 / wanted
  }
  return sum
}

/** What chi-square exceeds once in a thousand times. Source: Wilson and Hilferty's approximation. */
function chiSquareMax(freedom: number): number {
  return freedom * (1 - 2 / (9 * freedom) + 3.0902 * Math.sqrt(2 / (9 * freedom))) ** 3
}

describe('The recipe', () => {
  it('has the toppings in the order in which a pizza gets them, each with its menu', () => {
    const found = recipe.map(({ topping, menu }) => [
      topping,
      { choices: [...menu.choices], ...(menu.kind === 'several' && { drawsMax: menu.drawsMax }) },
    ])
    expect(found).toEqual(Object.entries(menus))
  })
})

describe.each(Object.keys(menus))('A choice of %s', (topping) => {
  const counts = tally(stepOf(topping))
  const expected = probabilities(menus[topping]!)

  it('is every one of the menu and never anything else', () => {
    expect([...counts.keys()].toSorted()).toEqual([...expected.keys()].toSorted())
  })

  it('comes up as often as fair draws would make it', () => {
    expect(chiSquare(counts, expected, pizzas)).toBeLessThan(chiSquareMax(expected.size - 1))
  })
})

describe('A choice', () => {
  it('of meats or veggies has one to four different ones, joined by ` & `, or is none', () => {
    for (const topping of ['meats', 'veggies']) {
      const parts = [...tally(stepOf(topping)).keys()].filter((choice) => choice !== 'none').map((c) => c.split(' & '))
      expect(parts.every((drawn) => new Set(drawn).size === drawn.length)).toBe(true)
      expect(new Set(parts.map((drawn) => drawn.length))).toEqual(new Set([1, 2, 3, 4]))
      expect(new Set(parts.flat())).toEqual(new Set(menus[topping]!.choices))
    }
  })

  it('of one topping says nothing about the next one', () => {
    const [sauce, cheese] = [stepOf('sauce'), stepOf('cheese')]
    const pairs = new Map<string, number>()
    for (const pizza of realisticPizzas(pizzas)) {
      const pair = [sauce, cheese].map(({ topping, menu }) => choose(menu, identify(pizza, topping))).join('+')
      pairs.set(pair, (pairs.get(pair) ?? 0) + 1)
    }
    const expected = new Map(
      sauce.menu.choices.flatMap((a) => cheese.menu.choices.map((b): [string, number] => [`${a}+${b}`, 1 / 24])),
    )
    expect(chiSquare(pairs, expected, pizzas)).toBeLessThan(chiSquareMax(23))
  })

  it.each([
    ['sauce', '2126374619282743919023746123847561234/1/sauce', 'alfredo'],
    ['cheese', '2126374619282743919023746123847561234/1/cheese', 'extra'],
    ['meats', '2126374619282743919023746123847561234/1/meats', 'salami & anchovies'],
    ['veggies', '2126374619282743919023746123847561234/1/veggies', 'tomato & olives & peppers'],
    ['meats', '2126374619282743919023746123847561234/2/meats', 'pepperoni & sausage & bacon & salami'],
    ['sauce', 'pizza/3/17/sauce', 'bbq'],
    ['cheese', 'pizza/3/17/cheese', 'goat cheese'],
    ['veggies', 'pizza/3/17/veggies', 'tomato'],
  ])('of %s for %s is the same in every version (M1)', (topping, identity, choice) => {
    expect(choose(stepOf(topping).menu, identity)).toBe(choice)
  })

  it('can be made from a menu of one', () => {
    const menu: Menu = { kind: 'several', drawsMax: 1, choices: ['basil'] }
    const choices = Array.from({ length: 20 }, (_, n) => choose(menu, `pizza ${n}`))
    expect(new Set(choices)).toEqual(new Set(['none', 'basil']))
  })
})
