/**
 * Kafka client. The only file that imports kafkajs, which serves as protocol layer: connections, authentication, metadata, requests and
 * their encoding. Producer, consumer and group membership are ours (kafka-producer, kafka-consumer, kafka-group), because kafkajs's
 * consumer takes partitions away before the handler has settled and cannot wait for a revocation, and its producer copies a
 * batch once for every record in it. Its version is pinned; what is used of it beside the public types is declared here.
 *
 * K1: no credential reaches a log line or an error: messages pass through `redact`.
 * K2: kafkajs retries nothing on its own beyond finding a broker; `attempt` retries, within a bound.
 */
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import kafkajs, { type KafkaConfig, type PartitionMetadata } from 'kafkajs'
import { LogError, type TopicPartition } from './event-log.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { toLogError } from './kafka-errors.ts'
import { mendReconnect, type ReopenedConnection } from './kafka-reconnect.ts'

const require = createRequire(import.meta.url)

const { KafkaJSConnectionClosedError } = require('kafkajs/src/errors') as {
  KafkaJSConnectionClosedError: new (message: string) => Error
}
mendReconnect(
  (require('kafkajs/src/network/connection') as { prototype: ReopenedConnection }).prototype,
  () => new KafkaJSConnectionClosedError('Closed connection'),
)

/** A record as kafkajs decodes it. */
export interface FetchedMessage {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer | Buffer[]>>
  readonly isControlRecord: boolean
  readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean }
}

export interface FetchedPartition {
  readonly partition: number
  readonly highWatermark: string
  /** Those that reach into what was fetched. */
  readonly abortedTransactions: readonly { readonly producerId: string; readonly firstOffset: string }[]
  readonly messages: readonly FetchedMessage[]
}

interface TopicPartitions<P> {
  readonly topic: string
  readonly partitions: readonly P[]
}

