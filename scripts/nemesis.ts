/**
 * `npm run nemesis`: the real shop, its processes, its files and its broker, under faults of every kind while customers order
 * (docs/proof.md). Ends with 1 when something was lost, doubled or changed, or a process did what it must not.
 */
import { Command, InvalidArgumentError, Option } from 'commander'
import { didYouMean } from '../src/setting-kinds.ts'
import { faultKinds } from '../test/nemesis/faults.ts'
import { runNemesis } from '../test/nemesis/nemesis.ts'
import { printReport } from '../test/nemesis/report.ts'
import { modes, type Mode } from '../test/nemesis/target.ts'
import { missingForKafka } from './kafka-jars.ts'

const kindNames = faultKinds.map(({ name }) => name)

const command = new Command('npm run nemesis --')
  .description('Does harm to a real shop while customers order, then checks every order')
  .option('--minutes <number>', 'how long faults come, in each mode', parsePositive, 10)
  .option('--faults <n>', 'ends after so many faults, if that is sooner', parseCount)
  .addOption(
    new Option('--seed <n>', 'the same seed gives the same list of faults')
      .argParser(parseSeed)
      .default(Date.now() % 1_000_000, 'another one each time'),
  )
  .addOption(new Option('--mode <mode>', 'embedded, kafka or both').argParser(parseMode).default(modes, 'both'))
  .option('--only <kinds>', `kinds of faults, with commas between: ${kindNames.join(', ')}`, parseKinds)
  .option('--orders <n>', 'processes of the orders role, on Kafka', parseCount, 1)
  .option('--at-once <n>', 'most faults at work at the same time', parseCount, 2)
  .option('--keep', 'keeps the folders even when nothing is found')
  .parse()

interface Options {
  readonly minutes: number
  readonly faults?: number
  readonly seed: number
  readonly mode: readonly Mode[]
  readonly only?: readonly string[]
  readonly atOnce: number
  readonly orders: number
  readonly keep?: boolean
}

const {
  minutes,
  faults: faultsMax,
  seed,
  mode,
  only,
  atOnce: overlapMax,
  orders,
  keep = false,
} = command.opts<Options>()

const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    console.log(`${signal}: ending every process; once more to stop at once`)
    stopping.abort(new Error(`Stopped by ${signal}`))
  })
}

try {
  const missing = mode.includes('kafka') ? await missingForKafka() : undefined
  if (missing !== undefined) throw new Error(`${missing}, or leave Kafka out with --mode embedded`)
  for (const each of mode) await runOne(each)
} catch (error) {
  console.error((error as Error).message)
  // What a stopped run was waiting for may still be under way.
  process.exit(1)
}

async function runOne(mode: Mode): Promise<void> {
  console.log(`${mode}, seed ${seed}`)
  const result = await runNemesis({
    mode,
    seed,
    runMs: minutes * 60_000,
    keep,
    overlapMax,
    ordersProcesses: mode === 'kafka' ? orders : 1,
    mayMount: true,
    signal: stopping.signal,
    say: (line) => console.log(line),
    ...(faultsMax !== undefined && { faultsMax }),
    ...(only && { only }),
  })
  console.log(printReport(result))
  if (result.findings.length > 0) process.exitCode = 1
}

function parsePositive(text: string): number {
  const number = Number(text)
  if (number > 0 && Number.isFinite(number)) return number
  throw new InvalidArgumentError('expected a number above 0')
}

function parseCount(text: string): number {
  const count = Number(text)
  if (Number.isSafeInteger(count) && count >= 1) return count
  throw new InvalidArgumentError('expected a whole number from 1')
}

function parseSeed(text: string): number {
  const seed = Number(text)
  if (Number.isSafeInteger(seed) && seed >= 0) return seed
  throw new InvalidArgumentError('a seed is a whole number from 0')
}

function parseMode(text: string): readonly Mode[] {
  if (text === 'both') return modes
  const found = modes.find((mode) => mode === text)
  if (found !== undefined) return [found]
  throw new InvalidArgumentError(`expected embedded, kafka or both${didYouMean(text, [...modes, 'both'])}`)
}

function parseKinds(text: string): readonly string[] {
  const kinds = text.split(',').map((kind) => kind.trim())
  for (const kind of kinds) {
    if (!kindNames.includes(kind)) throw new InvalidArgumentError(`no such kind: ${kind}${didYouMean(kind, kindNames)}`)
  }
  return kinds
}
