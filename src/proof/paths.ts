/**
 * Paths. Finds the ways through a model: a list of events for each, from the initial state on. Uses xstate/graph; models nothing.
 *
 * H1: a model is pure and finite: `next` depends on its arguments only, and the keys of its states are finitely many.
 * H2: a machine that spawns or invokes is no model: its children do not move without a running actor. Write its model by hand.
 */
import {
  fromTransition,
  initialTransition,
  transition,
  type AnyStateMachine,
  type EventFromLogic,
  type EventObject,
  type InputFrom,
  type SnapshotFrom,
} from 'xstate'
import { getShortestPaths, getSimplePaths } from 'xstate/graph'

export interface Model<State, Event extends EventObject> {
  readonly initial: State
  /** The events that a path may take in a state. */
  events(state: State): readonly Event[]
  next(state: State, event: Event): State
  /** States with the same key are one. */
  toKey(state: State): string
}

export interface Path<State, Event> {
  readonly events: readonly Event[]
  /** Where the path ends. */
  readonly state: State
}

export interface MachineModelOptions<Machine extends AnyStateMachine> {
  readonly machine: Machine
  readonly input?: InputFrom<Machine>
  /** Every event tried in every state; those that change nothing lead nowhere. */
  readonly events: readonly EventFromLogic<Machine>[]
  /** Default: state and context as JSON. The order of context keys then matters. */
  readonly toKey?: (snapshot: SnapshotFrom<Machine>) => string
}

/** A machine without children as its own model. */
export function toModel<Machine extends AnyStateMachine>(
  options: MachineModelOptions<Machine>,
): Model<SnapshotFrom<Machine>, EventFromLogic<Machine>> {
  const { machine, input, events } = options
  const toKey = options.toKey ?? (({ value, context }: SnapshotFrom<Machine>) => JSON.stringify([value, context]))
  const [initial] = initialTransition(machine, input as InputFrom<Machine>)
  return {
    initial,
    events: () => events,
    next: (state, event) => transition(machine, state, event)[0],
    toKey,
  }
}

/** A shortest path to every state that can be reached, the initial one included. */
export function findShortestPaths<State, Event extends EventObject>(model: Model<State, Event>): Path<State, Event>[] {
  return search(getShortestPaths, model)
}

/** Every path to every state that passes no state twice: the number of orders in which events may come, so mind its size. */
export function findSimplePaths<State, Event extends EventObject>(model: Model<State, Event>): Path<State, Event>[] {
  return search(getSimplePaths, model)
}

/** For every state and every event in it a shortest path to the state, and the event: covers each transition. */
export function findTransitionPaths<State, Event extends EventObject>(
  model: Model<State, Event>,
): Path<State, Event>[] {
  return findShortestPaths(model).flatMap(({ events, state }) =>
    model.events(state).map((event) => ({ events: [...events, event], state: model.next(state, event) })),
  )
}

type Found<State, Event> = readonly {
  readonly state: { readonly context: State }
  readonly steps: readonly { readonly event: Event }[]
}[]

function search<State, Event extends EventObject>(
  find: typeof getShortestPaths,
  { initial, events, next, toKey }: Model<State, Event>,
): Path<State, Event>[] {
  const logic = fromTransition((state: State, event: Event) => next(state, event), initial)
  const found = find(logic, {
    events: (snapshot) => events((snapshot as { context: State }).context),
    serializeState: (snapshot) => toKey((snapshot as { context: State }).context),
  }) as unknown as Found<State, Event>
  // The first step is XState's own event that starts an actor.
  return found.map(({ steps, state }) => ({ events: steps.slice(1).map(({ event }) => event), state: state.context }))
}