/** The requests of kafkajs's broker that are used here, as far as they are used. */
export interface KafkaBroker {
  createTopics(request: {
    topics: readonly {
      topic: string
      numPartitions: number
      replicationFactor: number
      configEntries: readonly { name: string; value: string }[]
    }[]
    timeout: number
  }): Promise<unknown>
  describeConfigs(request: {
    resources: readonly { type: number; name: string; configNames: readonly string[] }[]
  }): Promise<{
    resources: readonly {
      readonly resourceName: string
      readonly configEntries: readonly { readonly configName: string; readonly configValue: string | null }[]
    }[]
  }>
  joinGroup(request: {
    groupId: string
    memberId: string
    sessionTimeout: number
    rebalanceTimeout: number
    groupProtocols: readonly { name: string; metadata: Buffer }[]
  }): Promise<{
    generationId: number
    leaderId: string
    memberId: string
    members: { memberId: string; memberMetadata: Buffer }[]
  }>
  syncGroup(request: {
    groupId: string
    generationId: number
    memberId: string
    groupAssignment: readonly { memberId: string; memberAssignment: Buffer }[]
  }): Promise<{ memberAssignment: Buffer }>
  describeGroups(request: {
    groupIds: readonly string[]
  }): Promise<{ groups: { members: { memberId: string; memberMetadata: Buffer; memberAssignment: Buffer }[] }[] }>
  heartbeat(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>
  offsetCommit(request: {
    groupId: string
    groupGenerationId: number
    memberId: string
    topics: readonly TopicPartitions<{ partition: number; offset: string }>[]
  }): Promise<unknown>
  offsetFetch(request: {
    groupId: string
    topics: readonly TopicPartitions<{ partition: number }>[]
  }): Promise<{ responses: TopicPartitions<{ partition: number; offset: string }>[] }>
  listOffsets(request: {
    isolationLevel: number
    topics: readonly TopicPartitions<{ partition: number; timestamp: number }>[]
  }): Promise<{ responses: TopicPartitions<{ partition: number; offset: string }>[] }>
  disconnect(): Promise<void>
  readonly connectionPool: { send(request: object): Promise<unknown> }
}

interface ProduceResponse {
  readonly topics: readonly {
    readonly topicName: string
    readonly partitions: readonly {
      readonly partition: number
      readonly errorCode: number
      readonly baseOffset: string
    }[]
  }[]
}

interface FetchResponse {
  readonly responses: readonly { readonly topicName: string; readonly partitions: readonly FetchedPartition[] }[]
}

/** kafkajs's view of one cluster: its brokers, two connections to each (one for fetches), and metadata of the topics named. */
export interface KafkaCluster {
  disconnect(): Promise<void>
  refreshMetadata(): Promise<void>
  refreshMetadataIfNecessary(): Promise<void>
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
  metadata(): Promise<{ topicMetadata: { topic: string }[] } | null>
  findTopicPartitionMetadata(topic: string): PartitionMetadata[]
  findBroker(node: { nodeId: number }): Promise<KafkaBroker>
  findControllerBroker(): Promise<KafkaBroker>
  findGroupCoordinator(group: { groupId: string; coordinatorType?: number }): Promise<KafkaBroker>
  fetchTopicsOffset(
    topics: readonly (TopicPartitions<{ partition: number }> & { fromBeginning: boolean })[],
  ): Promise<TopicPartitions<{ partition: number; offset: string }>[]>
}

/** Isolation levels: all that is stored, or what no open transaction holds back. */
export const readUncommitted = 0
export const readCommitted = 1
const produceResponse = require('kafkajs/src/protocol/requests/produce/v7/response') as { decode: unknown }
const fetchResponse = require('kafkajs/src/protocol/requests/fetch/v11/response') as object

/** The error that a protocol error code stands for; 0 is none. */
export const toProtocolError = (require('kafkajs/src/protocol/error') as { createErrorFromCode(code: number): Error })
  .createErrorFromCode

/** Sends a Produce request that kafka-encoding made. Errors are in the answer, by partition: some may have succeeded. */
export function sendProduce(broker: KafkaBroker, body: Buffer): Promise<ProduceResponse> {
  const whole = { ...produceResponse, parse: (answer: unknown) => Promise.resolve(answer) }
  return send(broker, { apiKey: 0, apiVersion: 7, apiName: 'Produce', body }, whole) as Promise<ProduceResponse>
}

/** Sends a Fetch request that kafka-encoding made, on the broker's second connection. @throws the error of the first partition that has one. */
export function sendFetch(broker: KafkaBroker, body: Buffer): Promise<FetchResponse> {
  return send(broker, { apiKey: 1, apiVersion: 11, apiName: 'Fetch', body }, fetchResponse) as Promise<FetchResponse>
}

/** The broker that leads a partition of a topic whose metadata the cluster has. */
export function findLeader(cluster: KafkaCluster, { topic, partition }: TopicPartition): Promise<KafkaBroker> {
  const found = cluster.findTopicPartitionMetadata(topic).find(({ partitionId }) => partitionId === partition)
  return cluster.findBroker({ nodeId: found?.leader ?? -1 })
}

/** The broker that keeps the transactions of an id. */
export function findTransactionCoordinator(cluster: KafkaCluster, transactionalId: string): Promise<KafkaBroker> {
  return cluster.findGroupCoordinator({ groupId: transactionalId, coordinatorType: 1 })
}

interface Transaction {
  readonly transactionalId: string
  readonly producerId: string
  readonly producerEpoch: number
}

export const sendInitProducerId = createTransactionRequest('initProducerId') as (
  broker: KafkaBroker,
  request: { readonly transactionalId: string; readonly transactionTimeout: number },
) => Promise<Pick<Transaction, 'producerId' | 'producerEpoch'>>

export const sendAddPartitionsToTxn: (
  broker: KafkaBroker,
  request: Transaction & { readonly topics: readonly TopicPartitions<number>[] },
) => Promise<unknown> = createTransactionRequest('addPartitionsToTxn')

export const sendEndTxn: (
  broker: KafkaBroker,
  request: Transaction & { readonly transactionResult: boolean },
) => Promise<unknown> = createTransactionRequest('endTxn')

/** Not the broker's own methods: those warn of every answer that only says to come again. */
function createTransactionRequest(name: string): (broker: KafkaBroker, request: object) => Promise<unknown> {
  const { protocol } = require(`kafkajs/src/protocol/requests/${name}`) as {
    protocol(of: { version: number }): (request: object) => object
  }
  const make = protocol({ version: 1 })
  return (broker, request) => sendOn(broker, { ...make(request), logResponseError: false })
}

interface HotRequest {
  readonly apiKey: number
  readonly apiVersion: number
  readonly apiName: string
  readonly body: Buffer
}

/** Sends a request as kafkajs's broker does; `encode` gives what it takes for one of its encoders. */
function send(broker: KafkaBroker, { body, ...request }: HotRequest, response: object) {
  const encode = () => Promise.resolve({ buf: body, buffer: body })
  return sendOn(broker, { request: { ...request, encode }, response })
}

async function sendOn(broker: KafkaBroker, exchange: object): Promise<unknown> {
  try {
    return await broker.connectionPool.send(exchange)
  } catch (error) {
    if ((error as Error).name === 'KafkaJSConnectionClosedError') await broker.disconnect()
    throw error
  }
}

export const { AssignerProtocol } = kafkajs

export interface KafkaClientOptions {
  readonly connection: KafkaConnection
  /** How long one operation may take before it fails as `unavailable`, in milliseconds. */
  readonly operationTimeoutMs: number
  /** Told of trouble that kafkajs notices, without credentials. */
  readonly onWarning: (message: string) => void
}

/** One cluster connection with bounded retries. Producer and lookups share one; every consumer has its own. */
export interface KafkaClient {
  readonly cluster: KafkaCluster
  /**
   * Runs an operation, again while the cluster does not answer, until the bound.
   * @param action what it is for, in messages: `append to pizza`.
   * @throws LogError
   */
  attempt<T>(action: string, run: (cluster: KafkaCluster) => Promise<T>, dueAtMs?: number): Promise<T>
  toLogError(error: unknown, action: string): LogError
  /** Closes the connections in good order. */
  close(): Promise<void>
  /** Destroys the sockets at once, as a crash does. */
  destroy(): void
}

export function createKafkaClient(options: KafkaClientOptions): KafkaClient {
  const { connection, operationTimeoutMs } = options
  const redact = createRedactor(connection)
  const sockets = new Set<Socket>()
  const cluster = openCluster(options, redact, sockets)
  let isClosed = false

  const destroySockets = () => {
    for (const socket of sockets) socket.destroy()
  }
  const mapError = (error: unknown, action: string) => toLogError(error, { action, connection, redact })

  async function attempt<T>(
    action: string,
    run: (cluster: KafkaCluster) => Promise<T>,
    dueAtMs = Date.now() + operationTimeoutMs,
  ): Promise<T> {
    for (let delayMs = 20; ; delayMs = Math.min(delayMs * 2, 500)) {
      try {
        if (isClosed) throw new LogError('closed', `Cannot ${action}: the log is closed`)
        return await run(cluster)
      } catch (error) {
        const mapped = mapError(error, action)
        if (mapped.code !== 'unavailable' || Date.now() + delayMs >= dueAtMs || isClosed) throw mapped
        await sleep(delayMs)
        // Leaders may have moved. Failure is no news: the next try of `run` tells.
        await cluster.refreshMetadata().catch(() => {})
      }
    }
  }

  return {
    cluster,
    attempt,
    toLogError: mapError,
    async close() {
      if (isClosed) return
      isClosed = true
      await cluster.disconnect()
      destroySockets()
    },
    destroy() {
      isClosed = true
      destroySockets()
    },
  }
}

function openCluster(
  { connection, operationTimeoutMs, onWarning }: KafkaClientOptions,
  redact: (text: string) => string,
  sockets: Set<Socket>,
): KafkaCluster {
  const { brokers, clientId, ssl, sasl } = connection
  const warn = createWarner((message) => onWarning(redact(message)))
  const config: KafkaConfig = {
    brokers: [...brokers],
    clientId,
    connectionTimeout: Math.min(3_000, operationTimeoutMs),
    authenticationTimeout: operationTimeoutMs,
    requestTimeout: operationTimeoutMs,
    // One try for each broker in the list. kafkajs's own default differs under test runners.
    retry: { retries: Math.max(brokers.length, 2), initialRetryTime: 50, maxRetryTime: 500 },
    logLevel: kafkajs.logLevel.WARN,
    // An error in an answer is for whoever asked, and mostly none: a rebalance, a coordinator that has just moved.
    logCreator: () => (entry) => {
      if (!entry.log.message.startsWith('Response ')) warn(`${entry.namespace}: ${entry.log.message}`)
    },
    ssl: typeof ssl === 'boolean' ? ssl : { ca: [...ssl.ca] },
    socketFactory({ host, port, ssl: tls, onConnect }) {
      const servername = host.includes(':') || /^[\d.]+$/.test(host) ? {} : { servername: host }
      const socket = tls
        ? connectTls({ host, port, ...servername, ...tls }, onConnect)
        : connectTcp({ host, port }, onConnect)
      socket.setNoDelay(true)
      // kafkajs ends a socket that is still connecting once for each request that gave up on it.
      socket.setMaxListeners(0)
      sockets.add(socket)
      return socket.on('close', () => sockets.delete(socket))
    },
  }
  if (sasl)
    config.sasl = {
      mechanism: sasl.mechanism,
      username: sasl.username,
      password: sasl.password,
    } as KafkaConfig['sasl'] & {}
  const kafka = new kafkajs.Kafka(config)
  // A cluster cannot be had through kafkajs's public interface; this is what its own producers and consumers are made with.
  const symbol = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === 'private:Kafka:createCluster',
  )
  const create = symbol && (kafka as unknown as Record<symbol, (options: object) => KafkaCluster>)[symbol]
  if (!create) throw new Error('This kafkajs has no clusters: kafka-client.ts is written for version 2.2.4')
  return create({ metadataMaxAge: 300_000, allowAutoTopicCreation: false, isolationLevel: readCommitted })
}

/** Passes each message on once in a while: kafkajs warns of every connection that it tries. */
function createWarner(pass: (message: string) => void): (message: string) => void {
  let passed = new Set<string>()
  let since = 0
  return (message) => {
    if (Date.now() - since > 30_000 || passed.size > 100) [passed, since] = [new Set(), Date.now()]
    if (passed.has(message)) return
    passed.add(message)
    pass(message)
  }
}

function createRedactor({ sasl }: KafkaConnection): (text: string) => string {
  return (text) => (sasl?.password ? text.replaceAll(sasl.password, '***') : text)
}
