/**
 * Role I/O: what every role has around its work: an outbox, what becomes of bad records, and for each trouble with the log a line
 * and a count.
 */
import type { ConsumeOptions, EventLog, LogRecord } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import type { Clock } from './clock.ts'
import { createRefusal } from './dead-letters.ts'
import { createOutbox, type Outbox } from './outbox.ts'
import { createTallies, tallyReadFailure, type Tallies } from './tallies.ts'

export interface RoleIoOptions {
  readonly log: EventLog
  readonly logger: Logger
  readonly clock: Clock
  readonly role: string
  /** The topic of the dead letters. */
  readonly deadLetters: string
  /** What it reads and what it appends, for the lines: `pizzas`. */
  readonly reads: string
  readonly appends: string
}

export interface RoleIo {
  readonly outbox: Outbox
  readonly tallies: Tallies
  /** Makes a record a dead letter. */
  readonly refuse: (record: LogRecord, error: unknown) => void
  /** For the role's consumer; its `onAssigned` counts by itself. */
  readonly hooks: Required<Pick<ConsumeOptions, 'onRevoked' | 'onError'>>
}

/** Creates an empty outbox with everything that tells of it. */
export function createRoleIo(options: RoleIoOptions): RoleIo {
  const { log, logger, clock, role, deadLetters, reads, appends } = options
  const tallies = createTallies()
  const outbox = createOutbox({
    log,
    clock,
    onError(error, attempt) {
      tallies.appendFailures++
      logger.warn({ err: error, role, attempt }, `Cannot append ${appends}; trying again`)
    },
  })
  return {
    outbox,
    tallies,
    refuse: createRefusal({ role, topic: deadLetters, logger, outbox, tallies }),
    hooks: {
      onRevoked() {
        tallies.rebalances++
      },
      onError(error) {
        tallyReadFailure(tallies, error)
        logger.warn({ err: error, role }, `Cannot read ${reads}; trying again`)
      },
    },
  }
}
