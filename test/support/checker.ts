/**
 * Checker. Proves the promises of a shop that has calmed down, over HTTP alone, and says everything that is wrong with it.
 *
 * C1 (P1): every order, accepted or found in the list, becomes ready with exactly its pizzas, toppings from the menus.
 * C2 (P2 P3): the witness compares these last answers with everything that was shown before.
 * C3 (P7): the report counts each pizza of each order once, under the cheese that GET shows.
 */
import { placeKey } from '../../src/log/placement.ts'
import { recipe, type Menu } from '../../src/menu.ts'
import { createHttpClient, type HttpClient } from './http-client.ts'
import type { OrderJson, Witness } from './witness.ts'

export interface CheckOptions {
  readonly witness: Witness
  readonly url: string
  readonly reportUrl: string
  /** Longest wait for one order, or for the report to catch up, in seconds (default 30). */
  readonly patienceS?: number
  readonly partitions?: number
  /** Choices of foreign programs, beside those on the menus. */
  readonly otherChoices?: readonly string[]
}

export interface CheckResult {
  readonly orders: number
  readonly pizzas: number
  readonly violations: readonly string[]
}

/** Requests that are under way at once. */
const parallel = 16

/** Waits until every order is ready, checks them all, and the report. @returns everything found, by the witness too. */
export async function checkShop(options: CheckOptions): Promise<CheckResult> {
  const { witness, url } = options
  const http = createHttpClient()
  try {
    const listed = await listOrders(http, url)
    for (const orderId of witness.accepted.keys()) {
      if (!listed.has(orderId)) witness.blame(`P1: order ${orderId} was accepted and is not in the list`)
    }
    const answers = new Map<string, string>()
    await settle(http, options, [...new Set([...listed, ...witness.accepted.keys()])], answers)
    await checkReport(http, options, answers)
    const orders = [...answers.values()].map((text) => JSON.parse(text) as OrderJson)
    const pizzas = orders.reduce((sum, { count }) => sum + count, 0)
    return { orders: orders.length, pizzas, violations: witness.violations }
  } finally {
    http.close()
  }
}

/** Waits for these orders and checks each. Adds the answers, as they came, to `answers`. */
async function settle(
  http: HttpClient,
  { witness, url, patienceS = 30, otherChoices = [] }: CheckOptions,
  orderIds: readonly string[],
  answers: Map<string, string>,
): Promise<void> {
  let waitS = patienceS
  await inParallel(orderIds, async (orderId) => {
    const answered = witness.look(orderId)
    const { status, text } = await http.get(`${url}/order/${orderId}`, { prefer: `wait=${waitS}` })
    if (status !== 200) {
      if (status === 404) answered(undefined)
      return witness.blame(`P1: GET of order ${orderId} answers ${status} in a shop that has calmed down: ${text}`)
    }
    const order = JSON.parse(text) as OrderJson
    answered(order)
    answers.set(orderId, text)
    if (order.status !== 'ready') {
      // The others had as long as this one; waiting anew for each would take hours.
      waitS = 1
      return witness.blame(`P1: order ${orderId} is not ready after ${patienceS} s: ${text}`)
    }
    for (const problem of findPizzaProblems(order, otherChoices)) witness.blame(`P1: order ${orderId} ${problem}`)
  })
}

/** What is wrong with the finished pizzas of an order. */
function findPizzaProblems(order: OrderJson, otherChoices: readonly string[]): string[] {
  const ids = order.pizzas.map((pizza) => pizza['pizza_id'])
  const isComplete = ids.every((id, index) => id === index + 1) && ids.length === order.count
  const problems = isComplete ? [] : [`shows pizzas ${ids.join(', ')} instead of 1 to ${order.count}`]
  for (const pizza of order.pizzas) {
    for (const { topping, menu } of recipe) {
      const choice = pizza[topping]
      if (isOnMenu(menu, choice) || otherChoices.includes(String(choice))) continue
      problems.push(`pizza ${String(pizza['pizza_id'])} has ${topping} ${JSON.stringify(choice)}, not on the menu`)
    }
  }
  return problems
}

