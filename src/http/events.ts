/** Events. `GET /events` and `GET /order/{id}/events`: what happens, as it happens, as server-sent events. */
import type { Request, Response } from 'express'
import type { Orders } from '../actors/orders.ts'
import { createExchangeSignal, pathPart, type Route } from './exchange.ts'
import { unknownOrder } from './order.ts'
import { isOrderId, parseAfter } from './parse.ts'
import { ProblemError, stopping } from './problem.ts'
import { openStream, pump, type StreamLimits } from './sse.ts'

export interface EventsRoutesOptions {
  readonly orders: Orders
  /** The orders of this host alone, where there are others. */
  readonly own?: Orders
  readonly limits: StreamLimits
  /** Aborts when the server closes; every stream then ends. */
  readonly closing: AbortSignal
}

/** A stream that resumes may turn out impossible or at its end: its head waits this long for the first event. */
const headDelayMsMax = 250

export function createEventsRoutes(options: EventsRoutesOptions): Route[] {
  const { orders, own, limits } = options
  let open = 0
  const counted = (follow: (req: Request, res: Response) => Promise<void>) => async (req: Request, res: Response) => {
    if (open >= limits.streamsMax) {
      throw new ProblemError('too-many-streams', `${limits.streamsMax} streams are open; try again in a moment.`, {
        'retry-after': '5',
      })
    }
    open++
    try {
      await follow(req, res)
    } finally {
      open--
    }
  }
  return [
    {
      method: 'GET',
      path: '/events',
      summary: 'Streams what happens to all orders (server-sent events).',
      handle: counted((req, res) => stream(options, req, res, {})),
    },
    {
      method: 'GET',
      path: '/order/:id/events',
      summary: 'Streams what happens to one order until it is ready (server-sent events).',
      handle: counted(async (req, res) => {
        const orderId = pathPart(req, 'id')
        const order = isOrderId(orderId) ? await orders.get(orderId) : undefined
        if (order === undefined) throw unknownOrder(orderId)
        await stream(options, req, res, { orderId, ready: order.status === 'ready' })
      }),
    },
    ...(own === undefined
      ? []
      : [{ ...ownEvents, handle: counted((req, res) => stream({ ...options, orders: own }, req, res, {})) }]),
  ]
}

const ownEvents = {
  method: 'GET',
  path: '/own/events',
  summary: 'Streams what happens to the orders of the partitions this instance owns; one instance asks another.',
} as const

async function stream(
  { orders, limits, closing }: EventsRoutesOptions,
  req: Request,
  res: Response,
  { orderId, ready = false }: { orderId?: string; ready?: boolean },
): Promise<void> {
  const after = parseAfter(req.query, req.get('last-event-id'))
  if (req.method === 'HEAD') return void openStream(res).end()

  const signal = createExchangeSignal(res, closing)
  const query = { ...(orderId !== undefined && { orderId }), ...(after !== undefined && { after }) }
  try {
    const { isEmpty, items } = await peek(
      orders.watch(query, signal),
      ready || after !== undefined ? headDelayMsMax : 0,
    )
    // A browser connects again whenever a stream ends; 204 is how it learns that there is nothing more to come.
    if (isEmpty && ready) return void res.writeHead(204).end()
    openStream(res)
    await pump(res, items, { ...limits, signal })
  } catch (error) {
    if (!signal.aborted) throw error
    if (!res.headersSent && !res.destroyed) throw stopping()
    res.end()
  }
}

/** Looks at the first item of a sequence for up to `waitMs`, so that an error or an end at its start can be told in the head. */
async function peek<T>(
  source: AsyncIterable<T>,
  waitMs: number,
): Promise<{ isEmpty: boolean; items: AsyncIterable<T> }> {
  const iterator = source[Symbol.asyncIterator]()
  const first = iterator.next()
  const timeUp = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => timeUp.resolve(undefined), waitMs)
  try {
    const early = await Promise.race([first, timeUp.promise])
    return { isEmpty: early?.done === true, items: chain(first, iterator) }
  } finally {
    clearTimeout(timer)
  }
}

async function* chain<T>(first: Promise<IteratorResult<T>>, iterator: AsyncIterator<T>): AsyncGenerator<T> {
  try {
    for (let item = await first; item.done !== true; item = await iterator.next()) yield item.value
  } finally {
    await iterator.return?.()
  }
}
