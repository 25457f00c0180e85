/**
 * `npm run bench`: measures the running program over HTTP, embedded and on Kafka (README.md beside this file says how and why).
 * Ends with 1 when an answer was wrong, whatever the speed.
 */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { runRounds, withShops, type Comparison, type ShopPlan } from './compare.ts'
import { printComparison, printGrowth } from './compare-table.ts'
import { startGenerator } from './generator.ts'
import { runGrowth, type Growth, type GrowthPlan } from './growth.ts'
import { describeInstances, parseInstances, toProcesses, type Instances } from './instances.ts'
import { describeMachine, type Machine } from './machine.ts'
import { judge, judgeGrowth, judgeMemory, type Mark } from './marks.ts'
import { runMemory, type Memory } from './memory.ts'
import { createProgress } from './progress.ts'
import { runPlan, toLoads, type Bench, type Plan, type SystemResult } from './runs.ts'
import { runSoak, type Soak } from './soak.ts'
import { endOnSignals, startSystem, type Mode } from './systems.ts'
import { printCost, printKills, printLoads, printMemory, printSoak, printTable } from './table.ts'

interface Options {
  readonly mode: Mode | 'both'
  readonly clients: number[]
  readonly seconds: number
  readonly kills: number
  readonly quick?: true
  readonly soak?: true | number
  readonly memory?: true | number
  readonly instances?: Instances
  readonly against?: readonly string[]
  readonly growth?: true | number
  readonly rounds: number
  readonly data: string
  readonly json: string
}

interface Report {
  readonly date: string
  readonly machine: Machine
  readonly plan: Plan
  readonly systems: Partial<Record<Mode, SystemResult>>
  readonly soaks: Partial<Record<Mode, Soak>>
  readonly comparisons: Partial<Record<Mode, Comparison>>
  readonly growths: Partial<Record<Mode, Growth>>
  readonly memory?: Memory
  readonly marks: readonly Mark[]
}

const soakPizzas = 1_000_000
const memoryOrders = 1_000_000
const growthOrders = 1_000_000
const latest = resolve(import.meta.dirname, 'results/latest.json')

const command = new Command('npm run bench --')
  .description('Measures orders per second, latencies, CPU, memory and recovery of the running program.')
  .addOption(
    new Option('--mode <mode>', 'the system to measure').choices(['embedded', 'kafka', 'both']).default('both'),
  )
  .option('--clients <list>', 'how many clients order at a time, one run for each', parseList, [1, 16, 64, 256])
  .option('--seconds <n>', 'length of a run, after its warm-up', parseWhole, 10)
  .option('--kills <n>', 'how often everything is killed under load', parseWhole, 3)
  .option('--quick', 'short runs at 1 and 64 clients: shows that it works, not how fast it is')
  .option('--soak [pizzas]', `a long run instead, for memory (${soakPizzas} pizzas when not given)`, parseWhole)
  .option(
    '--memory [orders]',
    `a shop full of orders instead (${memoryOrders} when not given), a fifth of them open`,
    parseWhole,
  )
  .option(
    '--instances <n>',
    'a shop on Kafka beside one whose role orders runs n times; also role=n,… or all=n',
    parseInstancesOption,
  )
  .option('--against <folder...>', 'this checkout beside others; they are compared with the first')
  .option(
    '--growth [orders]',
    `the cost of a pizza while more orders are stored (up to ${growthOrders} when not given) and orders are larger`,
    parseCount,
  )
  .option('--rounds <n>', 'how often shops that are compared take turns', parseCount, 3)
  .option('--data <folder>', 'where the systems keep their data meanwhile', tmpdir())
  .option('--json <file>', 'where the figures are written', latest)
  .parse()

const options = command.opts<Options>()
const works = (['soak', 'memory', 'instances', 'against', 'growth'] as const).filter((name) => options[name])
if (works.length > 1) command.error(`error: give one of ${works.map((name) => `--${name}`).join(' and ')}`)
const progress = createProgress(process.stderr)
endOnSignals()
try {
  await main()
} catch (error) {
  progress.done(error instanceof Error ? (error.stack ?? error.message) : String(error))
  process.exitCode = 1
}

async function main(): Promise<void> {
  const plan = toPlan(options)
  const machine = describeMachine(options.data)
  if (machine.dataInMemory) {
    progress.done(`${options.data} is in memory, where an fsync costs nothing: give a folder on a disk with --data`)
  }
  const systems: Partial<Record<Mode, SystemResult>> = {}
  const soaks: Partial<Record<Mode, Soak>> = {}
  const comparisons: Partial<Record<Mode, Comparison>> = {}
  const growths: Partial<Record<Mode, Growth>> = {}
  const marks: Mark[] = []
  const plans = toShopPlans(options)
  let memory: Memory | undefined
  if (options.memory !== undefined) {
    const orders = options.memory === true ? memoryOrders : options.memory
    memory = await runMemory({ orders, dataIn: options.data, progress })
    marks.push(...judgeMemory(memory))
  }
  for (const mode of memory === undefined ? toModes(options) : []) {
    const shared = { mode, dataIn: options.data, progress }
    if (options.growth !== undefined) {
      const growth = await runGrowth({ ...shared, ...toGrowthPlan(options.growth) })
      growths[mode] = growth
      marks.push(...judgeGrowth(mode, growth))
    } else if (plans !== undefined) {
      const rounds = { loads: toLoads(plan), rounds: options.rounds, warmUpS: plan.systemWarmUpS }
      comparisons[mode] = await withShops({ ...shared, plans }, (shops) => runRounds(shops, rounds))
    } else {
      await measure(mode, async (bench) => {
        if (options.soak !== undefined) {
          soaks[mode] = await runSoak(bench, options.soak === true ? soakPizzas : options.soak)
          return
        }
        const result = await runPlan(bench, plan)
        systems[mode] = result
        marks.push(...judge(mode, result))
      })
    }
  }
  const date = new Date().toISOString()
  const report = { date, machine, plan, systems, soaks, comparisons, growths, ...(memory && { memory }), marks }
  print(report)
  await mkdir(dirname(options.json), { recursive: true })
  await writeFile(options.json, `${JSON.stringify(report, undefined, 1)}\n`)
  console.log(`\nEvery figure: ${options.json}`)
}

