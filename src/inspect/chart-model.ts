/**
 * Chart model: what there is to draw of a machine, read from the machine itself. Plain JSON, so that it can go to a worker and
 * to a browser. Pure.
 *
 * A transition that leaves its state is an edge. One that stays is a line within its state, where it is read more easily.
 */
import type { AnyStateMachine, AnyStateNode } from 'xstate'

export interface Chart {
  /** The machine's id. */
  readonly id: string
  readonly states: readonly ChartState[]
  readonly edges: readonly ChartEdge[]
}

export interface ChartState {
  /** Unique in the chart, as XState writes it: `pizza.sauce`. */
  readonly id: string
  readonly name: string
  readonly description: string
  readonly isInitial: boolean
  readonly isFinal: boolean
  /** Actions done on entry. */
  readonly entry: readonly string[]
  /** Every event the state reacts to: those that stay in it and those that leave it. */
  readonly events: readonly ChartEvent[]
  readonly states: readonly ChartState[]
}

export interface ChartEvent {
  /** Empty for a transition that is taken by itself when its guard is true. */
  readonly event: string
  readonly guard: string
  readonly actions: readonly string[]
  readonly description: string
  /** Ids of the states it leads to; empty when it stays. */
  readonly targets: readonly string[]
}

export interface ChartEdge {
  readonly from: string
  readonly to: string
  readonly event: string
  readonly guard: string
}

/** Reads the chart of a machine. */
export function toChart(machine: AnyStateMachine): Chart {
  const states = toStates(machine.root)
  return { id: machine.id, states, edges: states.flatMap(toEdges) }
}

function toStates(parent: AnyStateNode): ChartState[] {
  const initial = new Set(parent.initial?.target.map(({ id }) => id))
  return Object.values(parent.states).map((node) => ({
    id: node.id,
    name: node.key,
    description: node.description ?? '',
    isInitial: initial.has(node.id),
    isFinal: node.type === 'final',
    entry: node.entry.map(toName),
    events: toEvents(node),
    states: toStates(node),
  }))
}

function toEvents(node: AnyStateNode): ChartEvent[] {
  const transitions = [...[...node.transitions.values()].flat(), ...(node.always ?? [])]
  return transitions.map(({ eventType, guard, actions, description, target = [] }) => ({
    event: String(eventType),
    guard: guard === undefined ? '' : toName(guard),
    actions: actions.map(toName),
    description: description ?? '',
    targets: target.map(({ id }) => id),
  }))
}

function toEdges(state: ChartState): ChartEdge[] {
  const own = state.events.flatMap(({ event, guard, targets }) =>
    targets.map((to) => ({ from: state.id, to, event, guard })),
  )
  return [...own, ...state.states.flatMap(toEdges)]
}

/** The name of a guard or an action, with the values of its parameters: `hasTopping sauce`. */
function toName(part: unknown): string {
  if (typeof part === 'string') return part
  if (typeof part === 'function') return part.name || 'inline'
  const { type, params } = part as { type: string; params?: unknown }
  if (typeof params !== 'object' || params === null) return type
  return [type, ...Object.values(params).map(String)].join(' ')
}
