/**
 * Parse: what callers put into paths, headers and queries, as typed values. Pure; schemas are compiled once.
 *
 * A1: a value is taken exactly as documented or refused with a problem that says what to write instead; none is repaired.
 * Exception: preferences (RFC 7240) and conditional headers (RFC 9110) that make no sense are ignored, as those RFCs ask.
 */
import { z } from 'zod'
import type { DeadLetterQuery } from '../actors/dead-letter-service.ts'
import type { OrderStatus } from '../actors/orders.ts'
import { deadLetterReasons } from '../records.ts'
import { ProblemError } from './problem.ts'

const countSchema = z.string().regex(/^[1-9]\d*$/)
const orderIdSchema = z.string().regex(/^[\w.-]{1,64}$/)
const idempotencyKeySchema = z.string().regex(/^[!-~]{1,255}$/)
const cursorSchema = z
  .string('expected once')
  .regex(/^[!-~]{1,500}$/, 'expected 1 to 500 visible ASCII characters, as given out by this API')

export interface ListQuery {
  readonly status?: OrderStatus
  readonly after?: string
  readonly limit: number
}

/** Reads the number of pizzas. A number that is too large is a whole number all the same, so it has a problem of its own. */
export function parseCount(text: string, countMax: number): number {
  if (!countSchema.safeParse(text).success) {
    const given = shorten(text)
    throw new ProblemError(
      'bad-count',
      `Cannot order ${given} pizzas: write a whole number from 1 to ${countMax} in plain digits, for example POST /order/3.`,
    )
  }
  const count = Number(text)
  if (count <= countMax) return count
  throw new ProblemError(
    'count-over-limit',
    `Cannot order ${shorten(text)} pizzas at once: the limit is ${countMax}. Split them over several orders.`,
  )
}

/** Whether an order could have this id. Only ids that could are looked up. */
export function isOrderId(text: string): boolean {
  return orderIdSchema.safeParse(text).success
}

/** Reads the header; `undefined` without it. Node joins a repeated header with `, `, whose blank is refused here. */
export function parseIdempotencyKey(header: string | undefined): string | undefined {
  if (header === undefined || idempotencyKeySchema.safeParse(header).success) return header
  throw new ProblemError(
    'bad-idempotency-key',
    'Idempotency-Key must be given once, as 1 to 255 visible ASCII characters without blanks, for example a UUID.',
  )
}

/**
 * Reads `wait` from a Prefer header (RFC 7240), which may hold other preferences: the first `wait` counts.
 * @returns milliseconds, at most `waitMsMax`; `undefined` without a usable `wait`.
 */
export function parseWait(header: string | undefined, waitMsMax: number): number | undefined {
  // Nobody needs a longer header, and the pattern below is not linear for hostile ones.
  if (header === undefined || header.length > 1_000) return undefined
  const preferences = header.match(/(?:[^",]|"(?:[^"\\]|\\.)*")+/g) ?? []
  for (const preference of preferences) {
    const wait = /^\s*wait\s*(?:=\s*([^;]*?)\s*)?(?:;|$)/i.exec(preference)
    if (wait === null) continue
    const seconds = /^(?:"(\d{1,9})"|(\d{1,9}))$/.exec(wait[1] ?? '')
    if (seconds === null) return undefined
    return Math.min(Number(seconds[1] ?? seconds[2]) * 1_000, waitMsMax)
  }
  return undefined
}

/** Whether If-None-Match (RFC 9110, weak comparison) covers `etag`. */
export function isNotModified(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  const opaque = etag.replace(/^W\//, '')
  return header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === opaque)
}

/** Builds the reader of the query of `GET /orders`. */
export function createListQueryParser(pageRowsMax: number): (query: unknown) => ListQuery {
  const schema = z.strictObject({
    status: z.enum(['preparing', 'ready'], 'expected preparing or ready').exactOptional(),
    after: cursorSchema.exactOptional(),
    limit: createLimitSchema(pageRowsMax),
  })
  return (query) => parseQuery(schema, query)
}

/** Builds the reader of the query of `GET /dead-letters`. */
export function createDeadLetterQueryParser(pageRowsMax: number): (query: unknown) => DeadLetterQuery {
  const schema = z.strictObject({
    reason: z.enum(deadLetterReasons, `expected one of ${deadLetterReasons.join(', ')}`).exactOptional(),
    role: z
      .string('expected once')
      .regex(/^[\w-]{1,64}$/, 'expected the name of a role')
      .exactOptional(),
    after: cursorSchema.exactOptional(),
    limit: createLimitSchema(pageRowsMax),
  })
  return (query) => parseQuery(schema, query)
}

/** Rows on a page. */
function createLimitSchema(pageRowsMax: number) {
  const expected = `expected a whole number from 1 to ${pageRowsMax}`
  return z
    .string('expected once')
    .regex(/^[1-9]\d{0,8}$/, expected)
    .transform(Number)
    .refine((limit) => limit <= pageRowsMax, expected)
    .default(Math.min(100, pageRowsMax))
}

const eventsSchema = z.strictObject({ after: cursorSchema.exactOptional() })

/**
 * Reads where a stream of events continues. The header wins over the query: a browser that reconnects repeats the address it
 * began with and tells in the header how far it has come.
 */
export function parseAfter(query: unknown, lastEventId: string | undefined): string | undefined {
  const { after } = parseQuery(eventsSchema, query)
  if (lastEventId === undefined || lastEventId === '') return after
  if (cursorSchema.safeParse(lastEventId).success) return lastEventId
  throw new ProblemError(
    'bad-cursor',
    'Last-Event-ID must be the id of an event this API sent; leave it out to begin with what comes next.',
  )
}

function parseQuery<T>(schema: z.ZodObject & z.ZodType<T>, query: unknown): T {
  const result = schema.safeParse(query)
  if (result.success) return result.data
  const known = Object.keys(schema.shape)
  const problems = result.error.issues.map((issue) => {
    if (issue.code !== 'unrecognized_keys') return `${issue.path.join('.')}: ${issue.message}`
    return `${issue.keys.map(shorten).join(', ')}: not known here; the known ones are ${known.join(', ')}`
  })
  throw new ProblemError('bad-query', `Cannot use the query: ${problems.join('; ')}.`)
}

/** What a caller wrote, short enough to be said back. */
function shorten(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 40)}…`
}
