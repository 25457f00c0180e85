/**
 * Records: what stands in the log, as types. The one place where bytes become types; nothing else parses a record.
 *
 * R1: fields that a schema does not name are ignored when read, and passed on untouched by topping services (design §4).
 * R2: a parse either returns a whole record or throws RecordError with a reason for the dead letter; it never guesses.
 */
import { isUtf8 } from 'node:buffer'
import { z } from 'zod'

/** Any schema limit on the size of an order. The shop's own limit is configuration, at most this. */
export const orderCountMax = 10_000

/** Key and value of a record together, in bytes. Every log takes at least this. */
const recordBytesMax = 64 * 1024

/** Why a record cannot be taken. Dead letters carry it in their `reason` header. */
export const recordErrorReasons = [
  'not-json',
  'invalid-record',
  'unknown-order',
  'unknown-pizza',
  'record-too-large',
  'unreadable-order',
] as const
/** Every reason there is. The last one is a defect of a machine and not of a record. */
export const deadLetterReasons = [...recordErrorReasons, 'machine-error'] as const
export type RecordErrorReason = (typeof recordErrorReasons)[number]

export class RecordError extends Error {
  readonly reason: RecordErrorReason
  constructor(reason: RecordErrorReason, message: string) {
    super(message)
    this.name = 'RecordError'
    this.reason = reason
  }
}

const orderIdSchema = z
  .string()
  .regex(/^[\w.-]{1,64}$/, 'expected 1 to 64 letters, digits, dots, dashes or underscores')

const orderSchema = z.object({
  order_id: orderIdSchema,
  count: z.int().min(1).max(orderCountMax),
  placed_at: z.iso
    .datetime({ offset: true })
    .refine((text) => Date.parse(text) > 0, 'expected an instant after 1970')
    .optional(),
})

const pizzaSchema = z.looseObject({
  order_id: orderIdSchema,
  pizza_id: z.int().min(1).max(orderCountMax).optional(),
})

const choiceSchema = z.string().min(1).max(1_000)

/** A record of topic `orders`. `placed_at` is missing only in records of other programs. */
export type OrderRecord = z.infer<typeof orderSchema>

/** One topping of one pizza, as its topic says it. */
export interface ToppedRecord {
  readonly order_id: string
  /** Missing when a program that does not know the field wrote the record. */
  readonly pizza_id: number | undefined
  readonly choice: string
}

/** A pizza on its way, with every field its record had. */
export type PizzaRecord = z.infer<typeof pizzaSchema>

/** Reads a record of topic `orders`. @throws RecordError */
export function parseOrder(value: Buffer | null): OrderRecord {
  return check(orderSchema, parseJson(value))
}

/** Reads a record of topic `pizza` or of a topping's topic, keeping every field. @throws RecordError */
export function parsePizza(value: Buffer | null): PizzaRecord {
  const json = parseJson(value)
  check(pizzaSchema, json)
  // Not the schema's copy: that one has its fields in another order.
  return json as PizzaRecord
}

/** Reads which choice of `topping` a record of that topping's topic carries. @throws RecordError */
export function parseTopped(value: Buffer | null, topping: string): ToppedRecord {
  const pizza = check(pizzaSchema, parseJson(value))
  const choice = choiceSchema.safeParse(pizza[topping])
  if (!choice.success) {
    throw new RecordError('invalid-record', `Field ${topping}: expected the choice as a text of 1 to 1000 characters`)
  }
  return { order_id: pizza.order_id, pizza_id: pizza.pizza_id, choice: choice.data }
}

/** The value of a new order's record. `placedAt` in milliseconds since 1970. */
export function printOrder(order: { order_id: string; count: number; placedAt: number }): string {
  const { order_id, count, placedAt } = order
  return JSON.stringify({ order_id, count, placed_at: new Date(placedAt).toISOString() })
}

/** The value of a new pizza's record: every topping of the recipe is there and empty. */
export function printPizza(order_id: string, pizza_id: number, toppings: readonly string[]): string {
  const record: Record<string, unknown> = { order_id, pizza_id }
  for (const topping of toppings) record[topping] = ''
  return JSON.stringify(record)
}

/**
 * The record with one more topping: same fields, same order, numbers as they were written.
 * `value` is what `pizza` was parsed from. @throws RecordError when it is nested too deep.
 */
export function addTopping(value: Buffer, pizza: PizzaRecord, topping: string, choice: string): string {
  const hasForeignFields = Object.keys(pizza).some((field) => typeof pizza[field] !== 'string' && field !== 'pizza_id')
  try {
    const record = hasForeignFields ? parseExactly(value.toString()) : pizza
    record[topping] = choice
    return JSON.stringify(record)
  } catch (error) {
    // Parsing needs no stack for nesting, going over it and printing do.
    if (!(error instanceof RangeError)) throw error
    throw new RecordError('invalid-record', 'The record is nested too deep to be passed on')
  }
}

/**
 * Refuses a record that a log would not take: waiting for one to take it would stop the role for good.
 * @throws RecordError `record-too-large`
 */
export function assertRecordFits(key: Buffer | null, value: string): void {
  const bytes = (key?.length ?? 0) + Buffer.byteLength(value)
  if (bytes <= recordBytesMax) return
  throw new RecordError(
    'record-too-large',
    `The record would have ${bytes} bytes, at most ${recordBytesMax} are allowed`,
  )
}

/**
 * JSON.parse that keeps each number's own digits (1.0 stays 1.0, 20-digit integers stay whole).
 * Source: the TC39 proposal "JSON.parse source text access".
 */
export function parseExactly(text: string): Record<string, unknown> {
  const keepDigits = (_key: string, json: unknown, context?: { source?: string }): unknown =>
    typeof json === 'number' && context?.source !== undefined ? rawJson(context.source) : json
  return JSON.parse(text, keepDigits) as Record<string, unknown>
}

// Not in TypeScript's library yet.
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON

function parseJson(value: Buffer | null): unknown {
  if (value === null) throw new RecordError('invalid-record', 'The record has no value (a tombstone)')
  // toString would put replacement characters into fields that must be passed on untouched.
  if (!isUtf8(value)) throw new RecordError('not-json', 'The value is not JSON: it is not UTF-8')
  try {
    return JSON.parse(value.toString())
  } catch (error) {
    throw new RecordError('not-json', `The value is not JSON: ${(error as Error).message}`)
  }
}

function check<T>(schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(json)
  if (result.success) return result.data
  const problems = result.error.issues.map(({ path, message }) => `${path.join('.') || 'record'}: ${message}`)
  throw new RecordError('invalid-record', problems.join('; '))
}
