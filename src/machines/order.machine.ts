/**
 * Order machine. Decides when an order is ready. Owns the order's pizzas as child actors and hands each event to its pizza;
 * knows nothing of logs, HTTP or other orders.
 *
 * D1: `order.placed` counts once; the pizzas 1 … count are spawned by it and by nothing else.
 * D2: the order is ready when every pizza said so, and never leaves `ready`.
 * D3: what must happen outside is emitted (`pizza.requested`, `order.ready`) and nothing is awaited.
 *
 * `ready` is not a final state: reaching one stops the children one by one, which is quadratic in the order's size.
 */
import { assign, emit, sendTo, setup, type ActorRefFrom } from 'xstate'
import { recipe as ourRecipe, type Recipe } from '../menu.ts'
import { createPizzaMachine, type PizzaReadyEvent, type PizzaToppedEvent } from './pizza.machine.ts'

/** The order's first event. `at` is when it was placed, in milliseconds since 1970. */
export interface OrderPlacedEvent {
  readonly type: 'order.placed'
  readonly count: number
  readonly at: number
}

export type OrderMachineEvent = OrderPlacedEvent | PizzaToppedEvent | PizzaReadyEvent

/** What an order tells the outside. `pizza.requested` asks for the pizzas 1 … count; `at` is in milliseconds since 1970. */
export type OrderEmitted =
  | { readonly type: 'pizza.requested'; readonly order_id: string; readonly count: number }
  | { readonly type: 'order.ready'; readonly order_id: string; readonly at: number }

export interface OrderContext {
  readonly order_id: string
  /** 0 until the order is placed. */
  readonly count: number
  readonly placedAt: number
  /** How many pizzas are ready, and when the newest of them became so; 0 before the first. */
  readonly readyCount: number
  readonly readyAt: number
}

/** The name under which an order spawns pizza `pizza_id`. */
export function pizzaKey(pizza_id: number): string {
  return `pizza-${pizza_id}`
}

/** Makes the machine of one order, with the pizza machine of the same recipe as its child. */
export function createOrderMachine(recipe: Recipe) {
  const pizza = createPizzaMachine(recipe)
  return setup({
    types: {} as {
      context: OrderContext
      events: OrderMachineEvent
      input: { order_id: string }
      emitted: OrderEmitted
      children: Record<string, 'pizza'>
    },
    actors: { pizza },
    guards: {
      isEveryPizzaReady: ({ context }) => context.readyCount === context.count,
    },
    actions: {
      // One assign spawns all: an action each would copy the list of children once per pizza.
      spawnPizzas: assign(({ event, spawn }) => {
        if (event.type !== 'order.placed') return {}
        for (let pizza_id = 1; pizza_id <= event.count; pizza_id++) {
          spawn('pizza', { id: pizzaKey(pizza_id), input: { pizza_id } })
        }
        return { count: event.count, placedAt: event.at }
      }),
      requestPizzas: emit(({ context: { order_id, count } }) => ({
        type: 'pizza.requested' as const,
        order_id,
        count,
      })),
      forwardToPizza: sendTo(
        ({ self, event }) =>
          self.getSnapshot().children[pizzaKey((event as PizzaToppedEvent).pizza_id)] as ActorRefFrom<typeof pizza>,
        ({ event }) => event as PizzaToppedEvent,
      ),
      countReadyPizza: assign(({ context, event }) => ({
        readyCount: context.readyCount + 1,
        readyAt: Math.max(context.readyAt, (event as PizzaReadyEvent).at),
      })),
      announceReady: emit(({ context: { order_id, readyAt } }) => ({
        type: 'order.ready' as const,
        order_id,
        at: readyAt,
      })),
    },
  }).createMachine({
    id: 'order',
    context: ({ input }) => ({ order_id: input.order_id, count: 0, placedAt: 0, readyCount: 0, readyAt: 0 }),
    initial: 'new',
    states: {
      new: {
        description: 'Nobody has placed it yet',
        on: {
          'order.placed': {
            target: 'preparing',
            actions: ['spawnPizzas', 'requestPizzas'],
            description: 'Spawns a pizza actor for each pizza and asks for them',
          },
        },
      },
      preparing: {
        description: 'Some pizzas still miss toppings',
        always: { guard: 'isEveryPizzaReady', target: 'ready' },
        on: {
          'pizza.topped': { actions: 'forwardToPizza', description: 'Hands the toppings to their pizza' },
          'pizza.ready': { actions: 'countReadyPizza', description: 'One more pizza has every topping' },
        },
      },
      ready: { description: 'Every pizza has every topping', entry: 'announceReady' },
    },
  })
}

/** The order machine of our recipe. */
export const orderMachine = createOrderMachine(ourRecipe)
