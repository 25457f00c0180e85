import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { toLogFields } from '../../src/actors/dead-letters.ts'
import type { LogRecord } from '../../src/log/event-log.ts'
import { openMemoryShop, toppedRecord, until } from '../support/memory-shop.ts'

const badRecord = 'Bad record goes to the dead letters'

describe('A log line about a record', () => {
  test('has its order, its coordinates and the reason, whichever role it is', async () => {
    const shop = await openMemoryShop({ partitions: 1 })
    await shop.append(
      { topic: 'orders', key: '7', value: 'no order' },
      toppedRecord(shop.topics, 'cheese', { order_id: '8', pizza_id: 1, choice: 'feta' }),
      { topic: 'pizza-with-cheese', key: null, value: '' },
      { topic: 'pizza', key: '9', value: '[]' },
    )
    await shop.startHost()
    await shop.startTopping('sauce')
    await shop.startReporter()
    const lines = () => shop.logged.filter(({ msg }) => msg === badRecord)
    await until(() => lines().length === 5)
    const told = lines().map(({ role, reason, order_id, topic, partition, offset }) =>
      [role, reason, order_id, topic, partition, offset].join(' '),
    )
    expect(told.toSorted()).toEqual([
      'cheese-reporter not-json  pizza-with-cheese 0 1',
      'orders not-json  pizza-with-cheese 0 1',
      'orders not-json 7 orders 0 0',
      'orders unknown-order 8 pizza-with-cheese 0 0',
      'sauce invalid-record 9 pizza 0 0',
    ])
  })

  test('shows no key that is no order id', () => {
    const record = (key: Buffer | null): LogRecord => {
      return { topic: 't', partition: 1, offset: 2, key, value: null, timestampMs: 0 }
    }
    const at = { topic: 't', partition: 1, offset: 2 }
    expect(toLogFields(record(Buffer.from('123')))).toEqual({ order_id: '123', ...at })
    for (const key of ['', 'two words', 'line\nbreak', 'x'.repeat(65), '\u00e9']) {
      expect(toLogFields(record(Buffer.from(key)))).toEqual(at)
    }
    expect(toLogFields(record(null))).toEqual(at)
  })
})

test('A role that is told of an order logs nothing while all is well', async () => {
  const shop = await openMemoryShop()
  await shop.startToppings()
  const { orders } = await shop.startHost()
  const { order_id } = await orders.place({ count: 2 })
  expect(await orders.get(order_id, { waitMs: 8_000 })).toMatchObject({ status: 'ready' })
  expect(shop.logged.filter(({ order_id }) => order_id !== undefined)).toEqual([])
})

test('The page for operators explains the fields that lines about orders and records have', () => {
  const page = readFileSync(new URL('../../docs/operate.md', import.meta.url), 'utf8')
  for (const field of ['role', 'order_id', 'topic', 'partition', 'offset', 'reason', 'attempt', 'err']) {
    expect(page).toMatch(new RegExp(`^\\|[^|]*\`${field}\``, 'm'))
  }
})
