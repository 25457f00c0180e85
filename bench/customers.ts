/**
 * Customers. One customer places an order, waits until it is ready, looks at every pizza of it, and orders again: a closed loop.
 * Owns the ledger of what the shop has promised.
 *
 * U1: every order answered with 201 is in the ledger until the end of the benchmark.
 * U2: every answer that shows a ready order is checked in full, after its time was taken.
 */
import { openConnection, type Connection } from './http-connection.ts'
import type { Watch } from './tasks.ts'

export interface Ledger {
  /** Pizzas by order, of every order the shop has answered with 201. */
  readonly accepted: Map<string, number>
  /** Those of them that nobody has seen ready. */
  readonly open: Set<string>
  /** POSTs whose connection was lost before the answer. */
  unanswered: number
}

export interface OrderTimes {
  readonly postMs: number
  readonly readyMs: number
  readonly requests: number
}

export interface Customer {
  /** Places one order and watches it until it is ready. Rejects when an answer is wrong or the connection is lost. */
  order(): Promise<OrderTimes>
  leave(): void
}

export const waitHeader = 'Prefer: wait=30\r\n'
const toppings = ['sauce', 'cheese', 'meats', 'veggies']
const readyWithinMs = 120_000

export function createLedger(): Ledger {
  return { accepted: new Map(), open: new Set(), unanswered: 0 }
}

/** A customer with a connection of its own to each instance; requests go to all of them in turn, beginning with the first. */
export async function createCustomer(options: {
  readonly urls: readonly string[]
  readonly count: number
  readonly watch: Watch
  readonly ledger: Ledger
}): Promise<Customer> {
  const { urls, count, watch, ledger } = options
  const connection = inTurn(await Promise.all(urls.map(openConnection)))
  return {
    async order() {
      const startedAt = performance.now()
      const id = await place(connection, count, ledger)
      const postMs = performance.now() - startedAt
      const { body, gets, readyAt } = await watchOrder(connection, id, watch)
      checkOrder(id, count, body)
      ledger.open.delete(id)
      return { postMs, readyMs: readyAt - startedAt, requests: 1 + gets }
    },
    leave: () => connection.close(),
  }
}

/** Connections as one that takes each request to the next of them. */
function inTurn(connections: readonly Connection[]): Connection {
  let next = 0
  return {
    request: (...request) => connections[next++ % connections.length]!.request(...request),
    close: () => connections.forEach((connection) => connection.close()),
  }
}

async function place(connection: Connection, count: number, ledger: Ledger): Promise<string> {
  ledger.unanswered++
  const { status, body } = await connection.request('POST', `/order/${count}`)
  ledger.unanswered--
  if (status !== 201) throw new Error(`POST /order/${count} answered ${status}: ${body}`)
  const { order_id: id } = JSON.parse(body) as { order_id: string }
  ledger.accepted.set(id, count)
  ledger.open.add(id)
  return id
}

/** Asks until the order is ready: first at once, then held by the server or after a pause. */
async function watchOrder(connection: Connection, id: string, watch: Watch) {
  const header = watch.kind === 'wait' ? waitHeader : ''
  const giveUpAt = performance.now() + readyWithinMs
  for (let gets = 1; ; gets++) {
    const { status, body } = await connection.request('GET', `/order/${id}`, header)
    const readyAt = performance.now()
    if (status !== 200) throw new Error(`GET /order/${id} answered ${status}: ${body}`)
    if (isReady(body)) return { body, gets, readyAt }
    if (readyAt > giveUpAt) throw new Error(`Order ${id} was not ready after ${readyWithinMs / 1_000} s: ${body}`)
    if (watch.kind === 'poll') await new Promise((resolve) => setTimeout(resolve, watch.everyMs))
  }
}

/** Polls see many answers that are not ready: those are not worth parsing. */
export function isReady(body: string): boolean {
  return body.includes('"status":"ready"')
}

/** @throws Error when the answer is not a ready order of exactly `count` pizzas, each with every topping. */
export function checkOrder(id: string, count: number, body: string): void {
  const order = JSON.parse(body) as { id: string; status: string; pizzas: Record<string, unknown>[] }
  const numbers = new Set(order.pizzas.map(({ pizza_id }) => pizza_id))
  const isComplete = (pizza: Record<string, unknown>) =>
    pizza['order_id'] === id && toppings.every((topping) => typeof pizza[topping] === 'string' && pizza[topping] !== '')
  const isRight =
    order.id === id &&
    order.status === 'ready' &&
    order.pizzas.length === count &&
    numbers.size === count &&
    order.pizzas.every(isComplete)
  if (!isRight) throw new Error(`Order ${id} of ${count} pizzas is wrong: ${body.slice(0, 2_000)}`)
}
