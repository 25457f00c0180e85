/** Errors of kafkajs and of sockets, mapped once to the log's own codes, with what to do about them. */
import { LogError, type LogErrorCode } from './event-log.ts'
import type { KafkaConnection } from './kafka-connection.ts'

interface KafkaError {
  readonly name: string
  readonly message: string
  /** Kafka's name of a protocol error, such as UNKNOWN_MEMBER_ID. */
  readonly type?: string
  /** A number in protocol errors, Node's code in socket errors. */
  readonly code?: string | number
  readonly cause?: unknown
  readonly errors?: readonly unknown[]
}

interface ErrorContext {
  /** What was being done: `append to pizza`. */
  readonly action: string
  readonly connection: KafkaConnection
  readonly redact: (text: string) => string
}

/** What brokers answer to the holder of a claim (kafka-claim.ts) that is not the newest, or that they have forgotten. */
const fencedClaimTypes = [
  'INVALID_PRODUCER_EPOCH',
  'INVALID_TXN_STATE',
  'INVALID_PRODUCER_ID_MAPPING',
  'UNKNOWN_PRODUCER_ID',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
]

const codeByType: Readonly<Record<string, LogErrorCode>> = {
  UNKNOWN_TOPIC_OR_PARTITION: 'unknown-topic',
  INVALID_TOPIC_EXCEPTION: 'unknown-topic',
  MESSAGE_TOO_LARGE: 'record-too-large',
  RECORD_LIST_TOO_LARGE: 'record-too-large',
  UNKNOWN_MEMBER_ID: 'fenced',
  ILLEGAL_GENERATION: 'fenced',
  FENCED_INSTANCE_ID: 'fenced',
  ...Object.fromEntries(fencedClaimTypes.map((type) => [type, 'fenced'])),
  SASL_AUTHENTICATION_FAILED: 'authentication',
  ILLEGAL_SASL_STATE: 'authentication',
  UNSUPPORTED_SASL_MECHANISM: 'authentication',
  TOPIC_AUTHORIZATION_FAILED: 'authentication',
  GROUP_AUTHORIZATION_FAILED: 'authentication',
  CLUSTER_AUTHORIZATION_FAILED: 'authentication',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'authentication',
}

/** Kafka's name of a protocol error, as `REBALANCE_IN_PROGRESS`; undefined for other errors. */
export function protocolErrorType(error: unknown): string | undefined {
  const { type } = unwrap(error)
  return typeof type === 'string' ? type : undefined
}

/** The same for each of several errors in one answer. */
export function toProtocolErrorTypes(error: unknown): (string | undefined)[] {
  const { errors } = error as KafkaError
  return errors ? errors.map(protocolErrorType) : [protocolErrorType(error)]
}

/** Maps any error to a LogError that says what was tried, what happened, and what to do. */
export function toLogError(error: unknown, { action, connection, redact }: ErrorContext): LogError {
  if (error instanceof LogError) return error
  const cause = unwrap(error)
  const code = toCode(cause)
  const what = redact(`Cannot ${action}: ${toReason(cause, code, connection)}`)
  return new LogError(code, what, { cause: error })
}

function unwrap(error: unknown): KafkaError {
  let inner = error as KafkaError
  while (inner.cause instanceof Error && inner.cause !== inner) inner = inner.cause
  const [first] = inner.errors ?? []
  return first instanceof Error && inner.name === 'KafkaJSAggregateError' ? unwrap(first) : inner
}

function toCode(error: KafkaError): LogErrorCode {
  if (error.name === 'KafkaJSSASLAuthenticationError' || isCertificateError(error)) return 'authentication'
  return codeByType[error.type ?? ''] ?? 'unavailable'
}

/** A broker hangs up without a word on a client that speaks another protocol, or that does not log in. */
function isHangUp({ name, message }: KafkaError): boolean {
  return name === 'KafkaJSConnectionClosedError' || /closed by the server|ECONNRESET|timeout/i.test(message)
}

const hangUpHint = '; if it runs, check that security.protocol is what this port expects'

function isCertificateError({ code }: KafkaError): boolean {
  return typeof code === 'string' && /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO/.test(code)
}

function toReason(error: KafkaError, code: LogErrorCode, connection: KafkaConnection): string {
  const where = `Kafka at ${connection.brokers.join(', ')}`
  switch (code) {
    case 'unavailable':
      return `${where} does not answer (${error.message}${isHangUp(error) ? hangUpHint : ''})`
    case 'authentication':
      return `${where} refuses the connection (${error.message}): ${toRemedy(error, connection)}`
    case 'fenced':
      return fencedClaimTypes.includes(error.type ?? '')
        ? `another claim of it was made since (${error.message})`
        : `this member has lost its partitions (${error.message})`
    case 'record-too-large':
      return `${where} takes no record of this size (${error.message})`
    case 'unknown-topic':
      return `${where} has no such topic (${error.message})`
    case 'partition-count':
    case 'closed':
      return error.message
  }
}

function toRemedy(error: KafkaError, { sasl, ssl }: KafkaConnection): string {
  if (isCertificateError(error)) {
    return ssl
      ? 'set ssl.ca.location to the PEM file of the authority that signed the broker’s certificate, and check security.protocol'
      : 'check security.protocol'
  }
  if (error.type?.includes('AUTHORIZATION'))
    return `give ${sasl ? `user ${sasl.username}` : 'this client'} the rights it needs`
  if (!sasl) return 'set security.protocol, sasl.mechanisms, sasl.username and sasl.password'
  return `check sasl.username (${sasl.username}), sasl.password and sasl.mechanisms (${sasl.mechanism})`
}
