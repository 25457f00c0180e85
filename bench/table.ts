/** Table. The figures for people: Markdown, so that they can be pasted into the README as they are. */
import type { Memory } from './memory.ts'
import type { LoadRun, SystemResult } from './runs.ts'
import type { Soak } from './soak.ts'

type Row = readonly string[]

/** A Markdown table; every column but the first is aligned to the right. */
export function printTable(head: Row, rows: readonly Row[]): string {
  const widths = head.map((cell, i) => Math.max(cell.length, 3, ...rows.map((row) => row[i]!.length)))
  const line = (row: Row) => `| ${row.map((cell, i) => pad(cell, widths[i]!, i)).join(' | ')} |`
  const rule = `|${widths.map((width, i) => `${'-'.repeat(width + 1)}${i === 0 ? '-' : ':'}`).join('|')}|`
  return [line(head), rule, ...rows.map(line)].join('\n')
}

export function printLoads(loads: readonly LoadRun[]): string {
  const head = ['run', 'orders/s', 'pizzas/s', 'POST p50 ms', 'p99', 'ready p50 ms', 'p99', 'other CPU', 'client µs']
  return printTable(
    head,
    loads.map((run) => [
      run.name,
      whole(run.ordersPerSecond),
      whole(run.pizzasPerSecond),
      run.postMs.p50.toFixed(1),
      run.postMs.p99.toFixed(1),
      run.readyMs.p50.toFixed(1),
      run.readyMs.p99.toFixed(1),
      run.otherCpuShare === undefined ? '–' : `${(run.otherCpuShare * 100).toFixed(0)} %`,
      whole(run.generatorCpuUsPerRequest),
    ]),
  )
}

/** CPU seconds for 1,000 pizzas and the highest memory, by process. */
export function printCost({ loads, memoryPeakMb }: SystemResult): string {
  const names = Object.keys(memoryPeakMb)
  const head = ['CPU-s per 1,000 pizzas', 'all but broker', ...names]
  const rows = loads.map((run) => {
    const perThousand = (name: string) => ((run.cpuSeconds[name] ?? 0) / (run.orders * run.count)) * 1_000
    const shop = names.filter((name) => name !== 'broker').reduce((sum, name) => sum + perThousand(name), 0)
    return [run.name, shop.toFixed(3), ...names.map((name) => perThousand(name).toFixed(3))]
  })
  const memory = ['highest memory, MB', '', ...names.map((name) => whole(memoryPeakMb[name]!))]
  return printTable(head, [...rows, memory])
}

export function printKills({ kills }: SystemResult): string {
  const head = ['kill -9 of everything', 'open orders', 'first answer ms', 'all ready ms']
  return printTable(
    head,
    kills.map((kill, i) => [`${i + 1}`, whole(kill.open), whole(kill.firstAnswerMs), whole(kill.allReadyMs)]),
  )
}

export function printSoak({ pizzas, seconds, memory }: Soak): string {
  const head = [`${whole(pizzas)} pizzas in ${whole(seconds)} s`, 'after warm-up MB', 'at the end MB', 'highest MB']
  return printTable(
    head,
    Object.entries(memory).map(([name, { warmMb, endMb, peakMb }]) => [
      name,
      whole(warmMb),
      whole(endMb),
      whole(peakMb),
    ]),
  )
}

export function printMemory({ orders, open, phases }: Memory): string {
  const head = [
    `${whole(orders)} orders, ${whole(open)} open`,
    'seconds',
    'MB',
    'highest MB',
    'heap MB',
    'used',
    'live actors',
  ]
  return printTable(
    head,
    phases.map(({ name, seconds, endMb, peakMb, heapMb, heapUsedMb, liveActors }) => [
      name,
      whole(seconds),
      whole(endMb),
      whole(peakMb),
      whole(heapMb),
      whole(heapUsedMb),
      whole(liveActors),
    ]),
  )
}

function pad(cell: string, width: number, column: number): string {
  return column === 0 ? cell.padEnd(width) : cell.padStart(width)
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}
