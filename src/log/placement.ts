/**
 * Placement of keys on partitions, equal to the Java clients' default.
 * Source: org.apache.kafka.common.utils.Utils.murmur2 (seed 0x9747b28c) and BuiltInPartitioner (positive hash modulo count).
 */

const seed = 0x9747b28c
const m = 0x5bd1e995

/**
 * Hashes bytes with Kafka's 32-bit murmur2.
 * @returns a signed 32-bit integer, as in Java.
 */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length
  let h = seed ^ length
  let i = 0
  for (; i + 4 <= length; i += 4) {
    let k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const rest = length - i
  if (rest === 3) h ^= bytes[i + 2]! << 16
  if (rest >= 2) h ^= bytes[i + 1]! << 8
  if (rest >= 1) h = Math.imul(h ^ bytes[i]!, m)
  h ^= h >>> 13
  h = Math.imul(h, m)
  return h ^ (h >>> 15)
}

/** The partition, 0 to `partitions - 1`, on which the Java clients put a record with this key. */
export function placeKey(key: string | Uint8Array, partitions: number): number {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key
  return (murmur2(bytes) & 0x7fffffff) % partitions
}
