/**
 * Walk of a rehearsal: one order's actor under a candidate, other machines than those that wrote it.
 *
 * A1: a candidate gets copies, and what it emits goes nowhere: nothing it does reaches the shop.
 * A2: a walk ends: no timer fires, and a machine that never comes to rest is stopped by an error.
 */
import { createActor, type AnyActorRef, type InspectionEvent } from 'xstate'
import type { MachineVersions } from '../machines/migrations.ts'
import { pizzaKey as ourPizzaKey, type OrderMachineEvent } from '../machines/order.machine.ts'
import type { Recipe } from '../menu.ts'
import type { OrderActor, OrderMachine } from './live-order.ts'
import { toXStateSnapshot, type OrderSnapshot } from './order-envelope.ts'
import type { StoredOrder } from './order-store.ts'
import { toOrderView } from './order-view.ts'
import type { OrderView } from './orders.ts'
import { toPlain, type AnySnapshot } from './snapshot-difference.ts'

/** The machines to try, with what belongs to them. */
export interface Candidate extends MachineVersions {
  readonly machine: OrderMachine
  readonly recipe: Recipe
  /** The name under which its orders spawn a pizza. */
  readonly pizzaKey: (pizza_id: number) => string
}

/** One order's actor under a candidate. */
export interface Walk {
  readonly actor: OrderActor
  readonly emitted: readonly { readonly type: string; readonly count?: number }[]
  /** @returns whether the event changed anything. @throws what the machine throws. */
  send(event: OrderMachineEvent): boolean
  persist(): AnySnapshot
  /** What GET would answer. */
  show(): OrderView
}

/** Timers never fire: a machine that needs one is stuck, which is what it would be after a restart. */
const noClock = { setTimeout: () => 0, clearTimeout() {} }

/** Events inside an order that one event from outside may cause, for each of its pizzas. */
const innerEventsMax = 100

/** Starts an order's actor, from a snapshot or from nothing. @throws what the machine throws. */
export function startWalk(
  { machine, pizzaKey }: Candidate,
  { order_id, count }: Pick<StoredOrder, 'order_id' | 'count'>,
  snapshot?: OrderSnapshot,
): Walk {
  const emitted: { type: string; count?: number }[] = []
  let innerEvents = 0
  // A machine that sends to a child that is not there sends to itself, and for ever.
  const inspect = ({ type }: InspectionEvent): void => {
    if (type !== '@xstate.event' && type !== '@xstate.microstep') return
    if (++innerEvents > innerEventsMax * (count + 1)) throw new Error('it never comes to rest')
  }
  const options = { input: { order_id }, logger() {}, clock: noClock, inspect }
  const actor = createActor(machine, { ...options, ...(snapshot && { snapshot: toXStateSnapshot(snapshot) }) })
  actor.on('*', (event) => void emitted.push(event))
  actor.subscribe({ error() {} })
  actor.start()
  const look = () => {
    const now = actor.getSnapshot()
    if (now.status === 'error') throw now.error
    return now
  }
  /** An error in a restored pizza stays with it. */
  const lookAtPizzas = () => {
    for (const child of Object.values(look().children)) {
      const pizza = (child as AnyActorRef).getSnapshot() as { status?: string; error?: unknown }
      if (pizza.status === 'error') throw pizza.error
    }
  }
  const childOf = (event: OrderMachineEvent): unknown => {
    if (event.type !== 'pizza.topped') return undefined
    return (look().children[pizzaKey(event.pizza_id)] as AnyActorRef | undefined)?.getSnapshot()
  }
  lookAtPizzas()
  return {
    actor,
    emitted,
    send(event) {
      const [order, pizza] = [look(), childOf(event)]
      innerEvents = 0
      actor.send(event)
      return look() !== order || childOf(event) !== pizza
    },
    persist: () => toPlain(actor.getPersistedSnapshot()),
    show() {
      const plain = actor.getPersistedSnapshot() as unknown as OrderSnapshot
      const children: Record<string, OrderSnapshot['children'][string]> = {}
      for (let pizza_id = 1; pizza_id <= count; pizza_id++) {
        const child = plain.children[pizzaKey(pizza_id)]
        if (child === undefined) throw new Error(`it has no child ${pizzaKey(pizza_id)}`)
        children[ourPizzaKey(pizza_id)] = child
      }
      return toOrderView({ ...plain, children }, 0)
    },
  }
}
