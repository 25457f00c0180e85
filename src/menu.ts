/**
 * The recipe: the toppings in the order a pizza gets them, and the menu each is chosen from. Machines, topics, records, roles
 * and the HTTP answers are all made from it: adding a topping is a change in this file only.
 *
 * M1: a choice is a pure function of (pizza, topping). Doing a step twice gives the same record (design: determinism).
 */

/** What a topping is chosen from: exactly one choice, or none up to `drawsMax` different ones joined by ` & `. */
export type Menu =
  | { readonly kind: 'one'; readonly choices: readonly string[] }
  | { readonly kind: 'several'; readonly choices: readonly string[]; readonly drawsMax: number }

/** One step of making a pizza. Its name is the topping's record field, the pizza's state, the role, and part of the topic. */
export interface Step {
  readonly topping: string
  readonly menu: Menu
}

export type Recipe = readonly Step[]

export const recipe: Recipe = [
  { topping: 'sauce', menu: { kind: 'one', choices: ['regular', 'light', 'extra', 'none', 'alfredo', 'bbq'] } },
  { topping: 'cheese', menu: { kind: 'one', choices: ['extra', 'none', 'three cheese', 'goat cheese'] } },
  {
    topping: 'meats',
    menu: { kind: 'several', drawsMax: 4, choices: ['pepperoni', 'sausage', 'ham', 'anchovies', 'salami', 'bacon'] },
  },
  {
    topping: 'veggies',
    menu: {
      kind: 'several',
      drawsMax: 4,
      choices: ['tomato', 'olives', 'onions', 'peppers', 'pineapple', 'mushrooms'],
    },
  },
]

/**
 * Picks from a menu.
 * @param identity what the choice is for, as one string: order, pizza and topping, or the coordinates of a record without pizza id.
 * @returns a choice; for `several`, `none` or up to `drawsMax` different choices joined by ` & `.
 */
export function choose(menu: Menu, identity: string): string {
  const random = createRandom(hash(identity))
  if (menu.kind === 'one') return menu.choices[below(random(), menu.choices.length)]!
  const drawn = new Set<string>()
  for (let draws = below(random(), menu.drawsMax + 1); draws > 0; draws--) {
    drawn.add(menu.choices[below(random(), menu.choices.length)]!)
  }
  return drawn.size === 0 ? 'none' : [...drawn].join(' & ')
}

/** FNV-1a, 32 bits, over UTF-16 code units. Source: draft-eastlake-fnv. */
function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h
}

/** SplitMix32: the golden-ratio sequence through the murmur3 finalizer. @returns a function giving unsigned 32-bit integers. */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x9e3779b9) | 0
    let z = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    return (z ^ (z >>> 16)) >>> 0
  }
}

/** Scales an unsigned 32-bit integer to 0 … n-1. */
function below(random: number, n: number): number {
  return Math.floor((random / 0x1_0000_0000) * n)
}
