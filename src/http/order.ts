/** Order. `POST /order/{count}` places one; `GET /order/{id}` shows it, at once or when it is ready (`Prefer: wait`). */
import type { Request, RequestHandler, Response } from 'express'
import type { OutgoingHttpHeaders } from 'node:http'
import { toKeyedOrderId } from '../actors/order-id.ts'
import type { Orders, OrderView } from '../actors/orders.ts'
import { bodyBytesMax, createExchangeSignal, isBodyNegligible, pathPart, sendJson, type Route } from './exchange.ts'
import type { Forward } from './forward.ts'
import type { Guard } from './origin.ts'
import { isNotModified, isOrderId, parseCount, parseIdempotencyKey, parseWait } from './parse.ts'
import { ProblemError, stopping } from './problem.ts'

export interface OrderRoutesOptions {
  readonly orders: Orders
  readonly countMax: number
  readonly waitMsMax: number
  /** Who may place orders from a browser. */
  readonly guard: Guard
  /** Lets the owner of an order answer; absent where this host owns all. */
  readonly forward?: Forward
  /** Aborts when the server closes; waiting answers are then given up. */
  readonly closing: AbortSignal
}

export function createOrderRoutes(options: OrderRoutesOptions): Route[] {
  return [
    {
      method: 'POST',
      path: '/order/:count',
      summary: 'Places an order of that many random pizzas.',
      handle: [ignoreBody, (req, res) => place(options, req, res)],
    },
    {
      method: 'GET',
      path: '/order/:id',
      summary: 'Shows an order; with Prefer: wait=10 as soon as it is ready.',
      handle: (req, res) => show(options, req, res),
    },
  ]
}

/** The order as JSON shows it: these fields in this order. */
function toOrderJson(view: OrderView): Omit<OrderView, 'version'> {
  const { id, count, status, placed_at, ready_at, pizzas, in_progress } = view
  return { id, count, status, placed_at, ready_at, pizzas, in_progress }
}

/** For ids that nobody has, here and in the other resources of an order. */
export function unknownOrder(id: string): ProblemError {
  const shown = isOrderId(id) ? id : 'this id'
  return new ProblemError(
    'order-not-found',
    `No order has ${shown}: use the id that POST /order/{count} answered with.`,
  )
}

async function place(
  { orders, countMax, guard, forward }: OrderRoutesOptions,
  req: Request,
  res: Response,
): Promise<void> {
  guard.checkApi(req)
  const count = parseCount(pathPart(req, 'count'), countMax)
  const idempotencyKey = parseIdempotencyKey(req.get('idempotency-key'))
  if (forward !== undefined && idempotencyKey !== undefined) {
    // Whether the key was used before is its owner's to say. A new order without one is put on the log by whoever is asked.
    const orderId = toKeyedOrderId(idempotencyKey)
    if (!forward.isHere(orderId) && (await forward.answer(orderId, req, res))) return
  }
  const { order_id, replayed } = await orders.place(
    idempotencyKey === undefined ? { count } : { count, idempotencyKey },
  )
  const headers: OutgoingHttpHeaders = { location: `/order/${order_id}`, 'cache-control': 'no-store' }
  if (replayed) headers['idempotency-replayed'] = 'true'
  sendJson(res, 201, { order_id }, headers)
}

async function show({ orders, waitMsMax, closing }: OrderRoutesOptions, req: Request, res: Response): Promise<void> {
  const id = pathPart(req, 'id')
  if (!isOrderId(id)) throw unknownOrder(id)
  const waitMs = parseWait(req.get('prefer'), waitMsMax)
  const view = waitMs === undefined ? await orders.get(id) : await getWhenReady(orders, id, waitMs, res, closing)
  if (res.destroyed) return
  if (view === undefined) throw unknownOrder(id)
  const etag = `W/"${view.version}"`
  const headers: OutgoingHttpHeaders = { etag, 'cache-control': 'no-cache' }
  if (waitMs !== undefined) headers['preference-applied'] = `wait=${Math.ceil(waitMs / 1_000)}`
  if (isNotModified(req.get('if-none-match'), etag)) res.writeHead(304, headers).end()
  else sendJson(res, 200, toOrderJson(view), headers)
}

/** Waits for the order, the time, the caller's leaving or the server's closing. @throws ProblemError `stopping` for the last. */
async function getWhenReady(orders: Orders, id: string, waitMs: number, res: Response, closing: AbortSignal) {
  const signal = createExchangeSignal(res, closing)
  try {
    const view = await orders.get(id, { waitMs, signal })
    // Looking for an order that is given up half-way is no proof that there is none.
    if (view !== undefined || !signal.aborted) return view
  } catch (error) {
    if (!signal.aborted) throw error
  }
  if (res.destroyed) return undefined
  throw stopping()
}

/**
 * Lets a request pass whatever its body says, up to a limit. A body of known length is not even read: node:http throws it away
 * after the answer. One of unknown length has to be read to its end, because an order must not be placed and then refused.
 */
const ignoreBody: RequestHandler = async (req, _res, next) => {
  if (isBodyNegligible(req)) return next()
  let bytes = Number(req.headers['content-length'] ?? 0)
  if (bytes === 0) {
    for await (const chunk of req) {
      bytes += (chunk as Buffer).length
      if (bytes > bodyBytesMax) break
    }
  }
  if (bytes <= bodyBytesMax) return next()
  throw new ProblemError('body-too-large', `The body may have ${bodyBytesMax} bytes; POST /order/{count} needs none.`)
}
