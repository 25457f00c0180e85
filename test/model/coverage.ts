/** Coverage of a machine: which of its states were entered and which of its transitions were taken, by actors that ran. */
import type { AnyStateMachine, AnyTransitionDefinition, InspectionEvent } from 'xstate'

export interface Coverage {
  /** Give it to `createActor`. */
  readonly inspect: (event: InspectionEvent) => void
  /** States and transitions of a machine that were not covered. */
  missing(machine: AnyStateMachine): string[]
  /** How many states and transitions a machine has. */
  total(machine: AnyStateMachine): number
}

export function createCoverage(): Coverage {
  const covered = new Set<string>()
  return {
    inspect(event) {
      if (event.type === '@xstate.microstep') {
        for (const taken of event._transitions) covered.add(nameTransition(taken))
      }
      if (event.type !== '@xstate.snapshot' && event.type !== '@xstate.microstep') return
      const { snapshot } = event
      if ('machine' in snapshot && 'value' in snapshot)
        covered.add(`${(snapshot.machine as AnyStateMachine).id}.${String(snapshot.value)}`)
    },
    missing: (machine) => allOf(machine).filter((name) => !covered.has(name)),
    total: (machine) => allOf(machine).length,
  }
}

function allOf(machine: AnyStateMachine): string[] {
  return Object.values(machine.states).flatMap((node) => [
    node.id,
    ...[...node.transitions.values()].flat().map(nameTransition),
    ...(node.always ?? []).map(nameTransition),
  ])
}

function nameTransition({ source, eventType, target }: AnyTransitionDefinition): string {
  return `${source.id} on ${eventType === '' ? 'always' : eventType} to ${target?.map(({ id }) => id).join() ?? 'itself'}`
}
