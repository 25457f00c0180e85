import { describe, expect, it } from 'vitest'
import type { EventLog } from '../../src/log/event-log.ts'
import { openMemoryShop, orderRecord, toppedRecord, until, type MemoryShop } from '../support/memory-shop.ts'

const sauce = 'pizza-with-sauce'

/** Runs `work` whenever the host asks where `orders` ends because of held records, before it gets the answer. */
function whenHeld(work: (log: EventLog, times: number) => Promise<void>): (log: EventLog) => EventLog {
  let times = 0
  return (log) => ({
    ...log,
    async ends(topics) {
      // The question at the start is about every topic; that for held records about `orders` only.
      if (topics.length === 1) await work(log, ++times)
      return log.ends(topics)
    },
  })
}

const saucesOf = (host: Awaited<ReturnType<MemoryShop['startHost']>>, order_id: string) =>
  host.orders
    .history(order_id)
    .then((history) => history?.filter(({ topping }) => topping === 'sauce').map((e) => [e.pizza_id, e.choice]))

const reasons = ({ records }: MemoryShop) => records('dead-letters').map(({ headers }) => headers!['reason'])

describe('A topping whose order is not known yet', () => {
  it('waits until `orders` has been read to where it ended, and is taken then (H1)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const running = await shop.startHost({
      wrapLog: whenHeld(async (log, times) => {
        if (times === 1) await log.append([orderRecord(shop.topics, '7', 1)])
      }),
    })
    await shop.append(toppedRecord(shop.topics, 'sauce', { order_id: '7', pizza_id: 1, choice: 'bbq' }))
    await until(() => running.host.applied.position('orders', 0) === 1)
    expect(await saucesOf(running, '7')).toEqual([[1, 'bbq']])
    expect(shop.records('dead-letters')).toEqual([])
  })

  it('is taken before those that stand after it on its topic: the first on the log wins (P3, P4)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const { topics } = shop
    const running = await shop.startHost({
      wrapLog: whenHeld(async (log, times) => {
        if (times > 1) return
        const later = toppedRecord(topics, 'sauce', { order_id: '7', pizza_id: 1, choice: 'light' })
        await log.append([orderRecord(topics, '7', 1), later])
      }),
    })
    await shop.append(toppedRecord(topics, 'sauce', { order_id: '7', pizza_id: 1, choice: 'bbq' }))
    await until(() => running.host.applied.position(sauce, 0) === 2)
    expect(await saucesOf(running, '7')).toEqual([[1, 'bbq']])
    await running.host.checkpointer.now()
    expect((await shop.verify()).differences).toEqual([])
  })

  it('becomes a dead letter when `orders` has nothing for it, with where it stood (O5, P6)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    await shop.startHost()
    await shop.append(toppedRecord(shop.topics, 'sauce', { order_id: 'nobody', pizza_id: 1, choice: 'bbq' }))
    await until(() => shop.records('dead-letters').length === 1)
    expect(shop.records('dead-letters')[0]!.headers).toMatchObject({
      role: 'orders',
      reason: 'unknown-order',
      detail: 'No order nobody was placed',
      topic: sauce,
      partition: '0',
      offset: '0',
    })
  })

  it('outlives a crash: it is written down with the positions that pass it (H1, O2, P4)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const { topics } = shop
    await shop.append(orderRecord(topics, '1', 2))
    const { promise: answered } = Promise.withResolvers<void>()
    const first = await shop.startHost({ wrapLog: whenHeld(() => answered) })
    // In one batch: a topping of nobody yet, and one without pizza id, which taken twice would top two pizzas.
    await shop.append(
      toppedRecord(topics, 'sauce', { order_id: '2', pizza_id: 1, choice: 'alfredo' }),
      toppedRecord(topics, 'sauce', { order_id: '1', pizza_id: undefined, choice: 'bbq' }),
    )
    await until(() => first.host.applied.position(sauce, 0) === 2)
    await first.host.checkpointer.now()
    expect((await shop.verify()).differences).toEqual([])
    first.crash()
    await shop.append(orderRecord(topics, '2', 1))
    const second = await shop.startHost()
    await until(() => second.host.applied.position('orders', 0) === 2)
    await second.host.checkpointer.now()
    expect(await saucesOf(second, '1')).toEqual([[1, 'bbq']])
    expect(await saucesOf(second, '2')).toEqual([[1, 'alfredo']])
    expect((await shop.verify()).differences).toEqual([])
  })

  it('that outlived a crash and has no order after all becomes a dead letter at the next start (H1)', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const { promise: answered } = Promise.withResolvers<void>()
    const first = await shop.startHost({ wrapLog: whenHeld(() => answered) })
    await shop.append(toppedRecord(shop.topics, 'sauce', { order_id: '2', pizza_id: 1, choice: 'bbq' }))
    await until(() => first.host.applied.position(sauce, 0) === 1)
    await first.host.checkpointer.now()
    first.crash()
    expect(reasons(shop)).toEqual([])
    const second = await shop.startHost()
    await until(() => shop.records('dead-letters').length === 1)
    expect(reasons(shop)).toEqual(['unknown-order'])
    await second.stop()
    await shop.startHost()
    expect(reasons(shop)).toEqual(['unknown-order'])
  })

  it('is not lost, nor others taken twice, when the log cannot say where `orders` ends', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    const { topics } = shop
    await shop.append(orderRecord(topics, '1', 3))
    const running = await shop.startHost({
      wrapLog: whenHeld(async (log, times) => {
        if (times <= 2) throw new Error('The broker is away')
        if (times === 3) await log.append([orderRecord(topics, '2', 1)])
      }),
    })
    await shop.append(
      toppedRecord(topics, 'sauce', { order_id: '2', pizza_id: 1, choice: 'alfredo' }),
      toppedRecord(topics, 'sauce', { order_id: '1', pizza_id: undefined, choice: 'bbq' }),
    )
    await until(() => running.host.applied.position('orders', 0) === 2)
    expect(await saucesOf(running, '1')).toEqual([[1, 'bbq']])
    expect(await saucesOf(running, '2')).toEqual([[1, 'alfredo']])
  })
})
