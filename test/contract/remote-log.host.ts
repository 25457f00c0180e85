/** The process behind remote-log.ts: opens the log that its argument names and obeys the messages of its parent. */
import type { Consumer, ConsumeOptions, EventLog, LogRecord, TopicPartition } from '../../src/log/event-log.ts'
import { fromPlainError, toPlainError, type FromHost, type RemoteFactory, type ToHost } from './remote-log.ts'

const { module, factory, options } = JSON.parse(process.argv[2]!) as RemoteFactory
const loaded = (await import(new URL(`../../src/log/${module}`, import.meta.url).href)) as Record<
  string,
  (options: unknown) => EventLog | Promise<EventLog>
>
const log = await loaded[factory]!(options)
const consumers = new Map<number, Consumer>()
const callbacks = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
let lastId = 0

function send(message: FromHost): void {
  if (process.connected) process.send!(message)
}

function callBack(consumer: number, name: string, args: unknown[]): Promise<unknown> {
  const id = ++lastId
  send({ kind: 'callback', id, consumer, name, args })
  return new Promise((resolve, reject) => callbacks.set(id, { resolve, reject }))
}

async function consume(consumer: number, plain: Omit<ConsumeOptions, 'onBatch' | 'onPassed'>): Promise<void> {
  const joined = await log.consume({
    ...plain,
    onAssigned: async (partitions) => (await callBack(consumer, 'onAssigned', [partitions])) ?? {},
    onRevoked: async (partitions) => void (await callBack(consumer, 'onRevoked', [partitions])),
    onBatch: async (records) => void (await callBack(consumer, 'onBatch', [records])),
    onPassed: async (positions) => void (await callBack(consumer, 'onPassed', [positions])),
    onError: (error) => void callBack(consumer, 'onError', [toPlainError(error)]),
  })
  consumers.set(consumer, joined)
}

async function readPages(at: TopicPartition, range: { from: number; to: number }): Promise<(readonly LogRecord[])[]> {
  const pages: (readonly LogRecord[])[] = []
  for await (const page of log.read(at, range)) pages.push(page)
  return pages
}

async function run({ method, args, consumer }: Extract<ToHost, { kind: 'call' }>): Promise<unknown> {
  if (method === 'consume') return consume(args[0] as number, args[1] as ConsumeOptions)
  if (method === 'read') return readPages(args[0] as TopicPartition, args[1] as { from: number; to: number })
  const target = (consumer === undefined ? log : consumers.get(consumer)!) as unknown as Record<
    string,
    (...given: unknown[]) => unknown
  >
  return target[method]!(...args)
}

process.on('message', (message: ToHost) => {
  if (message.kind === 'answer') {
    const waiting = callbacks.get(message.id)
    callbacks.delete(message.id)
    if (message.error) waiting?.reject(fromPlainError(message.error))
    else waiting?.resolve(message.result)
    return
  }
  const { id } = message
  run(message).then(
    (result) => send({ kind: 'answer', id, result }),
    (error: unknown) => send({ kind: 'answer', id, error: toPlainError(error) }),
  )
})
// A parent that dies must not leave this process behind.
process.on('disconnect', () => process.exit(0))
send({ kind: 'ready' })
