/**
 * Kafka reconnect. Mends kafkajs's connections, which are opened again after they were closed: as they come, they keep the part of an
 * answer that they had read, go on reading from the socket before, and open several sockets when several requests come at once. Then
 * an answer is read from its middle: wrong, never, or as one of no bytes, which ended the process. And they wait for ever for an
 * answer while they log in.
 *
 * Y1: what was read from one socket never meets what is read from the next.
 * Y2: a connection has one socket; one that is closed is destroyed, and who waited for an answer from it is told so at once.
 * Y3: whatever a peer sends ends at most the connection, and so does silence.
 */
import type { Socket } from 'node:net'

/** kafkajs's Connection, as far as it is mended here. */
export interface ReopenedConnection {
  socket?: Socket
  /** What has been read of the next answer: an int32 length, then as many bytes. */
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
  authHandlers: { onError(): void } | null
  /** In milliseconds. */
  readonly requestTimeout: number
  isConnected(): boolean
  connect(): Promise<boolean>
  disconnect(): Promise<boolean>
  processData(bytes: Buffer): void
  /** Sends one message of a login and takes the answer. */
  sendAuthRequest(exchange: object): Promise<unknown>
  rejectRequests(error: Error): void
}

/**
 * Mends the connections of a prototype, those that exist included. To be done once.
 * @param toClosedError makes the error for requests whose socket was closed
 */
export function mendReconnect(prototype: ReopenedConnection, toClosedError: () => Error): void {
  const { connect, disconnect, processData, sendAuthRequest } = prototype
  const opening = new WeakMap<ReopenedConnection, Promise<boolean>>()

  prototype.connect = function (this: ReopenedConnection) {
    const shared = opening.get(this)
    if (shared) return shared
    if (this.isConnected()) return Promise.resolve(true)
    Object.assign(this, { chunks: [], bytesBuffered: 0, bytesNeeded: 4 })
    const opened = connect.call(this).finally(() => opening.delete(this))
    opening.set(this, opened)
    return opened
  }

  prototype.disconnect = function (this: ReopenedConnection) {
    this.authHandlers?.onError()
    this.rejectRequests(toClosedError())
    // With an error only where one is waited for: whoever opens it would otherwise wait until the time-out.
    this.socket?.destroy(opening.has(this) ? toClosedError() : undefined)
    return disconnect.call(this)
  }

  prototype.processData = function (this: ReopenedConnection, bytes: Buffer) {
    try {
      processData.call(this, bytes)
    } catch (error) {
      this.socket?.destroy(error as Error)
    }
  }
  prototype.sendAuthRequest = function (this: ReopenedConnection, exchange: object) {
    const late = setTimeout(() => void this.disconnect(), this.requestTimeout)
    return sendAuthRequest.call(this, exchange).finally(() => clearTimeout(late))
  }
}