function isOnMenu(menu: Menu, choice: unknown): boolean {
  if (typeof choice !== 'string') return false
  if (menu.kind === 'one') return menu.choices.includes(choice)
  if (choice === 'none') return true
  const parts = choice.split(' & ')
  const isDistinct = new Set(parts).size === parts.length
  return isDistinct && parts.length <= menu.drawsMax && parts.every((part) => menu.choices.includes(part))
}

/**
 * Compares the report with the orders. The reporter may be behind, and a pizza counted twice may still be on its way to it: so an
 * order is placed on every partition, behind whatever is on its way there, and the report must be exact after that; twice.
 */
async function checkReport(http: HttpClient, options: CheckOptions, answers: Map<string, string>): Promise<void> {
  for (let round = 1; round <= 2; round++) {
    const sentinels = await placeOnEveryPartition(http, options)
    await settle(http, options, sentinels, answers)
    const expected = countCheeses([...answers.values()].map((text) => JSON.parse(text) as OrderJson))
    const report = await readReport(http, options, sum(expected))
    if (sum(report) !== sum(expected)) {
      options.witness.blame(`P7: the report counts ${sum(report)} pizzas, the orders have ${sum(expected)}`)
    }
    for (const choice of new Set([...Object.keys(report), ...Object.keys(expected)])) {
      const [counted, had] = [report[choice] ?? 0, expected[choice] ?? 0]
      if (counted !== had)
        options.witness.blame(`P7: the report counts ${counted} times ${choice}, the orders have ${had}`)
    }
  }
}

async function placeOnEveryPartition(http: HttpClient, options: CheckOptions): Promise<string[]> {
  const { url, witness, partitions = 6 } = options
  const missing = new Set(Array.from({ length: partitions }, (_, partition) => partition))
  const placed: string[] = []
  while (missing.size > 0) {
    const { status, text } = await http.post(`${url}/order/1`)
    if (status !== 201) throw new Error(`POST /order/1 answers ${status} in a shop that has calmed down: ${text}`)
    const { order_id } = JSON.parse(text) as { order_id: string }
    witness.accept(order_id, 1)
    placed.push(order_id)
    missing.delete(placeKey(order_id, partitions))
  }
  return placed
}

/** The report, as soon as it counts so many pizzas, or as it is when patience ends. */
async function readReport(
  http: HttpClient,
  { reportUrl, patienceS = 30 }: CheckOptions,
  pizzas: number,
): Promise<Record<string, number>> {
  const deadline = performance.now() + patienceS * 1_000
  for (;;) {
    const { status, text } = await http.get(`${reportUrl}/report`)
    const report = status === 200 ? (JSON.parse(text) as Record<string, number>) : {}
    if (sum(report) >= pizzas || performance.now() > deadline) return report
  }
}

/** Every order of `GET /orders`, page by page. */
async function listOrders(http: HttpClient, url: string): Promise<Set<string>> {
  const ids = new Set<string>()
  let next: string | null = ''
  while (next !== null) {
    const after: string = next === '' ? '' : `&after=${encodeURIComponent(next)}`
    const { status, text } = await http.get(`${url}/orders?limit=1000${after}`)
    if (status !== 200) throw new Error(`GET /orders answers ${status} in a shop that has calmed down: ${text}`)
    const page = JSON.parse(text) as { orders: Array<{ id: string }>; next: string | null }
    for (const { id } of page.orders) ids.add(id)
    next = page.next
  }
  return ids
}

/** The answers of GET for every order there is, as they come, by order id. */
export async function readAllOrders(url: string): Promise<Map<string, string>> {
  const http = createHttpClient()
  try {
    const answers = new Map<string, string>()
    await inParallel([...(await listOrders(http, url))], async (orderId) => {
      const { status, text } = await http.get(`${url}/order/${orderId}`)
      answers.set(orderId, status === 200 ? text : `${status} ${text}`)
    })
    return answers
  } finally {
    http.close()
  }
}

function countCheeses(orders: readonly OrderJson[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const pizza of orders.flatMap(({ pizzas }) => pizzas)) {
    const cheese = String(pizza['cheese'])
    counts[cheese] = (counts[cheese] ?? 0) + 1
  }
  return counts
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = items[Symbol.iterator]()
  const worker = async (): Promise<void> => {
    for (const item of rest) await work(item)
  }
  await Promise.all(Array.from({ length: parallel }, worker))
}
