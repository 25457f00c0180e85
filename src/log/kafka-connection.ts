/** How to reach a Kafka cluster. Made by config from the properties file and the environment, used by kafka-log. */

export interface KafkaConnection {
  /** `host:port` each. */
  readonly brokers: readonly string[]
  readonly clientId: string
  /** `false` is plain text; an object adds certificate authorities (PEM) to trust. */
  readonly ssl: boolean | { readonly ca: readonly string[] }
  readonly sasl?: KafkaSasl
}

export interface KafkaSasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  /** Not enumerable when config made it, so that no spread, JSON or inspect shows it: read it by name. */
  readonly password: string
}
