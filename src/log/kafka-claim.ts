/**
 * Kafka claims. The right to write one partition alone is a transactional id of its own: whoever asks the transaction coordinator for its
 * producer gets a higher epoch, and brokers refuse the lower ones. Each append is one transaction on that partition; positions are
 * ordinary records of the caller, so no consumer group takes part.
 *
 * T1: a claim resolves when what earlier ones left open is aborted, what they committed is readable, and they are refused.
 * T2: a request that may have been carried out is repeated unchanged, with the same sequence; brokers know it by that.
 * T3: an append that gave up leaves its transaction open. The next claim of the partition aborts or completes it, or the
 *     coordinator does after `transactionTimeoutMs`; only then do readers pass it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClaim } from './claim.ts'
import type { Claim, ClaimRecord, TopicPartition } from './event-log.ts'
import {
  findLeader,
  findTransactionCoordinator,
  readCommitted,
  readUncommitted,
  sendAddPartitionsToTxn,
  sendEndTxn,
  sendInitProducerId,
  sendProduce,
  type KafkaBroker,
  type KafkaClient,
  type KafkaCluster,
} from './kafka-client.ts'
import { encodeProduce } from './kafka-encoding.ts'
import { protocolErrorType } from './kafka-errors.ts'
import { toProduceError } from './kafka-producer.ts'
import { measureRecord, splitByBytes } from './kafka-sizes.ts'
import type { KafkaTopics } from './kafka-topics.ts'
import { unknownPartition } from './local-append.ts'

export interface KafkaClaimsOptions {
  readonly client: KafkaClient
  /** How long an append, or a claim, may wait for the cluster before it fails as `unavailable`. */
  readonly appendTimeoutMs: number
  readonly recordBytesMax: number
}

export interface KafkaClaims {
  claim(at: TopicPartition): Promise<Claim>
  /** Resolves when no append is in flight. */
  idle(): Promise<void>
}

/** A coordinator that is still writing the end of the transaction before says to come again; that takes it a few milliseconds. */
const busyDelayMs = 5
/** Sequences are 32 bits wide and go on at 0. */
const sequenceCount = 2 ** 31

export function createKafkaClaims(
  options: KafkaClaimsOptions,
  topics: Pick<KafkaTopics, 'learn' | 'partitions'>,
): KafkaClaims {
  const inFlight = new Set<Promise<unknown>>()

  return {
    async claim(at) {
      const { topic, partition } = at
      await topics.learn([topic])
      const count = topics.partitions([topic]).get(topic)!.length
      if (partition < 0 || partition >= count) throw unknownPartition(topic, partition, count)
      const write = await open(at, options)
      return createClaim(at, (records) => {
        const writing = write(records)
        const settled = writing.catch(() => {}).finally(() => inFlight.delete(settled))
        inFlight.add(settled)
        return writing
      })
    },
    async idle() {
      await Promise.all(inFlight)
    },
  }
}

/** Takes the partition over. @returns what appends records to it. */
async function open(
  at: TopicPartition,
  options: KafkaClaimsOptions,
): Promise<(records: readonly ClaimRecord[]) => Promise<number>> {
  const { client, appendTimeoutMs, recordBytesMax } = options
  const { topic, partition } = at
  const transactionalId = `${topic}.${partition}`
  // An append that gives up must have done so before the coordinator aborts it, or it would be told that it was fenced.
  const transactionTimeout = 2 * appendTimeoutMs
  let coordinator: KafkaBroker | undefined

  /** Asks the coordinator, again while it is busy with the transaction before. */
  async function ask<T>(action: string, dueAtMs: number, send: (coordinator: KafkaBroker) => Promise<T>): Promise<T> {
    return client.attempt(
      action,
      async (cluster) => {
        for (;;) {
          try {
            return await send((coordinator ??= await findTransactionCoordinator(cluster, transactionalId)))
          } catch (error) {
            const isBusy = protocolErrorType(error) === 'CONCURRENT_TRANSACTIONS'
            if (!isBusy) coordinator = undefined
            if (!isBusy || Date.now() >= dueAtMs) throw error
            await sleep(busyDelayMs)
          }
        }
      },
      dueAtMs,
    )
  }

  const dueAtMs = Date.now() + appendTimeoutMs
  const claiming = `claim ${topic}/${partition}`
  const { producerId, producerEpoch } = await ask(claiming, dueAtMs, (broker) =>
    sendInitProducerId(broker, { transactionalId, transactionTimeout }),
  )
  let position = await findSettledEnd(client, at, claiming, dueAtMs)
  let sequence = 0
  const transaction = { transactionalId, producerId, producerEpoch }

  return async (records) => {
    const sized = records.map(({ key, value }) => ({
      key,
      value,
      bytes: measureRecord({ topic, key, value }, recordBytesMax),
    }))
    if (sized.length === 0) return position
    const appendDueAtMs = Date.now() + appendTimeoutMs
    const action = `append to ${topic}/${partition}`
    await ask(action, appendDueAtMs, (broker) =>
      sendAddPartitionsToTxn(broker, { ...transaction, topics: [{ topic, partitions: [partition] }] }),
    )
    for (const messages of splitByBytes(sized, recordBytesMax)) {
      const topicData = [{ topic, partitions: [{ partition, messages }] }]
      const body = encodeProduce(topicData, appendTimeoutMs, Date.now(), { ...transaction, sequence })
      const baseOffset = await client.attempt(action, (cluster) => produce(cluster, at, body), appendDueAtMs)
      position = baseOffset + messages.length
      sequence = (sequence + messages.length) % sequenceCount
    }
    await ask(action, appendDueAtMs, (broker) => sendEndTxn(broker, { ...transaction, transactionResult: true }))
    return position
  }
}

/** @returns the offset of the first record. */
async function produce(cluster: KafkaCluster, at: TopicPartition, body: Buffer): Promise<number> {
  const { topics } = await sendProduce(await findLeader(cluster, at), body)
  const { errorCode, baseOffset } = topics[0]!.partitions[0]!
  if (errorCode !== 0) throw toProduceError(errorCode)
  return Number(baseOffset)
}

/** Waits until readers of what is committed get to where the partition ended first: the ends of transactions take a moment to be seen. */
async function findSettledEnd(
  client: KafkaClient,
  { topic, partition }: TopicPartition,
  action: string,
  dueAtMs: number,
): Promise<number> {
  let highWatermark: number | undefined
  return client.attempt(
    action,
    async (cluster) => {
      const leader = await findLeader(cluster, { topic, partition })
      const look = async (isolationLevel: number) => {
        const topics = [{ topic, partitions: [{ partition, timestamp: -1 }] }]
        const { responses } = await leader.listOffsets({ isolationLevel, topics })
        return Number(responses[0]!.partitions[0]!.offset)
      }
      // Once: a claim made meanwhile may go on writing, and that need not be waited for.
      highWatermark ??= await look(readUncommitted)
      const end = await look(readCommitted)
      if (end < highWatermark) throw new Error(`a transaction is open at offset ${end}`)
      return end
    },
    dueAtMs,
  )
}
