/** Verify. Compares the ledger of the whole run with what the shop says at its end, so that a fast run that is wrong cannot count. */
import { setTimeout as sleep } from 'node:timers/promises'
import { checkOrder, type Ledger } from './customers.ts'
import { openConnection, type Connection } from './http-connection.ts'
import type { VerifyResult, VerifyTask } from './tasks.ts'

interface Listed {
  readonly id: string
  readonly count: number
  readonly status: string
}

const pageRows = 1_000
/** Orders that are read again in full, spread evenly over the run. Each was read in full when it became ready, too. */
const rereadMax = 500
const reportWithinMs = 30_000
const problemsMax = 10

/** Looks for orders that are missing, unfinished, of another size or double, and compares the cheese report's sum. */
export async function verify({ url, reportUrl, filled }: VerifyTask, ledger: Ledger): Promise<VerifyResult> {
  const { accepted } = ledger
  const connection = await openConnection(url)
  const listed = await readOrderList(connection)
  const problems: string[] = []
  const byId = new Map(listed.map((order) => [order.id, order]))
  if (byId.size !== listed.length) problems.push(`GET /orders lists ${listed.length - byId.size} orders twice`)
  for (const [id, count] of accepted) {
    const order = byId.get(id)
    if (order === undefined) problems.push(`Order ${id} was answered with 201 and is not in GET /orders`)
    else if (order.status !== 'ready') problems.push(`Order ${id} is ${order.status}`)
    else if (order.count !== count) problems.push(`Order ${id} has ${order.count} pizzas, ordered were ${count}`)
  }
  const unanswered = listed.filter(({ id }) => !accepted.has(id)).length - filled
  if (unanswered < 0) problems.push(`${-unanswered} of the ${filled} orders on the log are not in GET /orders`)
  if (unanswered > ledger.unanswered) {
    problems.push(`${unanswered} orders exist that nobody was told of; ${ledger.unanswered} connections were lost`)
  }
  problems.push(...(await reread(connection, accepted)))
  const pizzas = listed.reduce((sum, { count }) => sum + count, 0)
  problems.push(...(await checkReport(reportUrl, pizzas)))
  connection.close()
  return { orders: accepted.size, pizzas, unanswered, problems: problems.slice(0, problemsMax) }
}

/** Every page of `GET /orders`. */
export async function readOrderList(connection: Connection, status?: 'preparing'): Promise<Listed[]> {
  const filter = status === undefined ? '' : `&status=${status}`
  const listed: Listed[] = []
  for (let after = ''; ;) {
    const path = `/orders?limit=${pageRows}${filter}${after}`
    const { status: answered, body } = await connection.request('GET', path)
    if (answered !== 200) throw new Error(`GET ${path} answered ${answered}: ${body}`)
    const page = JSON.parse(body) as { orders: Listed[]; next: string | null }
    listed.push(...page.orders)
    if (page.next === null) return listed
    after = `&after=${page.next}`
  }
}

async function reread(connection: Connection, accepted: ReadonlyMap<string, number>): Promise<string[]> {
  const every = Math.max(1, Math.floor(accepted.size / rereadMax))
  const problems: string[] = []
  for (const [id, count] of [...accepted].filter((_, index) => index % every === 0)) {
    try {
      checkOrder(id, count, (await connection.request('GET', `/order/${id}`)).body)
    } catch (error) {
      problems.push((error as Error).message)
    }
  }
  return problems
}

/** The reporter is a role of its own and may be a little behind; it must arrive at exactly the number of pizzas ordered. */
async function checkReport(reportUrl: string, pizzas: number): Promise<string[]> {
  const connection = await openConnection(reportUrl)
  const giveUpAt = performance.now() + reportWithinMs
  for (;;) {
    const counts = JSON.parse((await connection.request('GET', '/report')).body) as Record<string, number>
    const counted = Object.values(counts).reduce((sum, count) => sum + count, 0)
    if (counted !== pizzas && performance.now() < giveUpAt) {
      await sleep(50)
      continue
    }
    connection.close()
    return counted === pizzas ? [] : [`GET /report counts ${counted} pizzas; ordered were ${pizzas}`]
  }
}
