/** Order ids: UUIDs read as decimal integers, so that programs which know no UUIDs can sort them. */
import { createHash } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'

/** @returns a new id: a version 7 UUID (RFC 9562), so ids sort by time. */
export function createOrderId(): string {
  return toDecimal(uuidv7(undefined, new Uint8Array(16)))
}

/** @returns the id of a keyed order: a version 8 UUID (RFC 9562) made from the key, so that every instance gives the same key the same order. */
export function toKeyedOrderId(key: string): string {
  const bytes = createHash('sha256').update(`idempotency-key:${key}`).digest().subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return toDecimal(bytes)
}

function toDecimal(uuid: Uint8Array): string {
  return BigInt(`0x${Buffer.from(uuid).toString('hex')}`).toString()
}
