/**
 * Problem. Turns whatever went wrong into RFC 9457 problem details. The table of problems is the one list: docs/http.md and
 * `GET /problems/{name}` (where the `type` of a problem leads) are made from it.
 *
 * H1: every error a caller can cause has a problem of its own whose detail says what to do.
 * H2: an error nobody expected answers 500 without any of its text; the text goes to the logger only.
 */
import type { ErrorRequestHandler, RequestHandler } from 'express'
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { OrdersError, type OrdersErrorCode } from '../actors/orders.ts'
import { isBodyNegligible, requestPath, type HttpLogger } from './exchange.ts'

/** Every problem the API answers with, by the last part of its `type`. */
export const problems = {
  'bad-count': { status: 400, title: 'The number of pizzas is not a whole number from 1' },
  'bad-idempotency-key': { status: 400, title: 'The Idempotency-Key cannot be used' },
  'bad-query': { status: 400, title: 'A query parameter is unknown or has a value that cannot be used' },
  'bad-cursor': { status: 400, title: 'The place to continue from was not given out by this API' },
  'malformed-request': { status: 400, title: 'The request cannot be read' },
  'token-needed': { status: 401, title: 'This needs the token of the shop' },
  'cross-origin': { status: 403, title: 'Another site may not do this' },
  'read-only': { status: 403, title: 'The page may change nothing here' },
  'order-not-found': { status: 404, title: 'There is no such order' },
  'route-not-found': { status: 404, title: 'There is nothing at this address' },
  'dead-letter-not-found': { status: 404, title: 'There is no such dead letter' },
  'event-not-found': { status: 404, title: 'The order has no such event' },
  'role-not-found': { status: 404, title: 'No such role runs in this process' },
  'method-not-allowed': { status: 405, title: 'This address does not take this method' },
  'request-timeout': { status: 408, title: 'The request did not arrive in time' },
  'role-busy': { status: 409, title: 'The role cannot do this now' },
  'body-too-large': { status: 413, title: 'The body is too large' },
  'url-too-long': { status: 414, title: 'The address is too long' },
  misdirected: { status: 421, title: 'This instance does not answer for the order' },
  'count-over-limit': { status: 422, title: 'The order is larger than this shop takes' },
  'key-reused': { status: 422, title: 'The Idempotency-Key was used for another order' },
  'headers-too-large': { status: 431, title: 'The headers are too large' },
  unreadable: { status: 500, title: 'The order cannot be read' },
  internal: { status: 500, title: 'Something went wrong here' },
  unavailable: { status: 503, title: 'The shop cannot take this right now' },
  behind: { status: 503, title: 'The shop is still catching up' },
  moving: { status: 503, title: 'The order is moving to another instance' },
  starting: { status: 503, title: 'The shop is starting' },
  stopping: { status: 503, title: 'The shop is closing' },
  'too-many-streams': { status: 503, title: 'Too many event streams are open' },
} as const satisfies Record<string, { status: number; title: string }>

export type ProblemName = keyof typeof problems

/** What the caller is told. `headers` go with it: Allow, Retry-After. */
interface Problem {
  readonly name: ProblemName
  readonly detail: string
  readonly headers?: OutgoingHttpHeaders
}

/** Thrown by a resource to answer with a problem. */
export class ProblemError extends Error {
  readonly problem: Problem
  constructor(name: ProblemName, detail: string, headers: OutgoingHttpHeaders = {}) {
    super(detail)
    this.name = 'ProblemError'
    this.problem = { name, detail, headers }
  }
}

/** For requests that are given up because the server closes. */
export function stopping(): ProblemError {
  return new ProblemError('stopping', 'The shop is closing; ask again in a moment.', { 'retry-after': '1' })
}

const problemOfOrdersError = {
  'key-reused': 'key-reused',
  'bad-cursor': 'bad-cursor',
  unavailable: 'unavailable',
  behind: 'behind',
  unreadable: 'unreadable',
  stopping: 'stopping',
} as const satisfies Record<OrdersErrorCode, ProblemName>

const internal: Problem = {
  name: 'internal',
  detail: 'An error nobody expected; the log of the server names it. Trying again may help.',
}

const undecodable: Problem = {
  name: 'malformed-request',
  detail: 'The address cannot be decoded: each % must be followed by the two hexadecimal digits of a UTF-8 byte.',
}

/** Maps any error to a problem. Pure. Errors it does not know become `internal`, without their text. */
export function toProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem
  if (error instanceof OrdersError) {
    const name = problemOfOrdersError[error.code]
    if (problems[name].status !== 503) return { name, detail: error.message }
    return { name, detail: error.message, headers: { 'retry-after': String(error.retryAfterS ?? 1) } }
  }
  // The router marks the errors it throws for an address that it cannot decode; the same error without the mark is a bug here.
  if (error instanceof URIError && 'status' in error) return undecodable
  return internal
}

/** The JSON of a problem. `instance` is the path that was asked for. */
export function printProblem({ name, detail }: Problem, instance: string): string {
  const { title, status } = problems[name]
  return JSON.stringify({ type: `/problems/${name}`, title, status, detail, instance })
}

/** The last handler of an app: answers with the problem of whatever was thrown, and logs what nobody expected. */
export function createErrorHandler(logger: HttpLogger): ErrorRequestHandler {
  // Express takes a handler for an error handler only when it declares all four parameters.
  return (error: unknown, req, res, _next) => {
    const problem = toProblem(error)
    // A body that breaks off because the caller hung up is nobody's error, and there is nobody to answer.
    if (req.destroyed && !req.complete && !(error instanceof ProblemError)) return
    const path = requestPath(req)
    if (problem.name === 'internal') {
      const fields = { err: error, method: req.method, path, ...orderOf(req.method, path) }
      logger.error(fields, 'request failed')
    }
    if (res.headersSent) res.destroy()
    else sendProblem(res, problem, path)
  }
}

/** The order a request is about, for the log: the parts of the path are forgotten by now. After POST stands a count. */
function orderOf(method: string, path: string): { order_id?: string } {
  const order_id = method === 'POST' ? undefined : /^\/order\/([\w.-]{1,64})(?:\/|$)/.exec(path)?.[1]
  return order_id === undefined ? {} : { order_id }
}

/** Answers 405, and OPTIONS with 204, for methods that no route of this path has. */
export function createMethodNotAllowed(allow: string): RequestHandler {
  return (req, res) => {
    if (req.method !== 'OPTIONS') {
      throw new ProblemError('method-not-allowed', `${req.method} cannot be used here; use ${allow}.`, { allow })
    }
    res.writeHead(204, { allow }).end()
  }
}

/** Answers 404 for paths without a route. */
export const notFound: RequestHandler = (req) => {
  throw new ProblemError('route-not-found', `There is nothing at ${requestPath(req)}; GET / lists what there is.`)
}

/** Answers with a problem. */
export function sendProblem(res: ServerResponse, problem: Problem, instance: string): void {
  const body = printProblem(problem, instance)
  // The rest of a long body would have to be read before the next request on this connection.
  if (!isBodyNegligible(res.req)) res.setHeader('connection', 'close')
  res.writeHead(problems[problem.name].status, {
    ...problem.headers,
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  })
  res.end(body)
}
