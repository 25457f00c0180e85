/** Our encoding of the hot requests against kafkajs's own, byte for byte. */
import { createRequire } from 'node:module'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { crc32c } from '../../src/log/crc32c.ts'
import { encodeFetch, encodeProduce, type ProduceMessage } from '../../src/log/kafka-encoding.ts'

const require = createRequire(import.meta.url)
type Encode = (request: object) => { encode(): Promise<{ buffer: Buffer }> }
const kafkajsProduce = require('kafkajs/src/protocol/requests/produce/v7/request.js') as Encode
const kafkajsFetch = require('kafkajs/src/protocol/requests/fetch/v11/request.js') as Encode

const part = fc.oneof(
  fc.constant(null),
  fc.string({ unit: 'grapheme' }),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
)
const headers = fc.dictionary(fc.string({ minLength: 1 }), fc.string({ unit: 'grapheme' }))
const message: fc.Arbitrary<ProduceMessage> = fc
  .tuple(part, part, fc.option(headers, { nil: undefined }))
  .map(([key, value, given]) => (given ? { key, value, headers: given } : { key, value }))
const topicsOf = <P>(partition: fc.Arbitrary<P>) =>
  fc.array(fc.record({ topic: fc.string({ minLength: 1 }), partitions: fc.array(partition, { maxLength: 4 }) }), {
    maxLength: 4,
  })
const number = fc.integer({ min: 0, max: 2 ** 31 - 1 })

describe('The encoding of Kafka requests', () => {
  afterEach(() => void vi.useRealTimers())

  it('writes a Produce request as kafkajs does', async () => {
    const nowMs = 1_800_000_000_000
    vi.useFakeTimers({ now: nowMs, toFake: ['Date'] })
    const partition = fc.record({ partition: number, messages: fc.array(message, { minLength: 1, maxLength: 70 }) })
    await fc.assert(
      fc.asyncProperty(topicsOf(partition), number, async (topicData, timeout) => {
        const wanted = await kafkajsProduce({ acks: -1, timeout, topicData }).encode()
        expect(encodeProduce(topicData, timeout, nowMs).equals(wanted.buffer)).toBe(true)
      }),
    )
  })

  it('writes a Produce request of a transaction as kafkajs does', async () => {
    const nowMs = 1_800_000_000_000
    vi.useFakeTimers({ now: nowMs, toFake: ['Date'] })
    const producer = fc.record({
      transactionalId: fc.string({ minLength: 1, unit: 'grapheme' }),
      producerId: fc.maxSafeNat().map(String),
      producerEpoch: fc.nat({ max: 2 ** 15 - 1 }),
      sequence: number,
    })
    const data = fc.record({
      topic: fc.string({ minLength: 1 }),
      partition: number,
      messages: fc.array(message, { minLength: 1, maxLength: 70 }),
    })
    await fc.assert(
      fc.asyncProperty(data, producer, number, async ({ topic, partition, messages }, state, timeout) => {
        const { sequence: firstSequence, ...rest } = state
        const topicData = (more: object) => [{ topic, partitions: [{ partition, messages, ...more }] }]
        const wanted = await kafkajsProduce({
          acks: -1,
          timeout,
          ...rest,
          topicData: topicData({ firstSequence }),
        }).encode()
        expect(encodeProduce(topicData({}), timeout, nowMs, state).equals(wanted.buffer)).toBe(true)
      }),
    )
  })

  it('writes a Fetch request as kafkajs does', async () => {
    const partition = fc.record({ partition: number, fetchOffset: fc.maxSafeNat() })
    await fc.assert(
      fc.asyncProperty(topicsOf(partition), number, number, async (topics, waitMs, bytesMax) => {
        const wanted = await kafkajsFetch({
          replicaId: -1,
          maxWaitTime: waitMs,
          minBytes: 1,
          maxBytes: bytesMax,
          topics: topics.map(({ topic, partitions }) => ({
            topic,
            partitions: partitions.map((it) => ({ ...it, fetchOffset: String(it.fetchOffset), maxBytes: 1_000 })),
          })),
        }).encode()
        expect(encodeFetch(topics, { waitMs, bytesMax, partitionBytesMax: 1_000 }).equals(wanted.buffer)).toBe(true)
      }),
    )
  })

  it('computes CRC-32C as published (RFC 3720, B.4)', () => {
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa)
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43)
    expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))).toBe(0x46dd794e)
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(crc32c(Buffer.from('xx123456789x'), 2, 11)).toBe(0xe3069283)
  })
})
