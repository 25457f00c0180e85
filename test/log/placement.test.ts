import { describe, expect, it } from 'vitest'
import { murmur2, placeKey } from '../../src/log/placement.ts'
import { placementVectors } from '../contract/placement-vectors.ts'

describe('A key', () => {
  it.each(placementVectors)('hashes as in Java: $key', ({ key, hash }) => {
    expect(murmur2(Buffer.from(key))).toBe(hash)
  })

  it.each([1, 2, 3, 8, 50])('gets the partition that Java gives it, of %i', (partitions) => {
    for (const { key, hash } of placementVectors) {
      expect(placeKey(key, partitions)).toBe((hash & 0x7fffffff) % partitions)
      expect(placeKey(Buffer.from(key), partitions)).toBe(placeKey(key, partitions))
    }
  })

  it('hashes bytes above 127 as unsigned, as Java does', () => {
    expect(murmur2(Uint8Array.of(0xff, 0x80, 0xfe))).not.toBe(murmur2(Uint8Array.of(0x7f, 0, 0x7e)))
    expect(placeKey(Uint8Array.of(0xff, 0xff, 0xff, 0xff), 7)).toBeGreaterThanOrEqual(0)
  })
})
