/**
 * Listen. Puts an app on a port and takes it off again without cutting off answers that are being given.
 *
 * N1: `close` ends event streams and waits first, then takes what is idle off the line, and lets every other answer finish.
 * N2: `close` ends within `drainMs` whatever callers do: a socket without a request would keep node:http open for minutes.
 */
import type { Express } from 'express'
import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { printProblem, problems, sendProblem, type ProblemName } from './problem.ts'

export interface ListenOptions {
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  /** The flag that chooses the port, for the message when it is taken (default `--port`). */
  readonly portFlag?: string
  /** Longest time that `close` lets answers finish (default 10 s). */
  readonly drainMs?: number
  /** Takes connections that ask to become WebSockets; they are its own to end when the app emits `closing` (default: refused). */
  readonly upgrade?: (req: IncomingMessage, socket: Duplex, head: Buffer) => void
}

/** What a port has answered and is answering. */
export interface Traffic {
  /** Requests by method, status and path of their route, with a blank between: few keys, one addition a request. */
  readonly answered: ReadonlyMap<string, number>
  readonly inFlight: number
}

export interface Listening {
  /** Where the app can be reached, without a slash at the end. */
  readonly url: string
  traffic(): Traffic
  /** Safe to call twice. */
  close(): Promise<void>
}

export type ListenErrorCode = 'port-taken' | 'port-forbidden' | 'bad-host' | 'listen-failed'

/** Why an app could not be put on its port, with a message that says what to do. */
export class ListenError extends Error {
  readonly code: ListenErrorCode
  constructor(code: ListenErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ListenError'
    this.code = code
  }
}

/** Above the 60 s of common reverse proxies: the side that reuses a connection must be the first to drop it. */
const keepAliveMs = 65_000

/** What answers on a port: an Express app, or a door in front of one (door.ts). */
export interface App {
  (req: IncomingMessage, res: ServerResponse, next: () => void): void
  emit(event: 'closing'): unknown
}

/** Listens. @throws ListenError */
export async function listen(app: App | Express, options: ListenOptions): Promise<Listening> {
  const { host, port, portFlag = '--port', drainMs = 10_000 } = options
  let inFlight = 0
  let onIdle: (() => void) | undefined
  let closing: Promise<void> | undefined
  const answered = new Map<string, number>()
  const settled = (req: IncomingMessage, res: ServerResponse) => {
    const key = toTrafficKey(req, res)
    answered.set(key, (answered.get(key) ?? 0) + 1)
    if (--inFlight === 0) onIdle?.()
  }
  // Other upgrades, such as curl's to HTTP/2, are offers: they are answered as if nobody had made them.
  const shouldUpgradeCallback = ({ headers }: IncomingMessage) =>
    options.upgrade !== undefined && headers.upgrade?.toLowerCase() === 'websocket'
  const server = createServer(
    { keepAliveTimeout: keepAliveMs, headersTimeout: 10_000, requestTimeout: 30_000, shouldUpgradeCallback },
    (req, res) => {
      inFlight++
      res.once('close', () => settled(req, res))
      // Express would answer in HTML what it cannot even route, such as `GET http://[`.
      const lastResort = () =>
        sendProblem(res, { name: 'malformed-request', detail: 'The address cannot be read.' }, '/')
      ;(app as App)(req, res, lastResort)
    },
  )
  server.on('clientError', refuse)
  if (options.upgrade) server.on('upgrade', options.upgrade)
  await start(server, { host, port, portFlag })

  const close = async () => {
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()))
    app.emit('closing')
    const cut = () => server.closeAllConnections()
    const timer = setTimeout(cut, drainMs)
    onIdle = cut
    if (inFlight === 0) cut()
    await closed
    clearTimeout(timer)
  }
  const url = toUrl(server.address() as AddressInfo)
  return { url, traffic: () => ({ answered, inFlight }), close: () => (closing ??= close()) }
}

const countedMethods = new Set(['GET', 'HEAD', 'POST', 'OPTIONS'])

/** Method, status and route, of each only those that are known beforehand: callers must not be able to fill the memory. */
function toTrafficKey(req: IncomingMessage & { route?: { path?: string } }, res: ServerResponse): string {
  const method = req.method !== undefined && countedMethods.has(req.method) ? req.method : 'other'
  return `${method} ${res.headersSent ? res.statusCode : 'none'} ${req.route?.path ?? 'none'}`
}

/** Where to listen, and the flag that chooses the port. */
export interface ListenPlace {
  readonly host: string
  readonly port: number
  readonly portFlag: string
}

/** Takes a port and gives it back. @throws ListenError */
export async function probePort(place: ListenPlace): Promise<void> {
  const server = createServer()
  await start(server, place)
  await new Promise((resolve) => void server.close(resolve))
}

function start(server: Server, { host, port, portFlag }: ListenPlace): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(toListenError(error, { host, port, portFlag })))
    server.listen({ host, port }, () => {
      server.removeAllListeners('error')
      resolve()
    })
  })
}

function toListenError(error: Error, { host, port, portFlag }: ListenPlace): ListenError {
  const place = `Cannot listen on ${host} port ${port}`
  switch ('code' in error ? error.code : undefined) {
    case 'EADDRINUSE':
      return new ListenError(
        'port-taken',
        `${place}: another program does. Stop it, or choose another port with ${portFlag}.`,
        {
          cause: error,
        },
      )
    case 'EACCES':
      return new ListenError(
        'port-forbidden',
        `${place}: this user may not. Choose a port from 1024 on with ${portFlag}.`,
        { cause: error },
      )
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new ListenError('bad-host', `${place}: this machine does not have that address. Choose one with --host.`, {
        cause: error,
      })
    default:
      return new ListenError('listen-failed', `${place}: ${error.message}.`, { cause: error })
  }
}

/** An address that a browser on this machine can open. */
function toUrl({ address, port }: AddressInfo): string {
  if (address === '0.0.0.0' || address === '::') return `http://localhost:${port}`
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`
}

const problemOfParserError: Readonly<Record<string, readonly [ProblemName, string]>> = {
  HPE_HEADER_OVERFLOW: ['headers-too-large', 'The address and the headers may have 16 KiB together.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request-timeout', 'The request took too long to arrive; send it again.'],
}

/** Answers what is not HTTP. A connection that has carried an answer is only cut: this one might land in the middle of it. */
function refuse(error: Error, socket: Socket): void {
  if (!socket.writable || socket.bytesWritten > 0) return void socket.destroy()
  const code = 'code' in error ? String(error.code) : ''
  const [name, detail] = problemOfParserError[code] ?? ['malformed-request', `This is not HTTP/1.1 (${code}).`]
  const body = printProblem({ name, detail }, '/')
  const { status } = problems[name]
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}`
  const headers = `Content-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close`
  socket.end(`${head}\r\n${headers}\r\n\r\n${body}`)
}
