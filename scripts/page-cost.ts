/**
 * `node scripts/page-cost.ts [pages] [orders/s]`: what open pages cost the shop. Places orders at a steady rate, then as fast as
 * 64 clients can, first without pages and then with so many open (half on Orders, half on Shop), in turns.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startShopProcess } from '../test/support/shop-process.ts'

const pages = Number(process.argv[2] ?? 100)
const ordersPerSecond = Number(process.argv[3] ?? 500)
const clients = 64
const roundMs = 5_000
const ticksPerSecond = 100

const dataDir = mkdtempSync(join(tmpdir(), 'pizza-page-cost-'))
const shop = await startShopProcess({ dataDir })
const agent = new Agent({ keepAlive: true, maxSockets: 256 })
try {
  await atRate(1_000)
  for (let round = 1; round <= 3; round++) {
    for (const open of [0, pages]) {
      const close = await openPages(open)
      const atRest = await measure(() => atRate(roundMs))
      const atMost = await measure(() => asFastAsPossible(roundMs))
      const bytes = close()
      console.log(
        `round ${round}, ${String(open).padStart(3)} pages: at ${atRest.rate}/s ${atRest.cpuUs} µs CPU an order, ` +
          `at most ${atMost.rate}/s with ${atMost.cpuUs} µs; ${Math.round(bytes / 1_024)} KiB read`,
      )
    }
  }
} finally {
  agent.destroy()
  await shop.stop()
  rmSync(dataDir, { recursive: true })
}

/** @returns orders a second, and the processor time of the shop for each. */
async function measure(work: () => Promise<number>): Promise<{ rate: number; cpuUs: number }> {
  const [cpuBefore, startedAt] = [readCpuS(shop.pid), performance.now()]
  const rate = await work()
  const seconds = (performance.now() - startedAt) / 1_000
  return { rate, cpuUs: Math.round(((readCpuS(shop.pid) - cpuBefore) * 1e6) / (rate * seconds)) }
}

/** @returns orders a second. */
async function atRate(ms: number): Promise<number> {
  const startedAt = performance.now()
  const answers: Promise<void>[] = []
  while (performance.now() - startedAt < ms) {
    const due = ((performance.now() - startedAt) * ordersPerSecond) / 1_000
    while (answers.length < due) answers.push(place())
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await Promise.all(answers)
  return Math.round((answers.length * 1_000) / (performance.now() - startedAt))
}

async function asFastAsPossible(ms: number): Promise<number> {
  const startedAt = performance.now()
  let placed = 0
  const client = async () => {
    while (performance.now() - startedAt < ms) {
      await place()
      placed++
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  return Math.round((placed * 1_000) / (performance.now() - startedAt))
}

function place(): Promise<void> {
  return new Promise((resolve, reject) => {
    const asking = request(`${shop.url}/order/2`, { method: 'POST', agent }, (res) => {
      res.resume().once('end', resolve)
    })
    asking.once('error', reject).end()
  })
}

/** @returns closes them and tells how much they read. */
async function openPages(count: number): Promise<() => number> {
  let bytes = 0
  const streams = await Promise.all(
    Array.from(
      { length: count },
      (_, index) =>
        new Promise<{ destroy(): void }>((resolve, reject) => {
          const path = index % 2 === 0 ? '/live/orders' : '/live/shop'
          const asking = request(shop.url + path, { agent: false }, (res) => {
            res.on('data', (chunk: Buffer) => (bytes += chunk.length)).on('error', () => {})
            resolve(asking)
          })
          asking.on('error', reject).end()
        }),
    ),
  )
  return () => {
    for (const stream of streams) stream.destroy()
    return bytes
  }
}

/** Processor time a process has used, in seconds (Linux). */
function readCpuS(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}
