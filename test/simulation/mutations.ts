/**
 * Mutations. Programs with one rule broken, to show that the simulation finds such bugs. Each is made by what it puts around the log
 * or the store; the program itself has no switch for it. Those of hosts that share the partitions are in host-mutations.ts.
 */
import type { AppendRecord, Coordinates, EventLog, LogRecord, Positions } from '../../src/log/event-log.ts'
import { hostMutations } from './host-mutations.ts'
import type { Mutation } from './mutation.ts'
import type { SimProcess } from './scheduler.ts'

/** What an append answers when nobody waits for it. */
const nowhere = (records: readonly AppendRecord[]): Coordinates[] =>
  records.map(({ topic }) => ({ topic, partition: 0, offset: 0 }))

const only =
  (role: string, change: (log: EventLog, process: SimProcess) => EventLog): NonNullable<Mutation['log']> =>
  (log, running, process) =>
    running === role ? change(log, process) : log

/** What customers order is no output of the role that takes it. */
const isOutput = (records: readonly AppendRecord[]): boolean => records.every(({ topic }) => topic !== 'orders')

/** Appends later, and says at once that it is done. */
const appendLater = (log: EventLog, process: SimProcess): EventLog => ({
  ...log,
  append(records, options) {
    if (!isOutput(records)) return log.append(records, options)
    const write = (): void => void log.append(records, options).catch(() => process.schedule(write, 20))
    process.schedule(write, 20)
    return Promise.resolve(nowhere(records))
  },
})

const swallowFailures = (log: EventLog): EventLog => ({
  ...log,
  append(records, options) {
    const appended = log.append(records, options)
    return isOutput(records) ? appended.catch(() => nowhere(records)) : appended
  },
})

const mapBatches =
  (map: (record: LogRecord) => LogRecord) =>
  (log: EventLog): EventLog => ({
    ...log,
    consume: (options) =>
      log.consume({ ...options, onBatch: (records) => options.onBatch(records.map((record) => map(record))) }),
  })

const endsAtZero = (log: EventLog): EventLog => ({
  ...log,
  ends: async (topics) => new Map([...(await log.ends(topics))].map(([topic, ends]) => [topic, ends.map(() => 0)])),
})

/** A program that forgets the pizza's id counts every record. */
function withoutPizzaId(record: LogRecord): LogRecord {
  try {
    const { pizza_id: _, ...rest } = JSON.parse(String(record.value)) as Record<string, unknown>
    return { ...record, value: Buffer.from(JSON.stringify(rest)) }
  } catch {
    return record
  }
}

const nothing: Positions = new Map()

/** Writes a little later, as often as it takes. */
function writeLater(process: SimProcess, write: () => unknown): void {
  process.schedule(() => {
    try {
      write()
    } catch {
      writeLater(process, write)
    }
  }, 5)
}

export const mutations: readonly Mutation[] = [
  { name: 'the order host moves positions before its outputs are durable', log: only('orders', appendLater) },
  { name: 'a topping moves positions before its outputs are durable', log: only('meats', appendLater) },
  { name: 'a topping takes a failed append for done', log: only('sauce', swallowFailures) },
  { name: 'the order host takes a failed append for done', log: only('orders', swallowFailures) },
  {
    name: 'a topping does not wait for its outputs',
    log: only('cheese', (log) => ({
      ...log,
      consume: (options) =>
        log.consume({
          ...options,
          onBatch: (records) => void Promise.resolve(options.onBatch(records)).catch(() => {}),
        }),
    })),
  },
  { name: 'the reporter counts every record', log: only('cheese-reporter', mapBatches(withoutPizzaId)) },
  {
    name: 'the reporter forgets in a crash which pizzas it counted',
    reportStore: (store) => ({ ...store, counted: () => undefined }),
  },
  {
    name: 'the reporter writes its positions before its counts, not with them',
    reportStore: (store, process) => ({
      ...store,
      checkpoint(checkpoint) {
        store.checkpoint({ ...checkpoint, counts: new Map(), counted: new Map() })
        writeLater(process, () => store.checkpoint({ ...checkpoint, positions: nothing }))
      },
    }),
  },
  {
    name: 'a deleted store reads on where the group was',
    log: only('orders', (log) => ({
      ...log,
      async consume(options) {
        const positions = async (): Promise<Positions> => log.committed(options.groupId, options.topics)
        const onAssigned: typeof options.onAssigned = async (partitions) => ({
          ...(await options.onAssigned?.(partitions)),
          positions: await positions(),
        })
        return log.consume({ ...options, onAssigned })
      },
    })),
  },
  {
    name: 'positions are written before the snapshots, not with them',
    orderStore: (store, process) => ({
      ...store,
      checkpoint(checkpoint) {
        store.checkpoint({ ...checkpoint, orders: [] })
        writeLater(process, () => store.checkpoint({ ...checkpoint, positions: nothing }))
        return []
      },
    }),
  },
  {
    name: 'a checkpoint that the disk refused is taken for written',
    orderStore: (store) => ({
      ...store,
      checkpoint(checkpoint) {
        try {
          return store.checkpoint(checkpoint)
        } catch {
          return []
        }
      },
    }),
  },
  {
    name: 'held records are not written down',
    orderStore: (store) => ({ ...store, checkpoint: (c) => store.checkpoint({ ...c, held: [] }) }),
  },
  { name: 'toppings do not wait for their orders', log: only('orders', endsAtZero) },
  {
    name: 'readers are answered before the host has caught up',
    host: (host) => ({
      ...host,
      gate: { ...host.gate, isCurrent: () => true, whenCurrent: () => Promise.resolve(true) },
    }),
  },
  {
    name: 'dead letters are dropped',
    log: (log) => ({
      ...log,
      append: async (records, options) =>
        log.append(
          records.filter(({ topic }) => topic !== 'dead-letters'),
          options,
        ),
    }),
  },
  {
    name: 'a feed that is resumed misses a chunk',
    orderStore(store) {
      let isFirst = true
      return {
        ...store,
        journalAfter(after, limit) {
          // The chunk at the position has been told; the one after it is missed.
          const from = isFirst && after > 0 ? after + 2 : after
          isFirst = false
          return store.journalAfter(from, limit)
        },
      }
    },
  },
  {
    name: 'a passivated order comes back as it was one checkpoint before',
    orderStore(store) {
      const before = new Map<string, ReturnType<typeof store.load>>()
      return {
        ...store,
        load: (orderId) => before.get(orderId) ?? store.load(orderId),
        checkpoint(checkpoint) {
          for (const { order_id } of checkpoint.orders) before.set(order_id, store.load(order_id))
          return store.checkpoint(checkpoint)
        },
      }
    },
  },
  ...hostMutations,
]
