/** Reader of server-sent events, for tests. */

export interface SseEvent {
  readonly id: string
  readonly event: string
  readonly data: Readonly<Record<string, unknown>>
}

/** Opens a stream and gives its events until it ends, the connection breaks, or the caller stops iterating. */
export async function* readEvents(url: string, lastEventId?: string): AsyncGenerator<SseEvent> {
  const leaving = new AbortController()
  const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
  const response = await fetch(url, { headers, signal: leaving.signal })
  if (response.status !== 200) throw new Error(`GET ${url} answered ${response.status}: ${await response.text()}`)
  try {
    let text = ''
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk
      const frames = text.split('\n\n')
      text = frames.pop()!
      for (const frame of frames) {
        const event = parseFrame(frame)
        if (event !== undefined) yield event
      }
    }
  } finally {
    leaving.abort()
  }
}

function parseFrame(frame: string): SseEvent | undefined {
  const fields = new Map(
    frame.split('\n').map((line): [string, string] => [line.split(': ', 1)[0]!, line.replace(/^\w+: /, '')]),
  )
  const [id, event, data] = [fields.get('id'), fields.get('event'), fields.get('data')]
  if (id === undefined || event === undefined || data === undefined) return undefined
  return { id, event, data: JSON.parse(data) as Record<string, unknown> }
}
