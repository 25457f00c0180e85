/**
 * `npm run profile -- embedded|kafka`: where the CPU time of each process goes at 64 clients, by group of functions. The
 * profiles stay in a folder for a viewer; its name is printed.
 */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Argument, Command } from 'commander'
import { startGenerator } from './generator.ts'
import { parseInstances, toProcesses } from './instances.ts'
import { createProgress } from './progress.ts'
import { runLoad } from './runs.ts'
import { endOnSignals, startSystem, type Mode } from './systems.ts'
import { printTable } from './table.ts'
import { monotonicMs } from './tasks.ts'

interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

interface Profile {
  /** Microseconds of the clock that all processes of the machine share. */
  readonly startTime: number
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: CallFrame
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** The first pattern that fits the file of a function, or its name where it has no file, decides its group. */
const groups: readonly (readonly [pattern: RegExp, group: string])[] = [
  [/^\((?:idle|program)\)$/, ''],
  [/^\(garbage collector\)$/, 'garbage collection'],
  [/node_modules\/(?:express|router|path-to-regexp|finalhandler|send|qs|parseurl|encodeurl|depd|debug)\//, 'express'],
  [/node_modules\/((?:@[^/]+\/)?[^/]+)\//, '$1'],
  [/src\/(.+)\.ts$/, '$1'],
  [/^node:(?:_http|internal\/http|http)/, 'node:http'],
  [/^node:(?:net|internal\/(?:stream_base_commons|streams)|stream)/, 'node:net and streams'],
  [/^node:internal\/(?:timers|process\/task_queues|async|promise)|^node:timers/, 'timers and ticks'],
  [/^node:buffer|^node:internal\/buffer/, 'node:buffer'],
  [/^node:/, 'node, other'],
]

const warmUpS = { embedded: 5, kafka: 20 }

const command = new Command('npm run profile --')
  .addArgument(new Argument('<mode>').choices(['embedded', 'kafka']))
  .option('--seconds <n>', 'length of the load', Number, 10)
  .option('--clients <n>', 'clients that order at a time', Number, 64)
  .option('--count <n>', 'pizzas in each order', Number, 2)
  .option('--rows <n>', 'functions listed for each process', Number, 25)
  .option('--instances <n>', 'on Kafka: processes of the role orders; also role=n,… or all=n')
  .parse()
const [mode] = command.args as [Mode]
const { seconds, clients, count, rows, instances } = command.opts<{
  seconds: number
  clients: number
  count: number
  rows: number
  instances?: string
}>()

const dir = mkdtempSync(join(tmpdir(), 'pizza-profile-'))
const progress = createProgress(process.stderr)
endOnSignals()
const envOf = (name: string) => ({
  NODE_OPTIONS: `--cpu-prof --cpu-prof-interval=500 --cpu-prof-dir=${join(dir, name.replaceAll(' ', '-'))}`,
})
const processes = instances === undefined ? undefined : toProcesses(parseInstances(instances))
const system = await startSystem({ mode, dataIn: tmpdir(), envOf, ...(processes && { processes }) })
const generator = startGenerator()
let fromMs = 0
let toMs = 0
try {
  const options = { clients, count, watch: { kind: 'wait' } as const }
  const bench = { system, generator, progress }
  await runLoad(bench, { name: 'warm-up', ...options, warmUpS: 0, until: { seconds: warmUpS[mode] } })
  fromMs = monotonicMs()
  const run = await runLoad(bench, { name: 'load', ...options, warmUpS: 0, until: { seconds } })
  toMs = monotonicMs()
  console.log(`${Math.round(run.pizzasPerSecond)} pizzas/s; CPU seconds: ${JSON.stringify(run.cpuSeconds)}`)
} finally {
  await generator.stop()
  await system.stop()
}
for (const name of readdirSync(dir)) describe(name)
console.log(`\nProfiles: ${dir}`)

/** A process writes one file; started by a launcher it may write a small one more. */
function describe(name: string): void {
  const files = readdirSync(join(dir, name)).map((file) => readFileSync(join(dir, name, file), 'utf8'))
  const profile = JSON.parse(files.toSorted((a, b) => b.length - a.length)[0]!) as Profile
  const { byGroup, byFunction, busyUs } = addUp(profile)
  const table = (title: string, figures: ReadonlyMap<string, number>, max: number) => {
    const top = [...figures].sort(([, a], [, b]) => b - a).slice(0, max)
    const lines = top.map(([what, us]) => [what, (us / 1_000).toFixed(0), `${((us / busyUs) * 100).toFixed(1)} %`])
    console.log(`\n${printTable([title, 'ms', 'of busy'], lines)}`)
  }
  console.log(`\n## ${name}: busy ${(busyUs / 1e6).toFixed(1)} s`)
  table('self time by group', byGroup, 40)
  table('self time by function', byFunction, rows)
}

/** Self times between the begin and the end of the load: start and stop of a process are another matter. */
function addUp({ nodes, samples, timeDeltas, startTime }: Profile) {
  const selfUs = new Map<number, number>()
  let atUs = startTime
  samples.forEach((id, i) => {
    atUs += timeDeltas[i]!
    if (atUs > fromMs * 1_000 && atUs < toMs * 1_000) selfUs.set(id, (selfUs.get(id) ?? 0) + timeDeltas[i]!)
  })
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)))
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const byGroup = new Map<string, number>()
  const byFunction = new Map<string, number>()
  let busyUs = 0
  for (const [id, us] of selfUs) {
    const group = groupOf(id, frames, parents)
    if (group === '') continue
    busyUs += us
    byGroup.set(group, (byGroup.get(group) ?? 0) + us)
    const { functionName, url, lineNumber } = frames.get(id)!
    const place = url === '' ? `in ${group}` : `${url.replace(/^.*\/(?=src\/|node_modules\/)/, '')}:${lineNumber + 1}`
    const name = `${functionName || '(anonymous)'} ${place}`
    byFunction.set(name, (byFunction.get(name) ?? 0) + us)
  }
  return { byGroup, byFunction, busyUs }
}

/** Functions of the engine itself (JSON.parse, a statement of SQLite) have no file: they count where they were called from. */
function groupOf(id: number, frames: ReadonlyMap<number, CallFrame>, parents: ReadonlyMap<number, number>): string {
  for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
    const { functionName, url } = frames.get(at)!
    const place = url === '' ? functionName : url
    for (const [pattern, group] of groups) {
      const match = pattern.exec(place)
      if (match !== null) return match[0].replace(pattern, group.replace('$1', match[1] ?? ''))
    }
  }
  return 'engine'
}
