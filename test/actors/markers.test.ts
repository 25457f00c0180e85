/** Topics that end with something that is no record (L6): the roles read on, answer and settle all the same. */
import { describe, expect, it } from 'vitest'
import { readLags } from '../../src/actors/lag.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { markLog } from '../support/marked-log.ts'
import { openMemoryShop, orderRecord, toppedRecord, until } from '../support/memory-shop.ts'

const waitMs = 60_000
const wrapLog = markLog

async function openMarkedShop() {
  const shop = await openMemoryShop({ partitions: 2, host: { wrapLog } })
  const startToppings = () => Promise.all(shop.recipe.map(({ topping }) => shop.startTopping(topping, wrapLog)))
  /** Resolves when the log says of nobody that there is something left to do. */
  const everybodyIsThrough = async (): Promise<void> => {
    const log = markLog(shop.log)
    for (;;) {
      const lags = await readLags(log, shop.topics, 'pizza-actors')
      if (lags.every(({ lag }) => lag === 0)) return
      await new Promise(setImmediate)
    }
  }
  return { ...shop, startToppings, everybodyIsThrough }
}

describe('Behind markers', () => {
  it('an order host that starts again becomes ready, and answers for orders there are and there are not (G1, G2, Q1)', async () => {
    const shop = await openMarkedShop()
    const first = await shop.startHost()
    await Promise.all([shop.startToppings(), shop.startReporter({ wrapLog })])
    const { order_id } = await first.orders.place({ count: 3 })
    const before = await first.orders.get(order_id, { waitMs })
    expect(before).toMatchObject({ status: 'ready' })
    await first.host.checkpointer.now()
    first.crash()
    await shop.append(orderRecord(shop.topics, '7', 1), orderRecord(shop.topics, '8', 1))
    const { host, orders } = await shop.startHost()
    expect(await host.gate.whenCurrent([0, 1], waitMs)).toBe(true)
    expect(await orders.get(order_id)).toEqual(before)
    expect(await orders.get('7', { waitMs })).toMatchObject({ status: 'ready' })
    expect(await orders.get('9')).toBeUndefined()
    await shop.everybodyIsThrough()
    expect([host.readiness().ready, host.backlog.records()]).toEqual([true, 0])
  })

  it('a host begins where it was stopped between a record and its marker', async () => {
    const shop = await openMarkedShop()
    const withoutPassing = (log: EventLog): EventLog => {
      const marked = markLog(log)
      return { ...marked, consume: ({ onPassed: _none, ...options }) => marked.consume(options) }
    }
    const first = await shop.startHost({ wrapLog: withoutPassing })
    await shop.append(orderRecord(shop.topics, '7', 1))
    await until(() => first.host.cache.peek('7') !== undefined)
    await first.host.checkpointer.now()
    expect([...first.store.positions().get('orders')!.values()]).toContain(1)
    first.crash()
    const { host, orders } = await shop.startHost()
    expect(await orders.get('9')).toBeUndefined()
    expect(host.readiness().ready).toBe(true)
  })

  it('a topping without an order is a dead letter as soon as `orders` has been read to its end', async () => {
    const shop = await openMarkedShop()
    await shop.append(orderRecord(shop.topics, '7', 1))
    await shop.startHost()
    await shop.append(toppedRecord(shop.topics, 'sauce', { order_id: '8', pizza_id: 1, choice: 'bbq' }))
    await until(() => shop.records('dead-letters').length === 1)
    expect(shop.records('dead-letters')[0]!.headers).toMatchObject({ reason: 'unknown-order' })
  })

  it('a cheese reporter shows every partition', async () => {
    const shop = await openMarkedShop()
    const cheeses = ['7', '8', '9'].map((order_id) =>
      toppedRecord(shop.topics, 'cheese', { order_id, pizza_id: 1, choice: 'feta' }),
    )
    await shop.append(...cheeses)
    const { report } = await shop.startReporter({ wrapLog })
    await until(() => report.readiness().ready && report.parts().length === 2)
    expect(report.counts()).toEqual({ feta: 3 })
  })
})
