/**
 * Topping service. Puts one topping on every pizza that comes by: record in, the same record with one more field out.
 * A stateless actor: it owns nothing but its position in the log, and any number of instances may run.
 *
 * T1: the choice depends on the pizza and the topping only (without a pizza id: on the input's coordinates), so doing a
 *     record twice gives the same output.
 * T2: the position moves past a record only when its output, or its dead letter, is durable.
 * T3: fields it does not know are passed on as they are.
 */
import type { ConsumeOptions, EventLog, LogRecord } from '../log/event-log.ts'
import type { Logger } from '../logger.ts'
import { choose, type Step } from '../menu.ts'
import { addTopping, assertRecordFits, parsePizza } from '../records.ts'
import { systemClock, type Clock } from './clock.ts'
import { createRoleIo } from './role-io.ts'
import { consumeSupervised } from './supervisor.ts'
import { atDeadline, type Role, type RoleReadiness } from './role.ts'

export interface ToppingServiceOptions {
  readonly log: EventLog
  readonly logger: Logger
  readonly step: Step
  readonly from: string
  readonly to: string
  readonly deadLetters: string
  readonly groupId: string
  readonly startFrom: 'earliest' | 'latest'
  readonly clock?: Clock
}

/** Starts the service of one topping. */
export async function startToppingService(options: ToppingServiceOptions): Promise<Role> {
  const { log, logger, step, from, to, deadLetters, groupId, startFrom, clock = systemClock } = options
  const { topping } = step
  const about = { role: topping, reads: 'pizzas', appends: 'pizzas' }
  const { outbox, refuse, tallies, hooks } = createRoleIo({ log, logger, clock, deadLetters, ...about })

  const top = (record: LogRecord): void => {
    try {
      outbox.put({ topic: to, key: record.key, value: topPizza(step, record) })
    } catch (error) {
      refuse(record, error)
    }
  }

  const consuming: ConsumeOptions = {
    groupId,
    topics: [from],
    startFrom,
    positions: 'group',
    onAssigned() {
      tallies.rebalances++
      return {}
    },
    ...hooks,
    onBatch: (records) => {
      for (const record of records) top(record)
      tallies.recordsTaken += records.length
      // Not before these are durable does the next batch come: what waits here is one batch at most.
      return outbox.settled()
    },
  }
  const isExcused = () => outbox.failingSince !== undefined
  const consumer = await consumeSupervised(consuming, { log, logger, role: topping, tallies, isExcused, clock })

  return {
    name: topping,
    readiness: (): RoleReadiness => {
      const reasons: string[] = []
      if (outbox.failingSince !== undefined) reasons.push(`${topping} cannot append to the log`)
      return { ready: reasons.length === 0, reasons }
    },
    stats: () => ({ tallies, outboxRecords: outbox.size, partitions: consumer.assigned() }),
    async stop(deadline) {
      atDeadline(deadline, () => {
        outbox.stop()
        consumer.abandon()
      })
      await consumer.stop()
      outbox.stop()
    },
  }
}

/** The record with its topping. @throws RecordError when it cannot be topped. */
export function topPizza({ topping, menu }: Step, record: LogRecord): string {
  const pizza = parsePizza(record.value)
  const choice = choose(menu, identify(pizza, record, topping))
  const value = addTopping(record.value!, pizza, topping, choice)
  assertRecordFits(record.key, value)
  return value
}

function identify(pizza: { order_id: string; pizza_id?: number | undefined }, at: LogRecord, topping: string): string {
  if (pizza.pizza_id !== undefined) return `${pizza.order_id}/${pizza.pizza_id}/${topping}`
  return `${at.topic}/${at.partition}/${at.offset}/${topping}`
}
