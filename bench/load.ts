/**
 * Load generator. A process of its own, so that its CPU time can be told from the benchmark's and its clock is not held up.
 * Takes one task at a time and answers with figures.
 */
import { createCustomer, createLedger, type Customer, type Ledger } from './customers.ts'
import { ConnectionLost } from './http-connection.ts'
import { readCpuSeconds, readMachineCpuSeconds } from './processes.ts'
import { recover } from './recover.ts'
import { createSamples, round } from './samples.ts'
import { availableParallelism } from 'node:os'
import type { LoadResult, LoadTask, Message, Results, Task } from './tasks.ts'
import { verify } from './verify.ts'

const progressMs = 250

const ledger = createLedger()
process.on('message', (task: Task) => void answer(task))
process.on('disconnect', () => process.exit())

async function answer(task: Task): Promise<void> {
  try {
    send({ kind: 'result', result: await perform(task) })
  } catch (error) {
    send({ kind: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  }
}

function perform(task: Task): Promise<Results[keyof Results]> {
  switch (task.kind) {
    case 'load':
      return load(task, ledger)
    case 'recover':
      return recover(task.url, ledger)
    case 'verify':
      return verify(task, ledger)
  }
}

function send(message: Message): void {
  process.send!(message)
}

async function load(task: LoadTask, ledger: Ledger): Promise<LoadResult> {
  const { clients, count, watch, urls, until } = task
  const customers = await Promise.all(
    Array.from({ length: clients }, (_, i) => createCustomer({ urls: startingAt(urls, i), count, watch, ledger })),
  )
  const measurement = createMeasurement(task)
  let started = 0
  const mayOrder = (): boolean => {
    if (until === 'connection lost') return true
    if ('seconds' in until) return measurement.phase() !== 'over'
    return started < until.orders
  }
  const run = async (customer: Customer): Promise<void> => {
    while (mayOrder()) {
      started++
      measurement.add(await customer.order())
    }
  }
  const ticks = setInterval(() => send({ kind: 'progress', orders: measurement.orders() }), progressMs)
  try {
    const endings = await Promise.allSettled(customers.map(run))
    const failed = endings.find((ending) => ending.status === 'rejected' && !isExpected(ending.reason, until))
    if (failed?.status === 'rejected') throw failed.reason
    return measurement.result(ledger.open.size)
  } finally {
    clearInterval(ticks)
    for (const customer of customers) customer.leave()
  }
}

/** So that the first requests do not all go to the first instance. */
function startingAt(urls: readonly string[], index: number): string[] {
  const first = index % urls.length
  return [...urls.slice(first), ...urls.slice(0, first)]
}

function isExpected(error: unknown, until: LoadTask['until']): boolean {
  return until === 'connection lost' && error instanceof ConnectionLost
}

/** Counts what was ready between the end of the warm-up and the end of the run; the CPU figures are of the same time. */
function createMeasurement({ warmUpS, until, count, pids }: LoadTask) {
  const postMs = createSamples()
  const readyMs = createSamples()
  let orders = 0
  let requests = 0
  let seen = 0
  let from = warmUpS === 0 ? takeReading(pids) : undefined
  let to: Reading | undefined
  const startedAt = performance.now()
  const seconds = typeof until === 'object' && 'seconds' in until ? until.seconds : Infinity
  // The edges are taken by timers, not by the next order: with one client that may be much later.
  if (from === undefined) setTimeout(() => (from = takeReading(pids)), warmUpS * 1_000)
  if (seconds < Infinity) setTimeout(() => (to = takeReading(pids)), (warmUpS + seconds) * 1_000)

  return {
    orders: () => seen,
    phase: () => {
      if (to !== undefined) return 'over'
      return from === undefined ? 'warm-up' : 'measuring'
    },
    add(times: { postMs: number; readyMs: number; requests: number }): void {
      seen++
      if (from === undefined || to !== undefined) return
      orders++
      requests += times.requests
      postMs.add(times.postMs)
      readyMs.add(times.readyMs)
    },
    result(open: number): LoadResult {
      const begin = from ?? takeReading(pids)
      const end = to ?? takeReading(pids)
      const tookS = (end.atMs - begin.atMs) / 1_000 || (performance.now() - startedAt) / 1_000
      const cpuSeconds = subtract(end.cpu, begin.cpu)
      const ownS = (end.ownUs - begin.ownUs) / 1e6
      const other = otherShare(begin, end, ownS + Object.values(cpuSeconds).reduce((a, b) => a + b, 0))
      return {
        seconds: round(tookS),
        orders,
        ordersPerSecond: round(orders / tookS),
        pizzasPerSecond: round((orders * count) / tookS),
        postMs: postMs.percentiles(),
        readyMs: readyMs.percentiles(),
        requests,
        generatorCpuUsPerRequest: round((ownS * 1e6) / Math.max(1, requests)),
        cpuSeconds,
        ...(other !== undefined && { otherCpuShare: other }),
        open,
      }
    },
  }
}

interface Reading {
  readonly atMs: number
  readonly cpu: Readonly<Record<string, number>>
  readonly ownUs: number
  readonly machineS: number | undefined
}

function takeReading(pids: LoadTask['pids']): Reading {
  const { user, system } = process.cpuUsage()
  return { atMs: performance.now(), cpu: readCpuSeconds(pids), ownUs: user + system, machineS: readMachineCpuSeconds() }
}

function subtract(
  end: Readonly<Record<string, number>>,
  begin: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(Object.entries(end).map(([name, value]) => [name, round(value - (begin[name] ?? 0))]))
}

function otherShare(begin: Reading, end: Reading, oursS: number): number | undefined {
  if (begin.machineS === undefined || end.machineS === undefined) return undefined
  const availableS = ((end.atMs - begin.atMs) / 1_000) * availableParallelism()
  return round(Math.max(0, end.machineS - begin.machineS - oursS) / availableS)
}
