/** Compare table. Comparisons for people: one table for each load, and one of all costs where the store or the orders grow. */
import type { ComparedLoad, Comparison } from './compare.ts'
import type { Growth } from './growth.ts'
import { payers, toPizzaCosts } from './growth-cost.ts'
import { median, toCpuMsPerOrder, toRatio, toShopCpuMsPerOrder } from './ratios.ts'
import type { LoadRun } from './runs.ts'
import { printTable } from './table.ts'

type Figure = readonly [name: string, of: (run: LoadRun) => number]

/** One table for each load: a row for each figure, with the ratio of every further shop to the first. */
export function printComparison({ shops, loads }: Comparison): string {
  const [first = '', ...others] = shops
  const head = ['', first, ...others.flatMap((name) => [name, 'ratio (of the rounds)'])]
  return loads.map((load) => printTable([load.name, ...head.slice(1)], figuresOf(load).map(toRow(load)))).join('\n\n')
}

function figuresOf({ runs }: ComparedLoad): Figure[] {
  const names = Object.keys(toCpuMsPerOrder(runs[0]![0]!))
  return [
    ['orders/s', (run) => run.ordersPerSecond],
    ['pizzas/s', (run) => run.pizzasPerSecond],
    ['ready p50 ms', (run) => run.readyMs.p50],
    ['ready p99 ms', (run) => run.readyMs.p99],
    ['CPU-ms an order, all but broker', toShopCpuMsPerOrder],
    ...names.map((name): Figure => [`CPU-ms an order, ${name}`, (run) => toCpuMsPerOrder(run)[name] ?? 0]),
  ]
}

function toRow({ runs }: ComparedLoad) {
  return ([name, of]: Figure): string[] => {
    const [first = [], ...others] = runs.map((rounds) => rounds.map(of))
    const cells = others.flatMap((figures) => {
      const { median: middle, least, most } = toRatio(figures, first)
      return [short(median(figures)), `${middle.toFixed(2)} (${least.toFixed(2)}-${most.toFixed(2)})`]
    })
    return [name, short(median(first)), ...cells]
  }
}

/** A row for each number of stored orders and each size: what an order costs, a pizza, and that against the first of its family. */
export function printGrowth(growth: Growth): string {
  const { stored, counts } = growth
  const head = payers.flatMap(({ name }) => [`${name}: ms an order`, 'ms a pizza', 'to fewest stored', 'to smallest'])
  const rows = stored.flatMap((orders, shop) =>
    counts.map((count, load) => [
      orders.toLocaleString('en-US'),
      count.toLocaleString('en-US'),
      ...payers.flatMap((payer) => {
        const costs = toPizzaCosts(growth, payer, shop, load)
        return [
          (median(costs) * count).toFixed(3),
          median(costs).toFixed(4),
          toRatio(costs, toPizzaCosts(growth, payer, 0, load)).median.toFixed(2),
          toRatio(costs, toPizzaCosts(growth, payer, shop, 0)).median.toFixed(2),
        ]
      }),
    ]),
  )
  return printTable(['stored orders', 'pizzas an order', ...head], rows)
}

/** Three digits that say something. */
function short(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US')
  return value >= 10 ? value.toFixed(1) : value.toFixed(3)
}
