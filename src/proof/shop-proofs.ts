/** Shop proofs: our own machines as subjects, with the paths they are proved on. The example for proofs of other machines. */
import { createOrderMachine } from '../machines/order.machine.ts'
import { createPizzaMachine } from '../machines/pizza.machine.ts'
import type { Recipe } from '../menu.ts'
import { proveCrashes, type CrashProof, type Subject } from './crashes.ts'
import { toSubject, type Repeat } from './machine-subject.ts'
import { createOrderModel, type ToppingCame } from './order-model.ts'
import { findShortestPaths, findSimplePaths, findTransitionPaths, toModel } from './paths.ts'

/** A proof that can be run by its name. */
export interface Proof {
  readonly name: string
  run(): Promise<CrashProof>
}

export interface ShopProofsOptions {
  readonly recipe: Recipe
  /** Also every order of two pizzas' toppings (109,601 paths), and three pizzas. Takes minutes. */
  readonly isLong?: boolean
}

/** The proofs of the pizza and of the order, each with nothing and with everything read again after a crash. */
export function createShopProofs({ recipe, isLong = false }: ShopProofsOptions): Proof[] {
  const repeats: readonly Repeat[] = ['nothing', 'everything']
  return repeats.flatMap((repeat) => [
    provePizza(recipe, repeat),
    proveOrder(recipe, { count: 1, repeat, find: findSimplePaths, ways: 'every order of toppings' }),
    proveOrder(recipe, { count: 2, repeat, find: findTransitionPaths, ways: 'every transition' }),
    ...(isLong
      ? [
          proveOrder(recipe, { count: 2, repeat, find: findSimplePaths, ways: 'every order of toppings' }),
          proveOrder(recipe, { count: 3, repeat, find: findShortestPaths, ways: 'every state' }),
        ]
      : []),
  ])
}

const comesAgain: Record<Repeat, string> = { nothing: 'from its snapshot', everything: 'and reads all again' }

function provePizza(recipe: Recipe, repeat: Repeat): Proof {
  const machine = createPizzaMachine(recipe)
  const input = { pizza_id: 1 }
  const events = recipe.map(({ topping }, index) => toTopped(1, topping, index))
  const name = `pizza, every order of toppings, ${comesAgain[repeat]}`
  const subject = toSubject({ name, machine, input, repeat })
  return { name, run: () => proveCrashes(subject, findSimplePaths(toModel({ machine, input, events }))) }
}

interface OrderProofOptions {
  readonly count: number
  readonly repeat: Repeat
  readonly ways: string
  readonly find: typeof findSimplePaths
}

function proveOrder(recipe: Recipe, { count, repeat, find, ways }: OrderProofOptions): Proof {
  const pizzas = count === 1 ? '1 pizza' : `${count} pizzas`
  const name = `order of ${pizzas}, ${ways}, ${comesAgain[repeat]}`
  const subject = toOrderSubject(recipe, { name, count, repeat })
  return { name, run: () => proveCrashes(subject, find(createOrderModel(recipe, count))) }
}

/** An order that has been placed; the model's events come to it as events of the machine. */
function toOrderSubject(
  recipe: Recipe,
  { name, count, repeat = 'nothing' }: { name: string; count: number; repeat?: Repeat },
): Subject<ToppingCame> {
  const machine = createOrderMachine(recipe)
  const subject = toSubject({ name, machine, input: { order_id: '7' }, repeat })
  const places = new Map(recipe.map(({ topping }, index) => [topping, index]))
  return {
    name,
    async start() {
      const walk = await subject.start()
      await walk.send({ type: 'order.placed', count, at: 100 })
      return {
        ...walk,
        send: ({ pizza_id, topping }) => walk.send(toTopped(pizza_id, topping, places.get(topping)!)),
      }
    },
  }
}

function toTopped(pizza_id: number, topping: string, place: number) {
  const at = 1_000 * pizza_id + place
  return { type: 'pizza.topped' as const, pizza_id, toppings: { [topping]: `some ${topping}` }, at }
}
