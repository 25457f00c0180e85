/**
 * `npm run kafka`: a one-node Apache Kafka without Docker, kept in a folder, until Ctrl-C.
 */
import { mkdir } from 'node:fs/promises'
import { Command, InvalidArgumentError } from 'commander'
import { startBroker } from './kafka-broker.ts'
import { kafkaVersion } from './kafka-jars.ts'

const command = new Command('npm run kafka --')
  .description(`Runs Apache Kafka ${kafkaVersion} on this machine (needs Java 17 and, the first time, Maven)`)
  .option('--port <number>', 'port to listen on', parsePort, 9092)
  .option('--data <folder>', 'where records are kept', '.kafka/data')
  .parse()

const { port, data } = command.opts<{ port: number; data: string }>()

try {
  await mkdir(data, { recursive: true })
  const onDownload = (folder: string) => console.log(`Downloading Kafka ${kafkaVersion} into ${folder} (once)`)
  const broker = await startBroker({ dir: data, port, onDownload })
  const address = broker.bootstrapServers.replace('127.0.0.1', 'localhost')
  console.log(`Kafka ${kafkaVersion} listens on ${address}, records are kept in ${data}. Stop it with Ctrl-C.`)
  console.log(`Point the shop at it with a file config.properties:\n\n  bootstrap.servers=${address}\n`)
  console.log('and start it with: npm start -- --config config.properties')
  let stopping = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      stopping = true
      void broker.stop()
    })
  }
  const log = await broker.exited()
  if (stopping) console.log('Kafka has stopped.')
  else throw new Error(`Kafka ended by itself:\n${log}`)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

function parsePort(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port
  throw new InvalidArgumentError('a port is a whole number from 1 to 65535')
}
