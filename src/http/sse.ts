/**
 * Server-sent events: one stream to one reader, and no more memory for it than the socket's own buffer.
 *
 * Written without a library on purpose. better-sse (0.16) drops what `write` returns, so it cannot feel a slow reader; throws on
 * a Host header that is no URL; and leaves its keep-alive timer running when the reader has gone before the head was sent.
 *
 * S1: an event is pulled only when the one before it fitted into the socket's buffer.
 * S2: a reader that takes nothing for `stallMsMax` loses the connection; it continues by Last-Event-ID.
 * S3: nothing of a stream is left when its response has closed: no timer, no listener, no iterator.
 */
import type { ServerResponse } from 'node:http'
import type { OrderEvent } from '../actors/orders.ts'

export interface StreamLimits {
  /** A comment is sent this often, so that proxies and readers see that the stream lives. */
  readonly heartbeatMs: number
  /** Longest time a reader may leave the socket's buffer full. */
  readonly stallMsMax: number
  /** Open streams of one app. */
  readonly streamsMax: number
}

export const streamLimits: StreamLimits = { heartbeatMs: 15_000, stallMsMax: 30_000, streamsMax: 1_000 }

const reconnectMs = 1_000

/** An event on the wire. JSON has no line breaks, and ids and types are the host's own, so every field is one line. */
function printEvent({ id, type, order_id, data }: OrderEvent): string {
  return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify({ order_id, ...data })}\n\n`
}

/** Sends the head of a stream. Proxies are asked not to hold it back. */
export function openStream(res: ServerResponse): ServerResponse {
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
  res.write(`retry: ${reconnectMs}\n\n`)
  return res
}

/**
 * Sends events until there are no more, the signal aborts, or the reader stalls.
 * @param events is left when the stream ends.
 */
export async function pump(
  res: ServerResponse,
  events: AsyncIterable<OrderEvent>,
  { heartbeatMs, stallMsMax, signal }: StreamLimits & { signal: AbortSignal },
): Promise<void> {
  const heartbeat = setInterval(() => {
    if (!res.writableNeedDrain) res.write(':\n\n')
  }, heartbeatMs)
  try {
    for await (const event of events) {
      if (signal.aborted) break
      if (res.write(printEvent(event)) || (await isDrained(res, stallMsMax, signal))) continue
      res.destroy()
      return
    }
  } finally {
    clearInterval(heartbeat)
  }
  res.end()
}

/** Waits for the socket's buffer to empty. @returns false when the time was up, the reader has gone or the signal aborted. */
function isDrained(res: ServerResponse, stallMsMax: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false)
  return new Promise((resolve) => {
    const settle = (drained: boolean) => {
      clearTimeout(timer)
      res.off('drain', onDrain)
      signal.removeEventListener('abort', onAbort)
      resolve(drained)
    }
    const onDrain = () => settle(true)
    const onAbort = () => settle(false)
    const timer = setTimeout(onAbort, stallMsMax)
    res.once('drain', onDrain)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
