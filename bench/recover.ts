/** Recover. After a crash: how long until every order the shop had accepted is ready. */
import { setTimeout as sleep } from 'node:timers/promises'
import { checkOrder, isReady, waitHeader, type Ledger } from './customers.ts'
import { openConnection, type Connection } from './http-connection.ts'
import { readOrderList } from './verify.ts'
import { monotonicMs, type RecoverResult } from './tasks.ts'

const connectionsMax = 32
const withinMs = 60_000
const retryMs = 5

/**
 * Waits until every order of the ledger is ready: those nobody saw ready are waited for one by one; for the others, which may
 * have fallen back to the last checkpoint, the shop must have read all orders and list none of them as preparing.
 */
export async function recover(url: string, ledger: Ledger): Promise<RecoverResult> {
  const giveUpAt = performance.now() + withinMs
  const ids = [...ledger.open]
  const connections = await Promise.all(
    Array.from({ length: Math.max(1, Math.min(connectionsMax, ids.length)) }, () => openConnection(url)),
  )
  const [first] = connections as [Connection, ...Connection[]]
  await first.request('GET', '/livez')
  const firstAnswerAtMs = monotonicMs()
  const open = ids.length
  await Promise.all(
    connections.map(async (connection) => {
      for (let id = ids.pop(); id !== undefined; id = ids.pop()) await awaitReady(connection, id, ledger, giveUpAt)
    }),
  )
  while ((await first.request('GET', '/readyz')).status !== 200) await pause(giveUpAt, 'the shop was not up to date')
  while ((await readOrderList(first, 'preparing')).some(({ id }) => ledger.accepted.has(id))) {
    await pause(giveUpAt, 'orders that had been ready were not ready again')
  }
  const allReadyAtMs = monotonicMs()
  for (const connection of connections) connection.close()
  return { firstAnswerAtMs, allReadyAtMs, open }
}

async function awaitReady(connection: Connection, id: string, ledger: Ledger, giveUpAt: number): Promise<void> {
  for (;;) {
    const { status, body } = await connection.request('GET', `/order/${id}`, waitHeader)
    if (status === 200 && isReady(body)) {
      checkOrder(id, ledger.accepted.get(id)!, body)
      ledger.open.delete(id)
      return
    }
    if (status !== 200 && status !== 503)
      throw new Error(`After the crash GET /order/${id} answered ${status}: ${body}`)
    await pause(giveUpAt, `order ${id} was not ready`)
  }
}

async function pause(giveUpAt: number, otherwise: string): Promise<void> {
  if (performance.now() > giveUpAt) throw new Error(`${withinMs / 1_000} s after the crash ${otherwise}`)
  await sleep(retryMs)
}
