/**
 * A Kafka broker for tests: real, on free ports, in a folder of its own. Where Java or Maven is missing the tests are skipped by name,
 * except in continuous integration, where that is an error.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startBroker, type Broker, type BrokerOptions } from '../../scripts/kafka-broker.ts'
import { missingForKafka } from '../../scripts/kafka-jars.ts'

/**
 * Whether a broker can run here.
 * @throws Error in continuous integration (`CI=true`) when it cannot: there a skipped suite would pass for a tested one.
 */
export async function kafkaAvailable(): Promise<boolean> {
  const missing = await missingForKafka()
  if (missing && process.env['CI'] === 'true') throw new Error(missing)
  return missing === undefined
}

/** For the titles of suites that need a broker. */
export const needsKafka = 'needs Java 17 and Maven'

export interface TestBroker extends Broker {
  /** Ends it and deletes its folder. */
  close(): Promise<void>
}

/** Starts a broker in a temporary folder. */
export async function startTestBroker(options: Omit<BrokerOptions, 'dir'> = {}): Promise<TestBroker> {
  const dir = await mkdtemp(join(tmpdir(), 'pizza-kafka-'))
  const broker = await startBroker({ ...options, dir })
  return Object.assign(broker, {
    async close() {
      // Its data goes too, so there is nothing to end in good order.
      await broker.kill()
      await rm(dir, { recursive: true, force: true })
    },
  })
}
