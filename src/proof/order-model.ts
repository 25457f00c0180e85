/**
 * Order model. What an order with some pizzas may go through, written by hand and without the machines, so that it can judge them:
 * which toppings each pizza has, and nothing else. Toppings come in any order across pizzas and topics: 16 states for one pizza,
 * 256 for two, 4,096 for three.
 */
import type { Recipe } from '../menu.ts'
import type { Model } from './paths.ts'

/** The toppings of each pizza, as bits in the order of the recipe; the first pizza first. */
export type Taken = readonly number[]

/** One topping comes for one pizza. */
export interface ToppingCame {
  readonly type: 'topping.came'
  readonly pizza_id: number
  readonly topping: string
}

/** The model of a placed order of `count` pizzas. */
export function createOrderModel(recipe: Recipe, count: number): Model<Taken, ToppingCame> {
  const names = recipe.map(({ topping }) => topping)
  const bitOf = (topping: string): number => 1 << names.indexOf(topping)
  const pizzas = Array.from({ length: count }, (_, index) => index + 1)
  return {
    initial: pizzas.map(() => 0),
    events: (taken) =>
      pizzas.flatMap((pizza_id) =>
        names
          .filter((topping) => (taken[pizza_id - 1]! & bitOf(topping)) === 0)
          .map((topping) => ({ type: 'topping.came' as const, pizza_id, topping })),
      ),
    next: (taken, { pizza_id, topping }) =>
      taken.map((bits, index) => (index === pizza_id - 1 ? bits | bitOf(topping) : bits)),
    toKey: (taken) => taken.join(),
  }
}

/** In which state each pizza must be: the first topping it misses, or `ready`. */
export function toPizzaStates(recipe: Recipe, taken: Taken): string[] {
  return taken.map((bits) => recipe.find((_, index) => (bits & (1 << index)) === 0)?.topping ?? 'ready')
}
