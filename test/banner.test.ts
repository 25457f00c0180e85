import { expect, test } from 'vitest'
import { printBanner } from '../src/banner.ts'
import { parseConfig, type Config } from '../src/config.ts'

function configure(...argv: string[]): Config {
  const parsed = parseConfig({ argv, env: {}, readFile: () => 'bootstrap.servers=a:1,b:2', version: '' })
  if (parsed.kind !== 'start') throw new Error('Expected a configuration')
  return parsed.config
}

const banner = (argv: string[], urls: { orders?: string; report?: string }) =>
  printBanner({ version: '1.2.3', config: configure(...argv), urls, tookMs: 123.4 })

test('A banner of the whole shop says where it keeps its log and what to type', () => {
  const urls = { orders: 'http://127.0.0.1:5000', report: 'http://127.0.0.1:5001' }
  expect(banner(['--demo', '3'], urls)).toBe(`pizza-actors 1.2.3, up in 123 ms
  log     embedded log in ./data
  roles   all, in this process
  orders  http://127.0.0.1:5000
  report  http://127.0.0.1:5001/report
  demo    3 random orders a second

  curl -X POST http://127.0.0.1:5000/order/3  orders 3 pizzas and answers the order_id
  curl http://127.0.0.1:5000/order/ORDER_ID   shows them
  curl http://127.0.0.1:5001/report           counts the cheeses

Ctrl-C stops it.
`)
})

test('A banner of a part says which, on which brokers, and promises no address that the process does not serve', () => {
  expect(banner(['sauce', 'cheese', '--config', 'f'], {})).toBe(`pizza-actors 1.2.3, up in 123 ms
  log    Kafka at a:1, b:2
  roles  sauce, cheese

Ctrl-C stops it.
`)
  expect(banner(['cheese-reporter', '--config', 'f'], { report: 'http://[::1]:1' })).toContain('state in ./data')
})
