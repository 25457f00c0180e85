/** Reads a stream of order events that another host of this program sends (events.ts). */
import { EventSourceParserStream } from 'eventsource-parser/stream'
import type { OrderEvent } from '../actors/orders.ts'

const types = ['order.placed', 'pizza.topped', 'order.ready'] as const

/**
 * Opens the stream and gives its events until it ends or the signal aborts.
 * @throws Error when there is no such stream, or it breaks off.
 */
export async function* readEvents(
  url: URL,
  { after, signal }: { after?: string; signal: AbortSignal },
): AsyncGenerator<OrderEvent> {
  const headers = { accept: 'text/event-stream', ...(after !== undefined && { 'last-event-id': after }) }
  const answer = await fetch(url, { headers, signal })
  if (!answer.ok || answer.body === null) throw new Error(`${url.origin} answers ${answer.status}`)
  const messages = answer.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
  for await (const { id, event, data: text } of messages) {
    const type = types.find((candidate) => candidate === event)
    if (type === undefined || id === undefined) continue
    const data = JSON.parse(text) as OrderEvent['data'] & { order_id: string }
    yield { id, type, order_id: data.order_id, data }
  }
}
