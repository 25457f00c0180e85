/**
 * Marked log: a log as it looks when every append is a transaction of its own: behind each record stands a marker, which takes an offset
 * and is handed to nobody. Stands between a role and its log; record `n` of the log below is at offset `2n`, its marker at `2n + 1`.
 */
import { setPosition, type MutablePositions } from '../../src/actors/positions.ts'
import type { ConsumeOptions, EventLog, LogRecord, Positions } from '../../src/log/event-log.ts'

const below = (offset: number): number => Math.ceil(offset / 2)
const above = (offset: number): number => 2 * offset
const raise = (record: LogRecord): LogRecord => ({ ...record, offset: above(record.offset) })

function map(positions: Positions, to: (offset: number) => number): Positions {
  return new Map(
    [...positions].map(([topic, ofTopic]) => [
      topic,
      new Map([...ofTopic].map(([partition, at]) => [partition, to(at)])),
    ]),
  )
}

/** Marks a log without claims. */
export function markLog({ claim: _none, ...log }: EventLog): EventLog {
  const raiseEnds = (ends: Map<string, number[]>) => new Map([...ends].map(([topic, at]) => [topic, at.map(above)]))
  return {
    ...log,
    append: async (records, options) =>
      (await log.append(records, options)).map((at) => ({ ...at, offset: above(at.offset) })),
    async consume(options) {
      const consumer = await log.consume(toMarked(options))
      return { ...consumer, commit: (positions) => consumer.commit(map(positions, below)) }
    },
    async *read(at, { from, to }) {
      for await (const page of log.read(at, { from: below(from), to: below(to) })) yield page.map(raise)
    },
    starts: async (topics) => raiseEnds(await log.starts(topics)),
    ends: async (topics) => raiseEnds(await log.ends(topics)),
    committed: async (groupId, topics) => map(await log.committed(groupId, topics), above),
  }
}

/** One callback at a time: whoever begins at a marker is told of it when `onAssigned` is over. */
function toMarked(options: ConsumeOptions): ConsumeOptions {
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(call: () => T | Promise<T>): Promise<T> => {
    const next = last.then(call)
    last = next.catch(() => {})
    return next
  }
  return {
    ...options,
    onAssigned: (partitions) =>
      inTurn(async () => {
        const { positions, ...assignment } = (await options.onAssigned?.(partitions)) ?? {}
        if (positions === undefined) return assignment
        void inTurn(() => options.onPassed?.(map(positions, (offset) => above(below(offset)))))
        return { ...assignment, positions: map(positions, below) }
      }),
    onRevoked: (partitions) => inTurn(() => options.onRevoked?.(partitions)),
    onBatch: (records) =>
      inTurn(async () => {
        await options.onBatch(records.map(raise))
        const passed: MutablePositions = new Map()
        for (const { topic, partition, offset } of records) setPosition(passed, topic, partition, above(offset + 1))
        await options.onPassed?.(passed)
      }),
  }
}
