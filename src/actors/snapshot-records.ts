/**
 * Snapshot records: how a checkpoint of one partition is written to the topic of snapshots, and read back. The topic is compacted,
 * so every record stands for the newest of its key:
 *
 * - `{order id}`: the order's envelope (order-envelope.ts); a tombstone once it was ready for long enough (age-out.ts).
 * - `{order id}:{version}`: the events it took from that version on, until the next such record.
 * - `:held:{topic}:{offset}`: a topping that waits for its order; a tombstone when it waits no longer.
 * - `:aged`: a time; of the orders that became ready before it, some have left.
 * - `:positions`: where the partition's topics are to be read on. Last in its transaction.
 *
 * An order id holds no colon (records.ts). Large values are compressed (Zstandard, RFC 8878): an order of ten thousand pizzas is more than
 * a broker takes otherwise.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { ClaimRecord, Coordinates, LogRecord, Positions } from '../log/event-log.ts'
import { parseEntries, parseEnvelope, printEntries, type OrderSnapshot } from './order-envelope.ts'
import { toAgedUntil, type Checkpoint, type JournalChunk, type Restored, type StoredOrder } from './order-store.ts'
import type { OrderStatus } from './orders.ts'

const positionsKey = ':positions'
const agedKey = ':aged'
const heldPrefix = ':held:'
const compressedFromBytes = 64 * 1024
/** The first byte of a Zstandard frame; JSON never begins with it. */
const zstdMagic = 0x28

/** The part of a checkpoint that belongs to one partition. */
export interface PartitionCheckpoint extends Pick<Checkpoint, 'orders' | 'held' | 'aged'> {
  readonly partition: number
  /** By topic. */
  readonly positions: Readonly<Record<string, number>>
}

/** The keys of the topic that hold back toppings. */
export type HeldKeys = ReadonlySet<string>

/** The keys under which these toppings are written. */
export function toHeldKeys(held: readonly Coordinates[]): HeldKeys {
  return new Set(held.map(toHeldKey))
}

/**
 * Prints a partition's checkpoint.
 * @param before what the topic holds back so far: only the difference is written.
 */
export function printCheckpoint(
  { orders, held, aged = [], positions }: PartitionCheckpoint,
  before: HeldKeys,
): ClaimRecord[] {
  const records: ClaimRecord[] = []
  for (const order of orders) {
    const { order_id, envelope, version, entries, status } = order
    if (entries.length > 0)
      records.push(printChunk(order_id, version - entries.length + 1, status, printEntries(entries)))
    records.push({ key: order_id, value: compress(envelope) })
  }
  for (const record of held) {
    const key = toHeldKey(record)
    if (!before.has(key)) records.push({ key, value: printHeld(record) })
  }
  for (const { order_id, firstVersions } of aged) {
    for (const version of firstVersions) records.push({ key: `${order_id}:${version}`, value: null })
    records.push({ key: order_id, value: null })
  }
  if (aged.length > 0) records.push({ key: agedKey, value: String(toAgedUntil(aged)) })
  const now = toHeldKeys(held)
  for (const key of before) if (!now.has(key)) records.push({ key, value: null })
  records.push({ key: positionsKey, value: JSON.stringify(positions) })
  return records
}

function printChunk(order_id: string, firstVersion: number, status: OrderStatus, entries: string): ClaimRecord {
  return { key: `${order_id}:${firstVersion}`, value: compress(`{"status":"${status}","entries":${entries}}`) }
}

function printHeld({ key, value, timestampMs }: LogRecord): string {
  const text = { key: key?.toString('base64') ?? null, value: value?.toString('base64') ?? null, timestampMs }
  return JSON.stringify(text)
}

/** A record that cannot be read, and what it should say by its key. */
export interface Unreadable {
  readonly record: LogRecord
  readonly error: unknown
  readonly of:
    | { readonly kind: 'order'; readonly order_id: string }
    | { readonly kind: 'chunk'; readonly order_id: string; readonly firstVersion: number }
    | { readonly kind: 'held'; readonly at: Coordinates }
    | { readonly kind: 'positions' | 'aged' | 'foreign' }
}

export interface ParsedCheckpoints extends Restored {
  readonly unreadable: readonly Unreadable[]
}

/**
 * Reads records of one partition, oldest first; of each key the newest counts.
 * @returns what they say, with positions when they name some: they then end a checkpoint, or follow one; and what cannot be read.
 */
export function parseCheckpoints(partition: number, records: readonly LogRecord[]): ParsedCheckpoints {
  const newest = new Map<string, LogRecord>()
  for (const record of records) if (record.key !== null) newest.set(record.key.toString(), record)
  const restored = { ...createRestored(), partition }
  const unreadable: Unreadable[] = []
  for (const [key, record] of newest) {
    const of = nameOf(key, partition)
    try {
      readInto(restored, of, record)
    } catch (error) {
      unreadable.push({ record, error, of })
    }
  }
  return { ...restored, unreadable }
}

function nameOf(key: string, partition: number): Unreadable['of'] {
  if (key === positionsKey) return { kind: 'positions' }
  if (key === agedKey) return { kind: 'aged' }
  const [, order_id = '', firstVersion] = /^([\w.-]{1,64})(?::([1-9]\d{0,8}))?$/.exec(key) ?? []
  if (order_id !== '' && firstVersion === undefined) return { kind: 'order', order_id }
  if (order_id !== '') return { kind: 'chunk', order_id, firstVersion: Number(firstVersion) }
  const isHeld = /^:held:.+:\d{1,15}$/.test(key)
  return isHeld ? { kind: 'held', at: parseHeldKey(key, partition) } : { kind: 'foreign' }
}

