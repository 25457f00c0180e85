/**
 * Shared orders: the orders of all hosts as one. A list is merged from what each host owns, a stream of all events from the streams of
 * all. What is about one order is answered by its owner (forward.ts) and passes through here untouched.
 *
 * M1: a list is whole: each partition is asked of one host that owns it at that moment, or the call fails with `behind`.
 * M2: an event's id names where each host's stream was, joined by `~`; each host takes up its own when the stream is resumed.
 * M3: a host that joins is heard from its next event on; events of an order that moved meanwhile are in its history.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Peers } from '../actors/peers.ts'
import { OrdersError, type OrderEvent, type OrderPage, type Orders, type OrderSummary } from '../actors/orders.ts'
import { readEvents } from './sse-reader.ts'

export interface SharedOrdersOptions {
  /** Of this host alone. */
  readonly own: Orders
  readonly peers: Peers
  /** How long a whole list is tried for (default 5,000). */
  readonly patienceMs?: number
}

type ListQuery = Parameters<Orders['list']>[0]

const againMs = 50
const partTimeoutMs = 6_000
/** How soon a host that joined is heard. */
const lookMs = 500
/** Events that wait for a slow reader before hosts are asked for no more. */
const queueMax = 100
/** An id must fit into a header: beyond these the hosts that were silent longest are left out. */
const idPartsMax = 16

/** Creates what answers for all hosts. */
export function createSharedOrders(options: SharedOrdersOptions): Orders {
  const { own, peers, patienceMs = 5_000 } = options
  return {
    ...own,
    async list(query) {
      const dueAt = performance.now() + patienceMs
      for (let fresh = false; performance.now() < dueAt; fresh = true) {
        const parts = await askAll(options, query, fresh)
        if (parts !== undefined) return merge(parts, query.limit)
        await sleep(againMs)
      }
      throw new OrdersError('behind', 'Orders are moving from one instance to another. Try again shortly.', {
        retryAfterS: 1,
      })
    },
    watch: (query, signal) =>
      query.orderId === undefined ? watchAll(options, query, signal) : own.watch(query, signal),
    readiness() {
      const { ready, reasons } = own.readiness()
      const missing = peers.missing()
      // A host without partitions stands by, and sends what it is asked on to their owners.
      const others =
        missing.length < peers.partitions
          ? reasons.filter((reason) => !/waits for its partitions/.test(reason))
          : reasons
      if (missing.length === 0 || missing.length === peers.partitions)
        return { ready: ready || others.length === 0, reasons: others }
      return { ready: false, reasons: [...others, `Nobody has the orders of partitions ${missing.join(', ')} yet`] }
    },
  }
}

/** @returns the page of every host, or nothing when some partition could not be had. */
async function askAll({ own, peers }: SharedOrdersOptions, query: ListQuery, fresh: boolean) {
  const mine = await peers.mine({ fresh })
  const others = mine.length < peers.partitions ? await peers.others({ fresh }) : new Map<string, readonly number[]>()
  const covered = new Set([...mine, ...[...others.values()].flat()])
  if (covered.size < peers.partitions) return undefined
  const asked = [...others].map(([address, partitions]) => {
    const wanted = partitions.filter((partition) => !mine.includes(partition))
    return wanted.length === 0 ? undefined : askOther(address, query, wanted)
  })
  try {
    const parts = await Promise.all([mine.length > 0 ? own.list({ ...query, partitions: mine }) : undefined, ...asked])
    return parts.filter((part) => part !== undefined)
  } catch (error) {
    if (error instanceof OrdersError && error.code !== 'behind') throw error
    return undefined
  }
}

async function askOther(
  address: string,
  { status, after, limit }: ListQuery,
  partitions: readonly number[],
): Promise<OrderPage> {
  const search = new URLSearchParams({
    limit: String(limit),
    partitions: partitions.join(','),
    ...(status && { status }),
    ...(after !== undefined && { after }),
  })
  const answer = await fetch(new URL(`/own/orders?${search.toString()}`, address), {
    signal: AbortSignal.timeout(partTimeoutMs),
  })
  if (!answer.ok) throw new Error(`${address} answers ${answer.status}`)
  return (await answer.json()) as OrderPage
}

function merge(parts: readonly OrderPage[], limit: number): OrderPage {
  const all = parts.flatMap(({ orders }) => orders).toSorted(newestFirst)
  const orders = all.slice(0, limit)
  const last = orders.at(-1)
  const hasMore = all.length > limit || parts.some(({ next }) => next !== null)
  return { orders, next: hasMore && last ? `${Date.parse(last.placed_at)}-${last.id}` : null }
}

/** As each host sorts: by time, then by id as text. */
function newestFirst(a: OrderSummary, b: OrderSummary): number {
  if (a.placed_at !== b.placed_at) return a.placed_at < b.placed_at ? 1 : -1
  return a.id < b.id ? 1 : -1
}

/** Merges the streams of all hosts, those that join later included. */
async function* watchAll(
  { own, peers }: SharedOrdersOptions,
  { after }: { after?: string },
  signal: AbortSignal,
): AsyncGenerator<OrderEvent> {
  const positions = new Map((after?.split('~') ?? []).map((id) => [toStream(id), id]))
  const leaving = new AbortController()
  const stop = AbortSignal.any([signal, leaving.signal])
  const queue: OrderEvent[] = []
  let wake: (() => void) | undefined
  let room: (() => void) | undefined
  let failure: Error | undefined

  const follow = async (events: AsyncIterable<OrderEvent>): Promise<void> => {
    for await (const event of events) {
      queue.push(event)
      wake?.()
      // The reader sets the pace of every host.
      while (queue.length >= queueMax && !stop.aborted) await new Promise<void>((resolve) => (room = resolve))
      if (stop.aborted) return
    }
  }
  const resumeAt = [...positions.values()].join('~') || undefined
  const query = resumeAt === undefined ? {} : { after: resumeAt }
  // An id that is none must be told to the caller, and is known here.
  const mine = follow(own.watch(query, stop)).catch((error: unknown) => {
    failure = error instanceof Error ? error : new Error(String(error))
    wake?.()
  })
  const heard = new Set<string>()
  const listen = async (address: string): Promise<void> => {
    heard.add(address)
    try {
      await follow(readEvents(new URL('/own/events', address), { ...query, signal: stop }))
    } catch {
      // It has gone, or will be there at the next look.
    } finally {
      heard.delete(address)
      wake?.()
    }
  }
  const look = async (): Promise<void> => {
    while (!stop.aborted) {
      for (const address of (await peers.others()).keys()) if (!heard.has(address)) void listen(address)
      await sleep(lookMs, undefined, { signal: stop }).catch(() => {})
    }
  }
  const looking = look()
  const wakeUp = (): void => {
    wake?.()
    room?.()
  }
  signal.addEventListener('abort', wakeUp)
  try {
    while (!signal.aborted && failure === undefined) {
      const event = queue.shift()
      if (event === undefined) {
        await new Promise<void>((resolve) => (wake = resolve))
        continue
      }
      room?.()
      positions.delete(toStream(event.id))
      positions.set(toStream(event.id), event.id)
      yield { ...event, id: [...positions.values()].slice(-idPartsMax).join('~') }
    }
    if (failure !== undefined) throw failure
  } finally {
    leaving.abort()
    wakeUp()
    signal.removeEventListener('abort', wakeUp)
    await Promise.allSettled([mine, looking])
  }
}

/** What an id begins with names the store it is of (feed.ts). */
function toStream(id: string): string {
  return id.split('.', 1)[0]!
}
