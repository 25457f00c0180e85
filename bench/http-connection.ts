/**
 * HTTP connection. The load generator's client: one socket, one request at a time, kept alive. It shares two cores with the
 * system it measures, so it does only what this API needs: no pool, no redirects, no chunked bodies. What it does not know it
 * refuses loudly, never skips.
 */
import { connect, type Socket } from 'node:net'

export interface Answer {
  readonly status: number
  readonly body: string
}

export interface Connection {
  /** Sends a request without a body; one at a time. Rejects with ConnectionLost when the other side goes away. */
  request(method: 'GET' | 'POST', path: string, header?: string): Promise<Answer>
  close(): void
}

/** The other side closed or refused. Whether it did what was asked is not known. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
}

interface Pending {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

const readBytes = 64 * 1024

/** Opens a connection. @throws ConnectionLost when nobody listens. */
export async function openConnection(url: string): Promise<Connection> {
  const { hostname, port, host } = new URL(url)
  let pending: Pending | undefined
  const reader = createReader((answer) => {
    const waiting = pending
    pending = undefined
    waiting?.resolve(answer)
  })
  const { promise: opened, resolve: open, reject: refuse } = Promise.withResolvers<void>()
  const lose = (error: Error): void => {
    refuse(error)
    pending?.reject(error)
    pending = undefined
  }
  const socket: Socket = connect({
    host: hostname,
    port: Number(port),
    noDelay: true,
    // One buffer for the life of the socket: no allocation for each read.
    onread: {
      buffer: Buffer.allocUnsafe(readBytes),
      callback: (bytes, buffer) => {
        try {
          reader(Buffer.from(buffer.buffer, buffer.byteOffset, bytes))
        } catch (error) {
          socket.destroy()
          lose(error as Error)
        }
        return true
      },
    },
  })
  socket.once('connect', open)
  socket.on('error', (error) => lose(new ConnectionLost(error.message)))
  socket.once('close', () => lose(new ConnectionLost('closed')))
  await opened
  return {
    request(method, path, header = '') {
      if (socket.destroyed) return Promise.reject(new ConnectionLost('closed'))
      const { promise, resolve, reject } = Promise.withResolvers<Answer>()
      pending = { resolve, reject }
      socket.write(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${header}\r\n`, 'latin1')
      return promise
    },
    close: () => socket.destroy(),
  }
}

/** Puts answers together from the pieces the socket gives. The pieces are overwritten after the call, so what stays is copied. */
function createReader(onAnswer: (answer: Answer) => void): (piece: Buffer) => void {
  let kept: Buffer[] = []
  let keptBytes = 0
  let head: { status: number; bodyAt: number; endAt: number } | undefined
  return (piece) => {
    let bytes = piece
    if (head === undefined) {
      if (keptBytes > 0) bytes = Buffer.concat([...kept, piece])
      head = parseHead(bytes)
      if (head === undefined || bytes.length < head.endAt) {
        kept = [Buffer.from(bytes)]
        keptBytes = bytes.length
        return
      }
    } else {
      kept.push(Buffer.from(piece))
      keptBytes += piece.length
      if (keptBytes < head.endAt) return
      bytes = Buffer.concat(kept)
    }
    if (bytes.length > head.endAt) throw new Error('The server sent more than the answer to one request')
    const { status, bodyAt, endAt } = head
    head = undefined
    kept = []
    keptBytes = 0
    onAnswer({ status, body: bytes.toString('utf8', bodyAt, endAt) })
  }
}

function parseHead(bytes: Buffer): { status: number; bodyAt: number; endAt: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const text = bytes.toString('latin1', 0, end)
  const length = /\r\ncontent-length: *(\d+)/i.exec(text)
  if (!text.startsWith('HTTP/1.1 ') || length === null) throw new Error(`Cannot read this answer: ${text}`)
  const bodyAt = end + 4
  return { status: Number(text.slice(9, 12)), bodyAt, endAt: bodyAt + Number(length[1]) }
}
