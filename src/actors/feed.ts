/**
 * Feed: what happened to orders, as a stream that a reader can leave and resume. It is the journal told aloud: an event is told
 * only once its checkpoint is durable, so what was told never un-happens.
 *
 * F1: ids only grow, and resuming repeats and skips nothing. Of all orders they are `epoch.seq.index` (store's life, journal
 *     chunk, place in it); of one order `v` and its version, so that they hold with any owner and after a rebuild.
 * F2: a reader that lags reads pages from the store: nothing is buffered for it.
 * F3: the stream of one order ends when its partition goes to another owner: resumed there, it goes on with the next event.
 */
import type { JournalEntry } from './order-envelope.ts'
import { placeKey } from '../log/placement.ts'
import type { OrderHost } from './order-host.ts'
import type { JournalChunk, OrderStore } from './order-store.ts'
import { toInstant } from './order-view.ts'
import { OrdersError, type OrderEvent } from './orders.ts'

/** Journal chunks read at once for one reader. */
const pageChunksMax = 200

export interface Feed {
  watch(query: { orderId?: string; after?: string }, signal: AbortSignal): AsyncIterable<OrderEvent>
}

/** Creates the feed of a store that `host` writes. */
export function createFeed(
  store: OrderStore,
  host: Pick<OrderHost, 'checkpointer' | 'gate' | 'onReady'>,
  partitions: number,
): Feed {
  const isHere = (orderId: string): boolean => host.gate.has(placeKey(orderId, partitions))
  const woken = (signal: AbortSignal, orderId?: string): Promise<void> =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const wake = (): void => {
        withdraw()
        forget()
        signal.removeEventListener('abort', wake)
        resolve()
      }
      // It tells of partitions that go, too.
      const forget = orderId === undefined ? () => {} : host.onReady(orderId, wake)
      const withdraw = host.checkpointer.onWritten((chunks) => {
        const isTold = orderId === undefined ? chunks.length > 0 : chunks.some(({ order_id }) => order_id === orderId)
        if (isTold) wake()
      })
      signal.addEventListener('abort', wake)
    })

  async function* watchAll(from: Cursor, signal: AbortSignal): AsyncGenerator<OrderEvent> {
    let at = from
    while (!signal.aborted) {
      const chunks = store.journalAfter(at.seq - 1, pageChunksMax)
      if (chunks.length === 0) await woken(signal)
      for (const chunk of chunks) {
        const { seq } = chunk
        const first = seq === at.seq ? at.index + 1 : 0
        yield* toEvents(chunk, first, (index) => `${store.epoch}.${seq}.${index}`)
        at = { seq: seq + 1, index: -1 }
      }
    }
  }

  /** Tells what comes after `told`: versions, and one more than the last of them for `order.ready`. */
  async function* watchOrder(orderId: string, told: number, signal: AbortSignal): AsyncGenerator<OrderEvent> {
    let next = told + 1
    while (!signal.aborted && isHere(orderId)) {
      const chunks = store.journal(orderId).filter((chunk) => endOf(chunk) > next)
      if (chunks.length === 0) {
        if (store.load(orderId)?.status === 'ready') return
        await woken(signal, orderId)
      }
      for (const chunk of chunks) {
        const { firstVersion, status } = chunk
        yield* toEvents(chunk, Math.max(0, next - firstVersion), (index) => `v${firstVersion + index}`)
        next = endOf(chunk)
        if (status === 'ready') return
      }
    }
  }

  return {
    watch({ orderId, after }, signal) {
      if (orderId !== undefined) return watchOrder(orderId, after === undefined ? 0 : parseVersion(after), signal)
      const resumed = after === undefined ? undefined : parseId(after, store.epoch)
      return watchAll(resumed ?? { seq: store.lastSeq() + 1, index: -1 }, signal)
    },
  }
}

/** The next event to tell is the one after `index` in chunk `seq`. */
interface Cursor {
  readonly seq: number
  readonly index: number
}

/**
 * Reads an event's id, or those of several hosts joined by `~`: each takes its own.
 * @returns `undefined` when none is of this store, or of it before a rebuild: the reader then begins anew.
 */
function parseId(ids: string, epoch: string): Cursor | undefined {
  let found: Cursor | undefined
  for (const id of ids.split('~')) {
    const match = /^([0-9a-f]{8})\.(\d{1,15})\.(\d{1,15})$/.exec(id)
    if (match === null) throw badCursor('begin with live events')
    if (match[1] === epoch) found = { seq: Number(match[2]), index: Number(match[3]) }
  }
  return found
}

/** The version in an event's id of one order. */
function parseVersion(id: string): number {
  const match = /^v(\d{1,9})$/.exec(id)
  if (match === null) throw badCursor("begin with the order's first event")
  return Number(match[1])
}

function badCursor(what: string): OrdersError {
  return new OrdersError('bad-cursor', `The Last-Event-ID is not one this stream gave: leave it out to ${what}.`)
}

/** The number after the last thing a chunk tells: its events, and that the order is ready. */
function endOf({ firstVersion, entries, status }: JournalChunk): number {
  return firstVersion + entries.length + (status === 'ready' ? 1 : 0)
}

function* toEvents(chunk: JournalChunk, first: number, toId: (index: number) => string): Generator<OrderEvent> {
  const { order_id, firstVersion, entries, status } = chunk
  for (let index = first; index < entries.length; index++) {
    yield toEvent(toId(index), order_id, firstVersion + index, entries[index]!)
  }
  if (status !== 'ready' || first > entries.length) return
  const data = { order_id, version: firstVersion + entries.length - 1 }
  yield { id: toId(entries.length), type: 'order.ready', order_id, data }
}

function toEvent(id: string, order_id: string, version: number, entry: JournalEntry): OrderEvent {
  const { topic, partition, offset, at, pizza, count } = entry
  const where = { topic, partition, offset, at: toInstant(at) }
  if (pizza === null) return { id, type: 'order.placed', order_id, data: { order_id, version, count, ...where } }
  return { id, type: 'pizza.topped', order_id, data: { order_id, version, ...pizza, ...where } }
}
