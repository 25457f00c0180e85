/**
 * Machine subject. Any XState machine as the subject of a crash proof: what survives a crash is its persisted snapshot as JSON, and
 * what it emitted before.
 */
import {
  createActor,
  type AnyActor,
  type AnyStateMachine,
  type EventFromLogic,
  type InputFrom,
  type Snapshot,
} from 'xstate'
import type { Subject } from './crashes.ts'

/**
 * What comes again after a crash. `nothing`: the snapshot and the position in the log were written together. `everything`: as a log
 * that is read again from its beginning; only a machine that ignores duplicates survives it.
 */
export type Repeat = 'nothing' | 'everything'

export interface MachineSubjectOptions<Machine extends AnyStateMachine> {
  readonly name: string
  readonly machine: Machine
  readonly input?: InputFrom<Machine>
  readonly repeat?: Repeat
}

/** Makes a machine a subject. */
export function toSubject<Machine extends AnyStateMachine>(
  options: MachineSubjectOptions<Machine>,
): Subject<EventFromLogic<Machine>> {
  const { name, machine, input, repeat = 'nothing' } = options
  const begin = (emitted: unknown[], snapshot?: Snapshot<unknown>): AnyActor => {
    const actor: AnyActor = createActor(machine as AnyStateMachine, { input, ...(snapshot && { snapshot }) })
    actor.on('*', (event: unknown) => void emitted.push(event))
    // Without it a throw in the machine is an uncaught exception; with it the walk shows the status `error`.
    actor.subscribe({ error() {} })
    return actor.start()
  }
  return {
    name,
    start() {
      const emitted: unknown[] = []
      const sent: EventFromLogic<Machine>[] = []
      let actor = begin(emitted)
      const persist = (): string => JSON.stringify(actor.getPersistedSnapshot())
      return {
        send(event) {
          sent.push(event)
          actor.send(event)
        },
        crash() {
          actor = begin(emitted, JSON.parse(persist()) as Snapshot<unknown>)
          if (repeat === 'everything') for (const event of sent) actor.send(event)
        },
        observe: () => JSON.stringify([JSON.parse(persist()), emitted]),
      }
    },
  }
}
