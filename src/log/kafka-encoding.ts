/**
 * Kafka's two hot requests, Produce (version 7) and Fetch (version 11), encoded in one pass into one buffer. kafkajs makes several
 * buffers for every record and partition, which at small batches costs more than all the rest. The layout is its own, byte for byte
 * (kafka-encoding.test.ts); https://kafka.apache.org/protocol describes it.
 */
import { crc32c } from './crc32c.ts'

export interface ProduceMessage {
  readonly key: string | Buffer | null
  readonly value: string | Buffer | null
  readonly headers?: Readonly<Record<string, string>>
}

export interface ProducePartition {
  readonly partition: number
  readonly messages: readonly ProduceMessage[]
}

/** What a broker tells a producer in a transaction by; the request then has one partition. */
export interface ProducerState {
  readonly transactionalId: string
  readonly producerId: string
  readonly producerEpoch: number
  /** Number of the batch's first record: a broker takes a batch that it has already for the one it has. */
  readonly sequence: number
}

export interface FetchPartition {
  readonly partition: number
  readonly fetchOffset: number
}

type Topics<P> = readonly { readonly topic: string; readonly partitions: readonly P[] }[]

/** Bytes of a record batch before its records, and of a partition before its batch. */
const batchHeaderBytes = 61
const partitionHeaderBytes = 8
/** Most bytes that a record needs beside key, value and headers: five lengths of up to five bytes, attributes, timestamp. */
const recordOverheadBytesMax = 32
const recordBatchMagic = 2
const transactional = 16

/**
 * Encodes a Produce request that waits for all in-sync replicas.
 * @param timestampMs of all its records.
 * @param producer in a transaction.
 */
export function encodeProduce(
  topics: Topics<ProducePartition>,
  timeoutMs: number,
  timestampMs: number,
  producer?: ProducerState,
): Buffer {
  const writer = createWriter(sizeOfProduce(topics) + (producer ? Buffer.byteLength(producer.transactionalId) : 0))
  if (producer) writer.string(producer.transactionalId)
  else writer.int16(-1)
  writer.int16(-1) // acks: all
  writer.int32(timeoutMs)
  writer.int32(topics.length)
  for (const { topic, partitions } of topics) {
    writer.string(topic)
    writer.int32(partitions.length)
    for (const { partition, messages } of partitions) {
      writer.int32(partition)
      const sizeAt = writer.skip(4)
      writeRecordBatch(writer, messages, timestampMs, producer)
      writer.buffer.writeInt32BE(writer.position - sizeAt - 4, sizeAt)
    }
  }
  return writer.finish()
}

/** Encodes a Fetch request outside any fetch session, as a consumer of committed records. */
export function encodeFetch(
  topics: Topics<FetchPartition>,
  limits: { readonly waitMs: number; readonly bytesMax: number; readonly partitionBytesMax: number },
): Buffer {
  let size = 64
  for (const { topic, partitions } of topics) size += 8 + Buffer.byteLength(topic) + partitions.length * 28
  const writer = createWriter(size)
  writer.int32(-1) // replica id: a consumer
  writer.int32(limits.waitMs)
  writer.int32(1) // least bytes
  writer.int32(limits.bytesMax)
  writer.int8(1) // read committed
  writer.int32(0) // session id
  writer.int32(-1) // session epoch
  writer.int32(topics.length)
  for (const { topic, partitions } of topics) {
    writer.string(topic)
    writer.int32(partitions.length)
    for (const { partition, fetchOffset } of partitions) {
      writer.int32(partition)
      writer.int32(-1) // leader epoch: any
      writer.int64(BigInt(fetchOffset))
      writer.int64(-1n) // log start: for followers
      writer.int32(limits.partitionBytesMax)
    }
  }
  writer.int32(0) // forgotten topics
  writer.string('') // rack
  return writer.finish()
}