async function measure(mode: Mode, run: (bench: Bench) => Promise<void>): Promise<void> {
  progress.update(`starting ${mode}`)
  const system = await startSystem({ mode, dataIn: options.data })
  const generator = startGenerator()
  progress.done(`${mode} is up`)
  try {
    await run({ system, generator, progress })
  } finally {
    await generator.stop()
    await system.stop()
  }
}

function toPlan({ clients, seconds, kills, quick }: Options): Plan {
  if (quick) return { clients: [1, 64], seconds: 3, warmUpS: 1, systemWarmUpS: 4, bigOrders: 4, kills: 1 }
  return { clients, seconds, warmUpS: 3, systemWarmUpS: 20, bigOrders: 20, kills }
}

/** Processes that share orders need Kafka: on an embedded log one has them all. */
function toModes({ mode, instances }: Options): readonly Mode[] {
  if (instances === undefined) return mode === 'both' ? ['embedded', 'kafka'] : [mode]
  if (mode === 'embedded') command.error('error: --instances needs Kafka; leave --mode out, or give --mode kafka')
  return ['kafka']
}

/** The first is what the others are compared with. */
function toShopPlans({ instances, against }: Options): ShopPlan[] | undefined {
  if (instances !== undefined) {
    return [
      { name: '1 of every role', processes: toProcesses(new Map()) },
      { name: describeInstances(instances), processes: toProcesses(instances) },
    ]
  }
  if (against === undefined) return undefined
  return [...against.map(toOtherCheckout), { name: 'this checkout' }]
}

function toOtherCheckout(folder: string): ShopPlan {
  const projectDir = resolve(folder)
  if (!existsSync(join(projectDir, 'src', 'main.ts')) || !existsSync(join(projectDir, 'node_modules'))) {
    command.error(`error: --against needs a checkout of this program with its packages (npm install): ${projectDir}`)
  }
  return { name: basename(projectDir), projectDir }
}

function toGrowthPlan(growth: true | number): GrowthPlan {
  const { rounds, quick } = options
  if (quick) return { stored: [500, 5_000], counts: [1, 10, 100], rounds: 1, warmUpS: 2 }
  const most = growth === true ? growthOrders : growth
  const stored = [most / 100, most / 10, most].map((orders) => Math.ceil(orders))
  return { stored, counts: [1, 10, 100, 1_000], rounds, warmUpS: 10 }
}

function print({ date, machine, systems, soaks, comparisons, growths, memory, marks }: Report): void {
  const { cpu, cores, memoryGb, os, node, kafka, fsyncMs } = machine
  console.log(`\n${date}, ${cores} × ${cpu}, ${memoryGb} GB, ${os}, Node ${node}, Kafka ${kafka}`)
  console.log(
    `fsync p50 ${fsyncMs.p50} ms, p99 ${fsyncMs.p99} ms; load average before the start ${machine.loadAverage.toFixed(1)}`,
  )
  for (const [mode, result] of Object.entries(systems)) {
    console.log(`\n## ${mode}\n\n${printLoads(result.loads)}\n\n${printCost(result)}`)
    if (result.kills.length > 0) console.log(`\n${printKills(result)}`)
  }
  for (const [mode, soak] of Object.entries(soaks)) console.log(`\n## ${mode}, soak\n\n${printSoak(soak)}`)
  for (const [mode, comparison] of Object.entries(comparisons)) {
    console.log(`\n## ${mode}, compared\n\n${printComparison(comparison)}`)
  }
  for (const [mode, growth] of Object.entries(growths)) {
    console.log(`\n## ${mode}, CPU milliseconds\n\n${printGrowth(growth)}`)
  }
  if (memory !== undefined) console.log(`\n## embedded, memory of the orders role\n\n${printMemory(memory)}`)
  if (marks.length === 0) return
  const rows = marks.map(({ name, wanted, measured, reached }) => [name, wanted, measured, reached ? 'yes' : 'no'])
  console.log(`\n${printTable(['mark', 'wanted', 'measured', 'reached'], rows)}`)
}

function parseWhole(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 0) return value
  throw new InvalidArgumentError('a whole number is needed')
}

function parseCount(text: string): number {
  const value = parseWhole(text)
  if (value > 0) return value
  throw new InvalidArgumentError('a whole number from 1 on is needed')
}

function parseInstancesOption(text: string): Instances {
  try {
    return parseInstances(text)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}

function parseList(text: string): number[] {
  return text.split(',').map((part) => {
    const value = parseWhole(part)
    if (value === 0) throw new InvalidArgumentError('at least one client is needed')
    return value
  })
}
