/** Dead letter service: what the HTTP side may ask about dead letters. It knows those that the list knows (dead-letter-list.ts, K1). */
import { LogError, type EventLog } from '../log/event-log.ts'
import { createDeadLetterDesk } from './dead-letter-desk.ts'
import type { DeadLetterList, DeadLetterRow } from './dead-letter-list.ts'
import { toRecordJson, type RecordJson } from './dead-letter-record.ts'
import { parseLetterId } from './dead-letters.ts'
import { OrdersError } from './orders.ts'

export interface DeadLetterQuery {
  readonly reason?: string
  readonly role?: string
  /** The id of the last dead letter of the page before. */
  readonly after?: string
  readonly limit: number
}

export interface DeadLetterPage {
  /** Newest first. */
  readonly dead_letters: readonly DeadLetterRow[]
  /** Give as `after` for the next page; `null` on the last. */
  readonly next: string | null
}

export interface DeadLetters {
  /** @throws OrdersError `bad-cursor` for an `after` that is not one, `unavailable`. */
  page(query: DeadLetterQuery): Promise<DeadLetterPage>
  /** A dead letter with its record; `undefined` when it is not known. @throws OrdersError `unavailable`. */
  find(id: string): Promise<{ readonly dead_letter: DeadLetterRow; readonly record: RecordJson } | undefined>
}

/** Creates the service over the list that the page shows, too. */
export function createDeadLetterService(log: EventLog, topic: string, list: DeadLetterList): DeadLetters {
  return {
    page: ({ reason, role, after, limit }) =>
      whileAvailable(async () => {
        const { rows } = await list.look()
        const from = after === undefined ? 0 : rows.findIndex(({ id }) => id === after) + 1
        if (after !== undefined && from === 0) {
          throw new OrdersError(
            'bad-cursor',
            'Give `next` of the page before as `after`, or leave it out to begin with the newest.',
          )
        }
        const isWanted = (row: DeadLetterRow): boolean =>
          (reason === undefined || row.reason === reason) && (role === undefined || row.role === role)
        const wanted = rows.slice(from).filter(isWanted)
        const dead_letters = wanted.slice(0, limit)
        return { dead_letters, next: wanted.length > limit ? dead_letters.at(-1)!.id : null }
      }),
    find: (id) =>
      whileAvailable(async () => {
        const dead_letter = (await list.look()).rows.find((row) => row.id === id)
        const place = parseLetterId(id)
        if (dead_letter === undefined || place === undefined) return undefined
        const desk = createDeadLetterDesk(log, topic)
        const letter = await desk.find(place)
        if (letter === undefined) return undefined
        return { dead_letter, record: toRecordJson(letter, await desk.findOriginal(letter)) }
      }),
  }
}

async function whileAvailable<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof LogError)) throw error
    throw new OrdersError('unavailable', 'The log does not answer; try again in a moment.', { cause: error })
  }
}
