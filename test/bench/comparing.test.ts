/** What the benchmark makes of the figures of several shops. */
import { describe, expect, test } from 'vitest'
import { printComparison, printGrowth } from '../../bench/compare-table.ts'
import type { Growth } from '../../bench/growth.ts'
import { describeInstances, parseInstances, toProcesses, toRole } from '../../bench/instances.ts'
import { judgeGrowth } from '../../bench/marks.ts'
import { median, toCpuMsPerOrder, toGrowth, toRatio, toShopCpuMsPerOrder } from '../../bench/ratios.ts'
import { runRounds, type Shop } from '../../bench/compare.ts'
import type { LoadRun } from '../../bench/runs.ts'
import type { LoadTask, VerifyTask } from '../../bench/tasks.ts'

const none = { count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0 }

function toRun(orders: number, cpuSeconds: Record<string, number>): LoadRun {
  return {
    name: 'load',
    clients: 1,
    count: 2,
    watch: { kind: 'wait' },
    seconds: 1,
    orders,
    ordersPerSecond: orders,
    pizzasPerSecond: 2 * orders,
    postMs: none,
    readyMs: none,
    requests: 2 * orders,
    generatorCpuUsPerRequest: 10,
    cpuSeconds,
    open: 0,
  }
}

describe('Instances', () => {
  test('of a bare number are of the role orders; the other roles run once', () => {
    const processes = toProcesses(parseInstances('3'))
    expect(processes.map(({ name }) => name)).toEqual([
      'orders',
      'orders 2',
      'orders 3',
      'sauce',
      'cheese',
      'meats',
      'veggies',
      'cheese-reporter',
    ])
    expect(processes.filter(({ roles }) => roles.join() === 'orders')).toHaveLength(3)
    expect(describeInstances(parseInstances('3'))).toBe('3 × orders')
  })

  test('can be given by role, and of all roles', () => {
    expect(describeInstances(parseInstances('orders=2,sauce=4'))).toBe('2 × orders, 4 × sauce')
    expect(toProcesses(parseInstances('orders=2,sauce=4'))).toHaveLength(10)
    expect(describeInstances(parseInstances('all=2'))).toBe('2 × every role')
    expect(toProcesses(parseInstances('all=2'))).toHaveLength(12)
  })

  test.each([
    ['0', /"0": a whole number from 1 on is needed/],
    ['many', /"many": a whole number/],
    ['orders=', /"orders=": a whole number/],
    ['oven=2', /no role is called "oven"; there are orders, sauce, cheese, meats, veggies, cheese-reporter, and all/],
  ])('given as %s are refused with what can be given', (text, message) => {
    expect(() => parseInstances(text)).toThrow(message)
  })

  test('count for their role, whatever their number', () => {
    expect(['orders', 'orders 2', 'cheese-reporter 12', 'broker'].map(toRole)).toEqual([
      'orders',
      'orders',
      'cheese-reporter',
      'broker',
    ])
  })
})

describe('Ratios', () => {
  test('are taken round by round, so that a slow round of the machine cancels out', () => {
    expect(toRatio([2, 40, 6], [1, 20, 3])).toEqual({ median: 2, least: 2, most: 2 })
    expect(toRatio([1, 2, 3], [1, 1, 1])).toEqual({ median: 2, least: 1, most: 3 })
  })

  test('have the middle of an even number of rounds between two', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([3, 1, 2])).toBe(2)
    expect(median([7])).toBe(7)
    expect(median([])).toBe(0)
  })

  test('of CPU time add up the instances of a role, and leave the broker out of the shop', () => {
    const run = toRun(1_000, { orders: 0.2, 'orders 2': 0.1, sauce: 0.05, broker: 9 })
    expect(toCpuMsPerOrder(run)['orders']).toBeCloseTo(0.3)
    expect(toCpuMsPerOrder(run)['broker']).toBeCloseTo(9)
    expect(toShopCpuMsPerOrder(run)).toBeCloseTo(0.35)
  })

  test('tell growth from any smaller one, also when the first was dear', () => {
    expect(toGrowth([[4], [1], [1.5]])).toBe(1.5)
    expect(toGrowth([[4], [2], [1]])).toBe(1)
    expect(
      toGrowth([
        [1, 10],
        [1.1, 11],
        [1.2, 12],
      ]),
    ).toBeCloseTo(1.2)
  })
})

/** One shop for each inner list, one load for each figure in it: CPU seconds of the orders role for 1,000 orders. */
function toGrowthOf(seconds: readonly (readonly number[])[], counts: readonly number[]): Growth {
  const runs = counts.map((_, load) => seconds.map((ofShop) => [toRun(1_000, { orders: ofShop[load]!, others: 0 })]))
  return {
    stored: seconds.map((_, index) => 10 ** (index + 4)),
    counts,
    comparison: {
      shops: seconds.map((_, index) => `shop ${index}`),
      loads: counts.map((count, load) => ({ name: `orders of ${count}`, count, runs: runs[load]! })),
    },
  }
}

