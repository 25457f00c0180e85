/** CRC-32C (Castagnoli), the checksum of Kafka's record batches. Node's zlib has CRC-32 only, which is another polynomial. */

const polynomial = 0x82f63b78
/** tables[k][b] is the checksum of byte b followed by k zero bytes, so that four bytes are taken at a time. */
const tables = createTables()

function createTables(): [Int32Array, Int32Array, Int32Array, Int32Array] {
  const [t0, t1, t2, t3] = [new Int32Array(256), new Int32Array(256), new Int32Array(256), new Int32Array(256)]
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1
    t0[byte] = crc
  }
  for (let byte = 0; byte < 256; byte++) {
    t1[byte] = (t0[byte]! >>> 8) ^ t0[t0[byte]! & 255]!
    t2[byte] = (t1[byte]! >>> 8) ^ t0[t1[byte]! & 255]!
    t3[byte] = (t2[byte]! >>> 8) ^ t0[t2[byte]! & 255]!
  }
  return [t0, t1, t2, t3]
}

/** The checksum of the bytes from `start` up to, not including, `end`, as an unsigned 32-bit integer. */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const [t0, t1, t2, t3] = tables
  let crc = -1
  let i = start
  for (; i + 4 <= end; i += 4) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24)
    crc = t3[crc & 255]! ^ t2[(crc >>> 8) & 255]! ^ t1[(crc >>> 16) & 255]! ^ t0[crc >>> 24]!
  }
  for (; i < end; i++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[i]!) & 255]!
  return ~crc >>> 0
}