/** What is gathered from records. */
const createRestored = () => ({
  orders: [] as StoredOrder[],
  chunks: [] as Omit<JournalChunk, 'seq'>[],
  aged: [] as string[],
  agedUntil: 0,
  held: [] as LogRecord[],
  released: [] as Coordinates[],
  positions: new Map() as Positions,
})

type Gathered = ReturnType<typeof createRestored>

/** What a record says: a value under its key, or a tombstone. */
function readInto(into: Gathered, of: Unreadable['of'], { partition, key, value }: LogRecord): void {
  switch (of.kind) {
    case 'positions':
      into.positions = parsePositions(value, partition)
      return
    case 'aged':
      into.agedUntil = toWhole(Number(value))
      return
    case 'held':
      if (value === null) into.released.push(of.at)
      else into.held.push(parseHeld(of.at, value))
      return
    case 'order':
      if (value === null) into.aged.push(of.order_id)
      else into.orders.push(toStoredOrder(of.order_id, partition, decompress(value)))
      return
    case 'chunk':
      if (value !== null) into.chunks.push(parseChunk(of.order_id, of.firstVersion, decompress(value)))
      return
    case 'foreign': {
      const name = String(key)
      // Other versions may have more to say of a partition.
      if (!name.startsWith(':') || name.startsWith(heldPrefix)) throw new Error(`${JSON.stringify(name)} names nothing`)
    }
  }
}

/** Everything that a stored order says beside its snapshot is in the snapshot. */
function toStoredOrder(order_id: string, partition: number, envelope: string): StoredOrder {
  const { snapshot, partition: written } = parseEnvelope(envelope, order_id)
  if (written !== partition) throw new Error(`Order ${order_id} is of partition ${written}`)
  const { count, placedAt, readyAt } = snapshot.context
  const isReady = snapshot.value === 'ready'
  return {
    order_id,
    partition,
    count,
    status: isReady ? 'ready' : 'preparing',
    placedAt,
    readyAt: isReady ? readyAt : 0,
    version: countEvents(snapshot),
    envelope,
  }
}

/** What an envelope that cannot be read says all the same, as far as it has the shape of today's. */
export function peekOrder(
  order_id: string,
  { value }: LogRecord,
): { envelope: string; version: number; count: number } {
  let envelope = String(value)
  try {
    envelope = decompress(value!)
    const { snapshot } = JSON.parse(envelope) as { snapshot: OrderSnapshot }
    if (snapshot.context.order_id !== order_id) throw new Error('it is of another order')
    return { envelope, version: toWhole(countEvents(snapshot)), count: toWhole(snapshot.context.count) }
  } catch {
    return { envelope, version: 0, count: 0 }
  }
}

/** An order takes only events that change it: its placing, and each topping of each pizza once. */
function countEvents({ children }: OrderSnapshot): number {
  const pizzas = Object.values(children)
  return pizzas.reduce((sum, { snapshot }) => sum + Object.keys(snapshot.context.toppings).length, 1)
}

function parseChunk(order_id: string, firstVersion: number, text: string): Omit<JournalChunk, 'seq'> {
  const { status, entries: rows } = JSON.parse(text) as { status: OrderStatus; entries: unknown }
  const entries = parseEntries(JSON.stringify(rows))
  if (entries.length === 0 || (status !== 'preparing' && status !== 'ready'))
    throw new Error('it has not the shape that this program writes')
  return { order_id, firstVersion, status, entries }
}

function parsePositions(value: Buffer | null, partition: number): Positions {
  const byTopic = JSON.parse(String(value)) as Record<string, number>
  const positions = Object.entries(byTopic)
  if (positions.length === 0) throw new Error('it names no topic')
  return new Map(positions.map(([topic, position]) => [topic, new Map([[partition, toWhole(position)]])]))
}

function toHeldKey({ topic, offset }: Coordinates): string {
  return `${heldPrefix}${topic}:${offset}`
}

function parseHeldKey(key: string, partition: number) {
  const at = key.lastIndexOf(':')
  return { topic: key.slice(heldPrefix.length, at), partition, offset: Number(key.slice(at + 1)) }
}

function parseHeld(at: Coordinates, text: Buffer): LogRecord {
  const { key, value, timestampMs } = JSON.parse(String(text)) as Record<'key' | 'value', string | null> & {
    timestampMs: number
  }
  toWhole(timestampMs)
  const toBuffer = (base64: string | null) => (base64 === null ? null : Buffer.from(base64, 'base64'))
  return { ...at, key: toBuffer(key), value: toBuffer(value), timestampMs }
}

function toWhole(n: number): number {
  if (Number.isSafeInteger(n) && n >= 0) return n
  throw new Error(`expected a whole number, got ${String(n)}`)
}

function compress(text: string): string | Buffer {
  if (text.length < compressedFromBytes) return text
  return zstdCompressSync(text, { params: { [constants.ZSTD_c_compressionLevel]: 1 } })
}

function decompress(value: Buffer): string {
  return (value[0] === zstdMagic ? zstdDecompressSync(value) : value).toString()
}