describe('Growth', () => {
  const reached = (growth: Growth) =>
    Object.fromEntries(judgeGrowth('embedded', growth).map((mark) => [mark.name, mark]))
  const byStored = 'embedded, CPU time a pizza, orders role, more orders stored: highest growth'
  const bySize = 'embedded, CPU time a pizza, orders role, larger orders: highest growth'

  test('within a quarter, or falling, reaches the mark', () => {
    const marks = reached(
      toGrowthOf(
        [
          [0.4, 1],
          [0.44, 1.1],
        ],
        [1, 10],
      ),
    )
    expect(marks[byStored]).toMatchObject({ measured: '1.1', reached: true })
    expect(marks[bySize]).toMatchObject({ measured: '1', reached: true })
  })

  test('past a quarter misses it: while more orders are stored, and in larger orders', () => {
    const marks = reached(
      toGrowthOf(
        [
          [0.4, 1, 13],
          [0.4, 1, 20],
        ],
        [1, 10, 100],
      ),
    )
    expect(marks[byStored]).toMatchObject({ measured: '1.54', reached: false })
    // 0.1 a pizza at 10, 0.2 at 100: 0.4 at 1 hides nothing.
    expect(marks[bySize]).toMatchObject({ measured: '2', reached: false })
  })

  test('is printed by order and by pizza, with the ratio to the first of each family', () => {
    const lines = printGrowth(
      toGrowthOf(
        [
          [0.4, 1],
          [0.5, 1.5],
        ],
        [1, 10],
      ),
    ).split('\n')
    const cells = (line: string) =>
      line
        .split('|')
        .slice(1, 7)
        .map((cell) => cell.trim())
    expect(cells(lines[2]!)).toEqual(['10,000', '1', '0.400', '0.4000', '1.00', '1.00'])
    expect(cells(lines.at(-1)!)).toEqual(['100,000', '10', '1.500', '0.1500', '1.50', '0.30'])
  })
})

describe('A comparison', () => {
  test('goes through its shops in turn, there and back, and checks every one of them at the end', async () => {
    const done: string[] = []
    const toShop = (name: string, filled: number): Shop => ({
      name,
      filled,
      system: {
        urls: [`http://${name}`],
        reportUrl: `http://${name}/report`,
        pids: () => ({}),
      } as unknown as Shop['system'],
      progress: { update: () => {}, done: () => {} },
      generator: {
        perform(task: LoadTask | VerifyTask) {
          done.push(task.kind === 'load' ? `${name} ${task.clients}` : `${name} checked, ${task.filled} filled`)
          return Promise.resolve(task.kind === 'load' ? toRun(10, { orders: 1 }) : { problems: [] })
        },
      } as unknown as Shop['generator'],
    })
    const watch = { kind: 'wait' } as const
    const comparison = await runRounds([toShop('a', 0), toShop('b', 7)], {
      loads: [
        { name: 'small', clients: 1, watch, warmUpS: 1, until: { seconds: 1 } },
        { name: 'big', clients: 4, count: 1_000, watch, warmUpS: 0, until: { orders: 4 } },
      ],
      rounds: 2,
      warmUpS: 1,
    })
    const warmUp = ['a 64', 'a 4', 'b 64', 'b 4']
    expect(done).toEqual([
      ...warmUp,
      'a 1',
      'b 1',
      'a 4',
      'b 4',
      'b 1',
      'a 1',
      'b 4',
      'a 4',
      'a checked, 0 filled',
      'b checked, 7 filled',
    ])
    expect(comparison.loads.map(({ name, count }) => [name, count])).toEqual([
      ['small', 2],
      ['big', 1_000],
    ])
    expect(comparison.loads[0]!.runs.map((rounds) => rounds.length)).toEqual([2, 2])
  })

  test('is printed with a row for each figure and the ratio to the first shop', () => {
    const runs = [[toRun(100, { orders: 0.1 })], [toRun(50, { orders: 0.04, 'orders 2': 0.06 })]]
    const table = printComparison({ shops: ['one', 'two'], loads: [{ name: 'load', count: 2, runs }] })
    expect(table).toMatch(/^\| load +\| +one \| +two \| ratio \(of the rounds\) \|/)
    expect(table).toMatch(/\| orders\/s +\| +100 \| +50\.0 \| +0\.50 \(0\.50-0\.50\) \|/)
    expect(table).toMatch(/\| CPU-ms an order, orders +\| +1\.000 \| +2\.000 \| +2\.00 \(2\.00-2\.00\) \|/)
  })
})
