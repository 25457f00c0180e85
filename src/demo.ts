/** Demo: a customer who keeps ordering a few random pizzas over HTTP, as any other customer would. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface DemoOptions {
  /** Of the orders role. */
  readonly url: string
  readonly ordersPerSecond: number
  /** Told about each order that became ready, one line; without it the customer orders and does not wait. */
  readonly onReady?: (line: string) => void
  /** Told about each order that failed; the customer goes on. */
  readonly onError: (error: unknown) => void
  /** 0 ≤ n < 1. */
  readonly random?: () => number
}

export interface Demo {
  /** Orders nothing more and lets go of the answers that are still out. */
  stop(): Promise<void>
}

const pizzasMax = 5
/** A shop that falls behind gets no more orders than this at a time. */
const openMax = 200
const waitS = 30

/** Starts ordering. */
export function startDemo({ url, ordersPerSecond, onReady, onError, random = Math.random }: DemoOptions): Demo {
  const stopping = new AbortController()
  const { signal } = stopping
  const open = new Set<Promise<void>>()

  const order = async () => {
    const count = 1 + Math.floor(random() * pizzasMax)
    const placed = await ask(`${url}/order/${count}`, { method: 'POST', signal })
    if (onReady === undefined) return
    const headers = { prefer: `wait=${waitS}` }
    const view = await ask(`${url}/order/${String(placed['order_id'])}`, { headers, signal })
    if (view['status'] === 'ready') onReady(printOrder(view as unknown as ReadyOrder))
  }

  const run = async () => {
    while (!signal.aborted) {
      if (open.size < openMax) {
        const one = order()
          .catch((error: unknown) => signal.aborted || onError(error))
          .then(() => void open.delete(one))
        open.add(one)
      }
      await sleep(1000 / ordersPerSecond, undefined, { signal }).catch(() => {})
    }
  }

  const running = run()
  return {
    async stop() {
      stopping.abort()
      await running
      await Promise.all(open)
    },
  }
}

interface ReadyOrder {
  readonly id: string
  readonly placed_at: string
  readonly ready_at: string
  readonly pizzas: ReadonlyArray<Readonly<Record<string, string | number>>>
}

function printOrder({ id, placed_at, ready_at, pizzas }: ReadyOrder): string {
  const tookMs = Date.parse(ready_at) - Date.parse(placed_at)
  const described = pizzas.map(({ order_id: _, pizza_id: __, ...toppings }) => Object.values(toppings).join(', '))
  return `order ${id} ready in ${tookMs} ms: ${described.join(' | ')}`
}

async function ask(url: string, request: RequestInit): Promise<Record<string, unknown>> {
  const response = await fetch(url, request)
  if (!response.ok) throw new Error(`${request.method ?? 'GET'} ${url}: ${response.status} ${await response.text()}`)
  return (await response.json()) as Record<string, unknown>
}
