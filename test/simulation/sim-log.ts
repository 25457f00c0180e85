/**
 * Simulated log: stands between a role and its memory-log. Every call takes time before and after it is done, so that a crash can
 * come between, and may fail: with nothing done, or with everything done and the answer lost.
 */
import { createClaim } from '../../src/log/claim.ts'
import {
  LogError,
  type Consumer,
  type ConsumeOptions,
  type EventLog,
  type TopicPartition,
} from '../../src/log/event-log.ts'
import type { CallFault, Faults } from './faults.ts'
import type { SimProcess } from './scheduler.ts'

export function createSimLog(log: EventLog, process: SimProcess, faults: Faults): EventLog {
  const call = async <T>(
    work: () => Promise<T>,
    refused: CallFault = 'call refused',
    lost: CallFault = 'answer lost',
  ): Promise<T> => {
    await process.step()
    if (faults.happens(refused)) throw new LogError('unavailable', 'The simulation refuses')
    const result = await work()
    await process.step()
    if (faults.happens(lost)) throw new LogError('unavailable', 'The simulation lost the answer')
    return result
  }
  const noteFenced = (error: unknown): never => {
    if (error instanceof LogError && error.code === 'fenced') faults.note('late checkpoint refused')
    throw error
  }
  const wrapConsumer = (consumer: Consumer): Consumer => ({
    ...consumer,
    commit: (positions) => call(() => consumer.commit(positions)),
  })
  const { claim } = log
  return {
    ...log,
    ...(claim && {
      async claim(at: TopicPartition) {
        const claimed = await call(() => claim(at), 'claim refused', 'claim lost')
        // A claim of its own around it: one whose answer was lost is over.
        return createClaim(at, (records) =>
          call(() => claimed.append(records).catch(noteFenced), 'snapshots refused', 'snapshots lost'),
        )
      },
    }),
    owners: (groupId) => call(() => log.owners(groupId)),
    append: (records, options) => call(() => log.append(records, options)),
    sync: () => call(() => log.sync()),
    async *read(at, range) {
      for await (const records of log.read(at, range)) yield await call(async () => records)
    },
    starts: (topics) => call(() => log.starts(topics)),
    ends: (topics) => call(() => log.ends(topics)),
    committed: (groupId, topics) => call(() => log.committed(groupId, topics)),
    async consume(options) {
      const consumer = await log.consume(wrapHandlers(options, process, faults))
      await process.step()
      return wrapConsumer(consumer)
    },
  }
}

function wrapHandlers(options: ConsumeOptions, process: SimProcess, faults: Faults): ConsumeOptions {
  const { onAssigned } = options
  return {
    ...options,
    ...(onAssigned && {
      async onAssigned(partitions) {
        await process.step()
        const assignment = await onAssigned(partitions)
        await process.step()
        return assignment
      },
    }),
    async onBatch(records) {
      await process.step()
      if (faults.happens('batch refused')) throw new Error('The simulation refuses the batch')
      await options.onBatch(records)
      await process.step()
      if (faults.happens('batch again')) throw new Error('The simulation hands the batch out again')
      if (!faults.happens('batch twice')) return
      await options.onBatch(records)
      await process.step()
    },
  }
}
