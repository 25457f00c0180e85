/**
 * Pizza machine. Decides what a pizza still misses. Owns one pizza's toppings; knows nothing of logs, topics or time.
 *
 * The state is the first topping the pizza misses, in the order of the recipe, or `ready`. Toppings may come in any order:
 * one that comes early is held, and the pizza passes through its state as soon as it gets there.
 *
 * Z1: of each topping the first one wins; taking it again, or another choice of it, changes nothing.
 * Z2: states only move forward along the recipe.
 * Z3: the snapshot depends on which toppings were taken, not on the order in which they came.
 */
import { assign, enqueueActions, setup } from 'xstate'
import { recipe as ourRecipe, type Recipe } from '../menu.ts'

/** Toppings with their choices, and when the newest of them was appended to the log. Several may come in one event. */
export interface PizzaToppedEvent {
  readonly type: 'pizza.topped'
  readonly pizza_id: number
  readonly toppings: Readonly<Record<string, string>>
  /** Milliseconds since 1970. */
  readonly at: number
}

/** Told to the order when its pizza has every topping. */
export interface PizzaReadyEvent {
  readonly type: 'pizza.ready'
  readonly pizza_id: number
  readonly at: number
}

export interface PizzaContext {
  readonly pizza_id: number
  /** What the pizza has, always in the order of the recipe. */
  readonly toppings: Readonly<Record<string, string>>
  /** When the newest topping was appended to the log, in milliseconds since 1970; 0 before the first. */
  readonly toppedAt: number
}

/**
 * Makes the machine of one pizza from a recipe: a state for each topping, then `ready`.
 * `ready` is not final: a final child would have to be stopped, which costs its order a copy of all its children.
 */
export function createPizzaMachine(recipe: Recipe) {
  const names = recipe.map(({ topping }) => topping)
  const base = setup({
    types: {} as {
      context: PizzaContext
      events: PizzaToppedEvent
      input: { pizza_id: number }
    },
    guards: {
      hasTopping: ({ context }, { topping }: { topping: string }) => context.toppings[topping] !== undefined,
      bringsMissingTopping: ({ context, event }) =>
        names.some((name) => event.toppings[name] !== undefined && context.toppings[name] === undefined),
    },
    actions: {
      takeToppings: assign(({ context, event }) => ({
        toppings: mergeFirstWins(names, context.toppings, event.toppings),
        toppedAt: Math.max(context.toppedAt, event.at),
      })),
      tellOrder: enqueueActions(({ enqueue, self, context }) => {
        const { pizza_id, toppedAt: at } = context
        if (self._parent) enqueue.sendTo(self._parent, { type: 'pizza.ready', pizza_id, at } satisfies PizzaReadyEvent)
      }),
    },
  })
  const stateOf = (topping: string, index: number) => ({
    description: `Waits for its ${topping}`,
    always: { guard: { type: 'hasTopping' as const, params: { topping } }, target: names[index + 1] ?? 'ready' },
    on: {
      'pizza.topped': {
        guard: 'bringsMissingTopping' as const,
        actions: 'takeToppings' as const,
        description: 'Takes the toppings it misses; the first of each wins',
      },
    },
  })
  return base.createMachine({
    id: 'pizza',
    context: ({ input }) => ({ pizza_id: input.pizza_id, toppings: {}, toppedAt: 0 }),
    initial: names[0] ?? 'ready',
    states: {
      ...Object.fromEntries(names.map((topping, index) => [topping, stateOf(topping, index)])),
      ready: { description: 'Has every topping', entry: 'tellOrder' },
    },
  })
}

/** The pizza machine of our recipe. */
export const pizzaMachine = createPizzaMachine(ourRecipe)

function mergeFirstWins(
  names: readonly string[],
  held: Readonly<Record<string, string>>,
  brought: Readonly<Record<string, string>>,
): Record<string, string> {
  const merged: Record<string, string> = {}
  for (const name of names) {
    const choice = held[name] ?? brought[name]
    if (choice !== undefined) merged[name] = choice
  }
  return merged
}
