/**
 * Frames: an order and its pizzas in the words of `@statelyai/inspect`: the actors with their latest snapshots, then each event
 * and the snapshot after it.
 *
 * A shadow of the order is folded from its journal and follows it; the order itself is not touched, so a passivated one stays
 * asleep and the event path costs nothing, watched or not. What is told is durable.
 *
 * F1: the stock converter makes every frame, so the shapes are those of the installed package.
 * F2: the next event is taken when the reader has taken the frames of the one before: nothing piles up for a slow reader.
 */
import { createInspector, type StatelyInspectionEvent } from '@statelyai/inspect'
import { setTimeout as delay } from 'node:timers/promises'
import { createActor, type AnyActorRef, type InspectionEvent } from 'xstate'
import type { OrderMachine } from '../actors/live-order.ts'
import type { HistoryEntry, OrderEvent, Orders } from '../actors/orders.ts'
import type { OrderMachineEvent } from '../machines/order.machine.ts'

export type Frame = StatelyInspectionEvent

/** Takes a frame; resolves with false when the reader has gone or takes too long. */
export type FrameSink = (frame: Frame) => Promise<boolean>

export interface FramesOptions {
  readonly orders: Orders
  readonly machine: OrderMachine
  readonly orderId: string
  readonly sink: FrameSink
}

/** The snapshot of an order names all its pizzas: from this many on it is told only when the order's state changes. */
const pizzasToldMax = 100

/** Tells an order's frames until the order is ready, the reader goes or the signal aborts. @returns false for an unknown order. */
export async function tellFrames(options: FramesOptions, signal: AbortSignal): Promise<boolean> {
  const { orders, machine, orderId, sink } = options
  const order = await orders.get(orderId)
  const history = order && (await orders.history(orderId))
  if (order === undefined || history === undefined) return false

  const frames: Frame[] = []
  const inspector = createInspector({ send: (frame) => frames.push(frame) })
  let isTold = false
  const convert = createFilter(order.count, (event) => inspector.inspect.next?.(event))
  const shadow = createActor(machine, {
    input: { order_id: orderId },
    inspect: (event) => {
      if (isTold) convert(event)
    },
  })
  shadow.start()
  for (const entry of history) shadow.send(toEvent(entry, order.count))
  isTold = true

  const flush = async (): Promise<boolean> => {
    // The converter waits for an idle moment; timers come in the order in which they were set.
    await delay(0)
    for (const frame of frames.splice(0)) if (!(await sink(frame))) return false
    return !signal.aborted
  }
  const rootId = shadow.sessionId
  for (const actorRef of [shadow, ...childrenOf(shadow)]) {
    inspector.inspect.next?.({ type: '@xstate.actor', actorRef, rootId })
  }
  let isOpen = await flush()
  if (!isOpen || order.status === 'ready') return true
  for await (const event of orders.watch({ orderId }, signal)) {
    const version = Number(event.data['version'])
    if (event.type === 'order.ready' || version <= history.length) continue
    shadow.send(toEvent(toEntry(event), order.count))
    isOpen = await flush()
    if (!isOpen) break
  }
  return true
}

function createFilter(count: number, tell: (event: InspectionEvent) => void): (event: InspectionEvent) => void {
  if (count <= pizzasToldMax) return tell
  let told: unknown
  return (event) => {
    const isOfOrder = event.type === '@xstate.snapshot' && event.actorRef.sessionId === event.rootId
    const { value } = (isOfOrder ? event.snapshot : {}) as { value?: unknown }
    if (isOfOrder && value === told) return
    if (isOfOrder) told = value
    tell(event)
  }
}

function childrenOf(actor: AnyActorRef): AnyActorRef[] {
  const { children } = actor.getSnapshot() as { children: Record<string, AnyActorRef> }
  return Object.values(children)
}

type EntryData = Pick<HistoryEntry, 'event' | 'pizza_id' | 'topping' | 'choice' | 'at'>

function toEvent({ event, pizza_id, topping, choice, at: instant }: EntryData, count: number): OrderMachineEvent {
  const at = new Date(instant).getTime()
  if (event === 'order.placed') return { type: 'order.placed', count, at }
  return { type: 'pizza.topped', pizza_id: pizza_id!, toppings: { [topping!]: choice! }, at }
}

function toEntry({ type, data }: OrderEvent): EntryData {
  return { ...(data as unknown as EntryData), event: type as EntryData['event'] }
}
