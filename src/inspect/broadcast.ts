/**
 * Broadcast: one changing view to many pages, as server-sent events. Each message is the whole view, so a reader may miss any
 * number of them.
 *
 * B1: the view is made once a tick for all readers, and not at all while there are none.
 * B2: a reader whose socket is full is skipped until it has drained; nothing is kept for it. After `stallMsMax` it is cut off.
 * B3: nothing is sent when nothing changed, save a comment now and then that shows the stream lives.
 */
import type { ServerResponse } from 'node:http'

export interface BroadcastOptions {
  readonly tickMs: number
  /** Makes the view. When it throws, readers are told nothing until it works again. */
  readonly view: () => Promise<unknown>
  readonly onError: (error: unknown) => void
  readonly onFirst?: () => void
  readonly onLast?: () => void
  readonly heartbeatMs?: number
  readonly stallMsMax?: number
}

export interface Broadcast {
  /** Sends the view to a reader now and whenever it changes. The response must be a stream that was opened. */
  join(res: ServerResponse): void
  readonly size: number
  /** Ends every stream. */
  close(): void
}

interface Reader {
  /** The number of the newest message it was sent. */
  seen: number
  /** Since when its socket has been full; `undefined` while it takes what it is given. */
  fullSince: number | undefined
}

/** Creates a broadcast without readers. */
export function createBroadcast(options: BroadcastOptions): Broadcast {
  const { tickMs, view, onError, heartbeatMs = 15_000, stallMsMax = 30_000 } = options
  const readers = new Map<ServerResponse, Reader>()
  let message = { number: 0, json: '', text: '' }
  let timer: NodeJS.Timeout | undefined
  let sentAt = 0

  const send = (res: ServerResponse, reader: Reader, now: number): void => {
    if (res.writableNeedDrain) {
      reader.fullSince ??= now
      if (now - reader.fullSince > stallMsMax) res.destroy()
      return
    }
    reader.fullSince = undefined
    if (reader.seen === message.number) return
    reader.seen = message.number
    res.write(message.text)
  }

  const refresh = async (): Promise<void> => {
    try {
      const json = JSON.stringify(await view())
      if (json !== message.json) message = { number: message.number + 1, json, text: `data: ${json}\n\n` }
    } catch (error) {
      onError(error)
    }
  }

  const tick = async (): Promise<void> => {
    await refresh()
    const now = performance.now()
    const isQuiet = now - sentAt > heartbeatMs
    if (isQuiet) sentAt = now
    for (const [res, reader] of readers) {
      send(res, reader, now)
      if (isQuiet && !res.writableNeedDrain) res.write(':\n\n')
    }
    if (readers.size > 0) timer = setTimeout(() => void tick(), tickMs)
  }

  return {
    join(res) {
      readers.set(res, { seen: 0, fullSince: undefined })
      res.once('close', () => {
        readers.delete(res)
        if (readers.size > 0) return
        clearTimeout(timer)
        options.onLast?.()
      })
      if (readers.size > 1) {
        if (message.number > 0) send(res, readers.get(res)!, performance.now())
        return
      }
      options.onFirst?.()
      clearTimeout(timer)
      timer = setTimeout(() => void tick(), 0)
    },
    get size() {
      return readers.size
    },
    close() {
      for (const res of readers.keys()) res.end()
    },
  }
}
