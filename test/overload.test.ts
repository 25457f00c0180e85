import { expect, onTestFinished, test } from 'vitest'
import { parseConfig } from '../src/config.ts'
import type { EventLog } from '../src/log/event-log.ts'
import { createMemoryLog, createMemoryStorage } from '../src/log/memory-log.ts'
import { createLogger } from '../src/logger.ts'
import { startShop } from '../src/shop.ts'
import { createFolder } from './main-process.ts'

/** A shop whose order host cannot ask for pizzas until it may. */
async function openStalledShop() {
  const argv = ['--port', '0', '--report-port', '0', '--behind-records-max', '50', '--data', createFolder()]
  const parsed = parseConfig({ argv, env: {}, readFile: () => '', version: '' })
  if (parsed.kind !== 'start') throw new Error('Expected a configuration')
  const { promise: mayGoOn, resolve: goOn } = Promise.withResolvers<void>()
  const memory = createMemoryLog({ storage: createMemoryStorage(), commitMs: 1 })
  const log: EventLog = {
    ...memory,
    async append(records, options) {
      if (records.some(({ topic }) => topic === 'pizza')) await mayGoOn
      return memory.append(records, options)
    },
  }
  const logger = await createLogger({ level: 'silent', destination: { write() {} }, format: 'json' })
  const shop = await startShop(parsed.config, { log, logger })
  onTestFinished(async () => {
    goOn()
    await shop.stop()
    await memory.close()
  })
  return { url: shop.urls.orders!, goOn }
}

test('A shop that is too far behind answers POST with 503 and a reason, GET as ever, and finishes what it took (P1)', async () => {
  const { url, goOn } = await openStalledShop()
  const place = () => fetch(`${url}/order/10`, { method: 'POST' })
  const taken: string[] = []
  let answer = await place()
  for (; answer.status === 201 && taken.length < 100; answer = await place()) {
    taken.push(((await answer.json()) as { order_id: string }).order_id)
  }
  // An order counts eleven until it is read, and then its ten pizzas.
  expect([5, 6]).toContain(taken.length)
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
  expect(await answer.json()).toMatchObject({
    type: '/problems/behind',
    detail: expect.stringMatching(
      /^No order is taken right now: [56]\d records wait .* 50 may \(--behind-records-max\)/,
    ),
  })
  const shown = await fetch(`${url}/order/${taken[0]}`)
  expect(await shown.json()).toMatchObject({ count: 10, status: 'preparing' })
  expect((await fetch(`${url}/readyz`)).status).toBe(200)
  const metrics = await (await fetch(`${url}/metrics`)).text()
  expect(metrics).toContain('\npizza_orders_refused_total 1\n')
  expect(Number(/^pizza_behind_records (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(50)

  goOn()
  for (const id of taken) {
    const finished = await fetch(`${url}/order/${id}`, { headers: { prefer: 'wait=10' } })
    expect(await finished.json()).toMatchObject({ status: 'ready' })
  }
  expect((await place()).status).toBe(201)
  const { orders } = (await (await fetch(`${url}/orders`)).json()) as { orders: { id: string }[] }
  expect(orders).toHaveLength(taken.length + 1)
})