function writeRecordBatch(
  writer: Writer,
  messages: readonly ProduceMessage[],
  timestampMs: number,
  producer: ProducerState | undefined,
): void {
  const timestamp = BigInt(timestampMs)
  writer.int64(0n) // base offset: the broker's to set
  const lengthAt = writer.skip(4)
  writer.int32(0) // leader epoch: the broker's to set
  writer.int8(recordBatchMagic)
  const crcAt = writer.skip(4)
  writer.int16(producer ? transactional : 0) // attributes: no compression, timestamps of the writer
  writer.int32(messages.length - 1)
  writer.int64(timestamp)
  writer.int64(timestamp)
  writer.int64(BigInt(producer?.producerId ?? -1)) // -1: no producer
  writer.int16(producer?.producerEpoch ?? 0)
  writer.int32(producer?.sequence ?? 0)
  writer.int32(messages.length)
  for (const [offsetDelta, message] of messages.entries()) writeRecord(writer, message, offsetDelta)
  const { buffer, position } = writer
  buffer.writeInt32BE(position - lengthAt - 4, lengthAt)
  buffer.writeUInt32BE(crc32c(buffer, crcAt + 4, position), crcAt)
}

function writeRecord(writer: Writer, { key, value, headers }: ProduceMessage, offsetDelta: number): void {
  const keyBytes = lengthOf(key)
  const valueBytes = lengthOf(value)
  const names = headers ? Object.keys(headers) : []
  let size = 2 + sizeOfVarint(offsetDelta) + sizeOfPart(keyBytes) + sizeOfPart(valueBytes) + sizeOfVarint(names.length)
  for (const name of names) size += sizeOfPart(lengthOf(name)) + sizeOfPart(lengthOf(headers![name]!))
  writer.varint(size)
  writer.int8(0) // attributes
  writer.varint(0) // timestamp, after the batch's first
  writer.varint(offsetDelta)
  writer.part(key, keyBytes)
  writer.part(value, valueBytes)
  writer.varint(names.length)
  for (const name of names) {
    writer.part(name, lengthOf(name))
    writer.part(headers![name]!, lengthOf(headers![name]!))
  }
}

/** Bytes of a key or value; -1 for none, as on the wire. */
function lengthOf(part: string | Buffer | null): number {
  return part === null ? -1 : Buffer.byteLength(part)
}

function sizeOfPart(length: number): number {
  return sizeOfVarint(length) + Math.max(length, 0)
}

/** Bytes of a number in zigzag and base 128. */
function sizeOfVarint(value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 7
  let size = 1
  for (; rest > 0; rest >>>= 7) size++
  return size
}

function sizeOfProduce(topics: Topics<ProducePartition>): number {
  let size = 16
  for (const { topic, partitions } of topics) {
    size += 8 + Buffer.byteLength(topic) + partitions.length * (partitionHeaderBytes + batchHeaderBytes)
    for (const { messages } of partitions) {
      for (const { key, value, headers } of messages) {
        size += recordOverheadBytesMax + lengthOf(key) + lengthOf(value)
        for (const name in headers) size += 10 + lengthOf(name) + lengthOf(headers[name]!)
      }
    }
  }
  return size
}

type Writer = ReturnType<typeof createWriter>

function createWriter(bytesMax: number) {
  const buffer = Buffer.allocUnsafe(bytesMax)
  let position = 0
  return {
    buffer,
    get position() {
      return position
    },
    /** Leaves bytes to be written later. @returns where they are. */
    skip(bytes: number): number {
      position += bytes
      return position - bytes
    },
    int8(value: number): void {
      position = buffer.writeInt8(value, position)
    },
    int16(value: number): void {
      position = buffer.writeInt16BE(value, position)
    },
    int32(value: number): void {
      position = buffer.writeInt32BE(value, position)
    },
    int64(value: bigint): void {
      position = buffer.writeBigInt64BE(value, position)
    },
    varint(value: number): void {
      let rest = ((value << 1) ^ (value >> 31)) >>> 0
      for (; rest > 127; rest >>>= 7) buffer[position++] = (rest & 127) | 128
      buffer[position++] = rest
    },
    string(value: string): void {
      const bytes = buffer.write(value, position + 2)
      buffer.writeInt16BE(bytes, position)
      position += 2 + bytes
    },
    part(value: string | Buffer | null, length: number): void {
      this.varint(length)
      if (typeof value === 'string') position += buffer.write(value, position)
      else if (value) position += value.copy(buffer, position)
    },
    finish: () => buffer.subarray(0, position),
  }
}
