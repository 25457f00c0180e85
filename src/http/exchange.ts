/** Exchange: what every resource needs of one request and its response. */
import type { Request, RequestHandler } from 'express'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'

/** What the HTTP side needs of a logger; pino's has it. */
export interface HttpLogger {
  error(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** One call of the API. Paths are in Express's notation; `summary` is what `GET /` and the docs say about it. */
export interface Route {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly summary: string
  readonly handle: RequestHandler | RequestHandler[]
}

/** A path as people read it: `/order/{id}`. */
export function toPathTemplate(path: string): string {
  return path.replaceAll(/:(\w+)/g, '{$1}')
}

/** Answers with JSON. Written straight to node:http: Express's own `json` looks for an ETag and freshness each time. */
export function sendJson(res: ServerResponse, status: number, body: unknown, headers: OutgoingHttpHeaders = {}): void {
  const text = JSON.stringify(body)
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers })
  res.end(text)
}

/** A query for one page of a list: which rows, from where, how many. */
interface PageQuery {
  readonly after?: string
  readonly limit: number
}

/** Answers with one page of a list, and with the Link to the next one when there is one. */
export function sendPage(
  res: ServerResponse,
  path: string,
  query: PageQuery,
  page: { readonly next: string | null },
): void {
  const headers: OutgoingHttpHeaders = { 'cache-control': 'no-cache' }
  if (page.next !== null) headers['link'] = printNextLink(path, query, page.next)
  sendJson(res, 200, page, headers)
}

/** The Link header (RFC 8288) to the next page: the same query, continued. */
export function printNextLink(path: string, { after: _, limit, ...rows }: PageQuery, next: string): string {
  const search = new URLSearchParams({ ...rows, after: next, limit: String(limit) })
  return `<${path}?${search.toString()}>; rel="next"`
}

/** The part of the path a route names. Named parts are always one string in the routes of this API. */
export function pathPart(req: Request, name: string): string {
  const part = req.params[name]
  if (typeof part !== 'string') throw new TypeError(`Cannot read {${name}}: the route has no such part`)
  return part
}

/** What was asked for, without the query. */
export function requestPath(req: Request): string {
  return req.originalUrl.split('?', 1)[0]!
}

/** The largest body a request may carry. No call needs one. */
export const bodyBytesMax = 65_536

/** Whether the body of a request says how long it is, and is short enough to be thrown away unread. */
export function isBodyNegligible({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) <= bodyBytesMax
}

/** A signal that aborts when the caller has gone unanswered or the server closes, whichever comes first. */
export function createExchangeSignal(res: ServerResponse, closing: AbortSignal): AbortSignal {
  if (closing.aborted) return closing
  const controller = new AbortController()
  const abort = () => controller.abort()
  closing.addEventListener('abort', abort, { once: true })
  res.once('close', () => {
    closing.removeEventListener('abort', abort)
    // After a whole answer nobody listens any more, and an abort costs an error object with a stack.
    if (!res.writableFinished) abort()
  })
  return controller.signal
}
