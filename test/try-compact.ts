import kafkajs from 'kafkajs'
import { startTestBroker } from './kafka/broker.ts'
import { createKafkaLog } from '../src/log/kafka-log.ts'
const broker = await startTestBroker({ properties: { 'log.cleaner.backoff.ms': '200', 'log.cleaner.threads': '1' } })
try {
const connection = { brokers: [broker.bootstrapServers], clientId: 'try', ssl: false } as const
const admin = new kafkajs.Kafka({ brokers: [broker.bootstrapServers], logLevel: 0 }).admin()
await admin.connect()
await admin.createTopics({ topics: [{ topic: 't', numPartitions: 1, configEntries: [
 { name: 'cleanup.policy', value: 'compact' }, { name: 'segment.ms', value: '100' }, { name: 'min.cleanable.dirty.ratio', value: '0.01' }, { name: 'delete.retention.ms', value: '0' }] }] })
await admin.disconnect()
const log = createKafkaLog({ connection, fetchBytesMax: 1024*1024, onWarning: (m) => console.log('WARN', m) })
const at = { topic: 't', partition: 0 }
let claim = await log.claim!(at)
const read = async () => {
  const end = (await log.ends(['t'])).get('t')![0]!
  const offsets: number[] = []; const state = new Map<string, string>()
  for await (const page of log.read(at, { from: 0, to: end })) for (const r of page) { offsets.push(r.offset); state.set(String(r.key), String(r.value)) }
  return { end, n: offsets.length, first: offsets[0], last: offsets.at(-1), state: [...state.values()].toSorted().join(' ') }
}

const kafka = new kafkajs.Kafka({ brokers: [broker.bootstrapServers], logLevel: 0 })
for (let i = 0; i < 6; i++) {
  const p = kafka.producer({ idempotent: true, maxInFlightRequests: 1 }); await p.connect()
  await p.send({ topic: 't', messages: Array.from({ length: 5 }, (_, k) => ({ key: 'k' + k, value: 'v' + i })) })
  await p.disconnect()
  await new Promise((r) => setTimeout(r, 150))
}
for (let i = 0; i < 10; i++) { await new Promise((r) => setTimeout(r, 500)); console.log(await read().catch((e) => e.message)) }
await log.close()
} finally { await broker.close() }
