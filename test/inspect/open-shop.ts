/** A whole shop in this process, on a log in memory and free ports, for tests of the page. Stopped after each test. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { HistoryEntry } from '../../src/actors/orders.ts'
import { parseConfig } from '../../src/config.ts'
import { createMemoryLog, type MemoryLog } from '../../src/log/memory-log.ts'
import { createLogger } from '../../src/logger.ts'
import { startShop, type Shop } from '../../src/shop.ts'

export interface OpenShop {
  readonly url: string
  readonly shop: Shop
  readonly log: MemoryLog
  place(count: number): Promise<string>
  ready(orderId: string): Promise<void>
  history(orderId: string): Promise<HistoryEntry[]>
  post(path: string, headers?: Record<string, string>): Promise<Response>
}

export async function openShop(args: readonly string[] = [], env: Record<string, string> = {}): Promise<OpenShop> {
  const dir = mkdtempSync(join(tmpdir(), 'pizza-page-'))
  const argv = [
    '--data',
    dir,
    '--port',
    '0',
    '--report-port',
    '0',
    '--checkpoint-ms',
    '5',
    '--drain-ms',
    '5000',
    ...args,
  ]
  const parsed = parseConfig({ argv, env, readFile: () => '', version: '0' })
  if (parsed.kind !== 'start') throw new Error(JSON.stringify(parsed))
  const log = createMemoryLog()
  const logger = await createLogger({ level: 'silent', destination: process.stderr, format: 'json' })
  const shop = await startShop(parsed.config, { log, logger })
  onTestFinished(async () => {
    await shop.stop()
    await log.close()
    rmSync(dir, { recursive: true })
  })
  const url = shop.urls.orders!.replace('localhost', '127.0.0.1')
  const get = async (path: string, headers = {}) => (await fetch(url + path, { headers })).json()
  return {
    url,
    shop,
    log,
    post: (path, headers = {}) => fetch(url + path, { method: 'POST', headers }),
    async place(count) {
      const { order_id } = (await (await fetch(`${url}/order/${count}`, { method: 'POST' })).json()) as {
        order_id: string
      }
      return order_id
    },
    async ready(orderId) {
      const order = (await get(`/order/${orderId}`, { prefer: 'wait=10' })) as { status: string }
      if (order.status !== 'ready') throw new Error(`Order ${orderId} is ${JSON.stringify(order)}`)
    },
    async history(orderId) {
      return ((await get(`/order/${orderId}/history`)) as { events: HistoryEntry[] }).events
    },
  }
}

/** The messages of a stream of whole views or frames, until the caller stops iterating. */
export async function* readMessages<T>(url: string): AsyncGenerator<T> {
  const leaving = new AbortController()
  const response = await fetch(url, { signal: leaving.signal })
  if (!response.ok) throw new Error(`GET ${url} answered ${response.status}`)
  try {
    let text = ''
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk
      const blocks = text.split('\n\n')
      text = blocks.pop()!
      for (const block of blocks) if (block.startsWith('data: ')) yield JSON.parse(block.slice(6)) as T
    }
  } finally {
    leaving.abort()
  }
}

/** The first message that fits. */
export async function findMessage<T>(url: string, fits: (message: T) => boolean): Promise<T> {
  for await (const message of readMessages<T>(url)) if (fits(message)) return message
  throw new Error(`The stream ${url} ended before the message came`)
}
