/**
 * A log in a process of its own, so that a test can kill it: the same port, with calls and callbacks sent over IPC.
 * Buffers and maps survive the journey (structured clone); errors come back with name, code and message.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import {
  LogError,
  type ConsumeOptions,
  type Consumer,
  type EventLog,
  type LogErrorCode,
} from '../../src/log/event-log.ts'

/** Which factory the host calls, and with what. The module path is relative to `src/log/`. */
export interface RemoteFactory {
  readonly module: string
  readonly factory: string
  readonly options: unknown
}

export interface RemoteLog {
  readonly log: EventLog
  readonly child: ChildProcess
  /** kill -9; resolves when the process is gone. */
  kill(): Promise<void>
}

export interface PlainError {
  readonly name: string
  readonly message: string
  readonly code?: LogErrorCode
}

export type ToHost =
  | {
      readonly kind: 'call'
      readonly id: number
      readonly consumer?: number
      readonly method: string
      readonly args: unknown[]
    }
  | { readonly kind: 'answer'; readonly id: number; readonly result?: unknown; readonly error?: PlainError }

export type FromHost =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'callback'
      readonly id: number
      readonly consumer: number
      readonly name: string
      readonly args: unknown[]
    }
  | { readonly kind: 'answer'; readonly id: number; readonly result?: unknown; readonly error?: PlainError }

export function toPlainError(error: unknown): PlainError {
  if (error instanceof LogError) return { name: error.name, message: error.message, code: error.code }
  return error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: 'Error', message: String(error) }
}

export function fromPlainError({ message, code }: PlainError): Error {
  return code ? new LogError(code, message) : new Error(message)
}

/** Starts a process with a log in it and resolves when the log is open. */
export async function startRemoteLog(factory: RemoteFactory): Promise<RemoteLog> {
  const host = fileURLToPath(new URL('remote-log.host.ts', import.meta.url))
  const child = fork(host, [JSON.stringify(factory)], { serialization: 'advanced', execArgv: [] })
  const exited = once(child, 'exit')
  const { call, addConsumer } = await connect(child)
  const log: EventLog = {
    kind: 'remote',
    ensureTopics: (topics) => call('ensureTopics', [topics]),
    append: (records, options) => call('append', options ? [records, options] : [records]),
    sync: () => call('sync', []),
    async consume(options) {
      const { consumer, owned } = addConsumer(options)
      const { onAssigned: _a, onRevoked: _r, onBatch: _b, onPassed: _p, onError: _e, ...plain } = options
      await call('consume', [consumer, plain])
      const remote: Consumer = {
        assigned: () => [...owned].toSorted((a, b) => a - b),
        isConfirmed: () => true,
        commit: (positions) => call('commit', [positions], consumer),
        pause: (topics) => void call('pause', [topics], consumer),
        resume: (topics) => void call('resume', [topics], consumer),
        renounce: (partitions) => void call('renounce', [partitions], consumer),
        abandon: () => void call('abandon', [], consumer),
        stop: () => call('stop', [], consumer),
      }
      return remote
    },
    async *read(at, range) {
      yield* await call<never[]>('read', [at, range])
    },
    starts: (topics) => call('starts', [topics]),
    ends: (topics) => call('ends', [topics]),
    committed: (groupId, topics) => call('committed', [groupId, topics]),
    owners: (groupId) => call('owners', [groupId]),
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return
      await call('close', [])
      child.disconnect()
      await exited
    },
  }
  return {
    log,
    child,
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** Wires the messages of one child; resolves when it is ready, rejects when it ends before. */
async function connect(child: ChildProcess) {
  const calls = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  const consumers = new Map<number, { options: ConsumeOptions; owned: Set<number> }>()
  let lastId = 0

  const send = (message: ToHost) => child.connected && child.send(message)

  async function callBack(message: Extract<FromHost, { kind: 'callback' }>): Promise<void> {
    const { options, owned } = consumers.get(message.consumer)!
    try {
      const partitions = message.args[0] as number[]
      if (message.name === 'onAssigned') for (const partition of partitions) owned.add(partition)
      const result = await (options[message.name as 'onAssigned'] as ((...args: unknown[]) => unknown) | undefined)?.(
        ...message.args,
      )
      if (message.name === 'onRevoked') for (const partition of partitions) owned.delete(partition)
      send({ kind: 'answer', id: message.id, result })
    } catch (error) {
      send({ kind: 'answer', id: message.id, error: toPlainError(error) })
    }
  }

  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code, signal) =>
      reject(new Error(`The log host ended with ${code ?? signal} before it was ready`)),
    )
    child.on('message', (message: FromHost) => {
      if (message.kind === 'ready') return resolve()
      if (message.kind === 'callback') return void callBack(message)
      const waiting = calls.get(message.id)
      calls.delete(message.id)
      if (message.error) waiting?.reject(fromPlainError(message.error))
      else waiting?.resolve(message.result)
    })
  })

  return {
    call<T>(method: string, args: unknown[], consumer?: number): Promise<T> {
      const id = ++lastId
      send({ kind: 'call', id, method, args, ...(consumer !== undefined && { consumer }) })
      return new Promise<unknown>((resolve, reject) => calls.set(id, { resolve, reject })) as Promise<T>
    },
    addConsumer(options: ConsumeOptions) {
      const consumer = ++lastId
      const owned = new Set<number>()
      consumers.set(consumer, { options, owned })
      return { consumer, owned }
    },
  }
}
