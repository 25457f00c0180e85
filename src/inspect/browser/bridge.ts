/**
 * Bridge: hands frames from this server to the Stately inspector in the frame. `/inspector?order={id}` shows one order;
 * without it, orders that are placed from here on.
 */
const inspectorOrigin = 'https://stately.ai'
/** Frames that wait for the inspector to load; the oldest are dropped first. */
const waitingMax = 1_000

const frame = document.querySelector('iframe')!
const orderId = new URLSearchParams(location.search).get('order')
const path = orderId === null ? '/inspector/frames' : `/inspect/${encodeURIComponent(orderId)}`
let waiting: unknown[] | undefined = []

const tell = (data: unknown) => frame.contentWindow?.postMessage(data, inspectorOrigin)

addEventListener('message', ({ data, origin }: MessageEvent<{ type?: string } | null>) => {
  if (origin !== inspectorOrigin || data?.type !== '@statelyai.connected') return
  waiting?.forEach(tell)
  waiting = undefined
})

const socket = new WebSocket(new URL(path, location.href.replace(/^http/, 'ws')))
socket.addEventListener('message', ({ data }: MessageEvent<string>) => {
  const message: unknown = JSON.parse(data)
  if (waiting === undefined) return tell(message)
  waiting.push(message)
  if (waiting.length > waitingMax) waiting.shift()
})
