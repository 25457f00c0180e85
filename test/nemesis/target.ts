/**
 * Target: the shop that faults are done to, in a folder of its own: processes, state on a disk that can be filled, on Kafka a broker
 * behind a proxy. Owns all of it.
 *
 * T1: a process that does not come up says so with an exit code of its own and a sentence that says what to do; and only while a
 *     fault gives it a reason. Anything else is a finding.
 * T2: `close` leaves no process, no mount and, unless asked to, no file.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { exitCodes } from '../../src/exit-codes.ts'
import { startTestBroker, type TestBroker } from '../kafka/broker.ts'
import { createFleet, type Fleet, type FleetProcess } from '../support/fleet.ts'
import { runProgram, StartError } from '../support/shop-process.ts'
import { openDisk, type Disk } from './disk.ts'
import { createTcpProxy, type TcpProxy } from './tcp-proxy.ts'

export const modes = ['embedded', 'kafka'] as const
export type Mode = (typeof modes)[number]

/** What may keep a process from coming up, or from ending in time. */
export type Excuse = 'log away' | 'disk full' | 'store damaged'

export interface Target {
  readonly mode: Mode
  readonly folder: string
  readonly fleet: Fleet
  readonly disk: Disk
  /** On Kafka only. */
  readonly broker?: TestBroker
  readonly proxy?: TcpProxy
  /** Folder of the process's state. */
  dataDirOf(name: string): string
  /** Starts a process as a supervisor does: again and again. `refused` is told of each time it did not come up. */
  bringUp(name: string, refused?: (refusal: StartError) => Promise<void>): Promise<void>
  /** Stops a process in good order. Without the log or room on the disk it may take too long for that. */
  shutDown(name: string): Promise<void>
  /** Gives starts an excuse until shortly after the function it returns is called. */
  excuse(reason: Excuse): () => void
  /** Starts that refused, with a good reason. */
  readonly refusals: ReadonlyMap<Excuse, number>
  readonly findings: readonly string[]
  /** Runs `verify` on every data folder. @returns what it said where it found a difference. */
  verify(): Promise<string[]>
  close(options: { keep: boolean }): Promise<void>
}

export interface TargetOptions {
  readonly mode: Mode
  readonly mayMount: boolean
  /** Their data folders are relative to the target's. */
  readonly processes: readonly FleetProcess[]
}

const exitsByExcuse: Readonly<Record<Excuse, readonly number[]>> = {
  'log away': [exitCodes.logUnavailable],
  // The embedded log is on the same disk.
  'disk full': [exitCodes.dataNotWritable, exitCodes.logUnavailable],
  'store damaged': [exitCodes.storeUnusable],
}

/** How long after its mending a fault may still be why a start fails: a broker that is up answers late at first. */
const lingerMs = 15_000

/** Above every fault, and the slowest start of a broker. */
const startMsMax = 180_000

/** Starts the shop. */
export async function openTarget({ mode, mayMount, processes }: TargetOptions): Promise<Target> {
  const folder = await mkdtemp(join(tmpdir(), `pizza-nemesis-${mode}-`))
  const dataDir = join(folder, 'data')
  await mkdir(dataDir)
  const disk = await openDisk(dataDir, { mayMount })
  const kafka = mode === 'kafka' ? await openBroker(folder) : undefined
  const inData = (dir = ''): string => join(dataDir, dir)
  const common = { dataDir, ...(kafka && { configFile: kafka.configFile }) }
  const placed = processes.map((process) => ({ ...process, dataDir: inData(process.dataDir) }))
  const fleet = createFleet({ ...common, processes: placed })
  const dataDirs = new Map(placed.map(({ name, roles, dataDir }) => [name ?? roles.join('+'), dataDir]))
  const starts = superviseStarts(fleet)
  const close = async ({ keep }: { keep: boolean }): Promise<void> => {
    starts.stop()
    await fleet.killAll()
    await kafka?.broker.close()
    await kafka?.proxy.close()
    await disk.close({ keep })
    if (!keep) await rm(folder, { recursive: true, force: true })
  }
  try {
    await fleet.startAll()
  } catch (error) {
    await close({ keep: false })
    throw error
  }
  return {
    mode,
    folder,
    fleet,
    disk,
    ...(kafka && { broker: kafka.broker, proxy: kafka.proxy }),
    dataDirOf: (name) => dataDirs.get(name)!,
    ...starts,
    async verify() {
      const runs = await Promise.all(
        [...new Set(dataDirs.values())].map((dir) => runProgram('verify', { ...common, dataDir: dir })),
      )
      return runs.filter(({ code }) => code !== 0).map(({ code, output }) => `verify ended with ${code}: ${output}`)
    },
    close,
  }
}

/** A broker that can only be reached through the proxy: it tells its clients the proxy's address. */
async function openBroker(folder: string) {
  const proxy = await createTcpProxy()
  const address = `127.0.0.1:${proxy.port}`
  const broker = await startTestBroker({ properties: { 'advertised.listeners': `PLAINTEXT://${address}` } })
  proxy.leadTo(Number(broker.bootstrapServers.split(':')[1]))
  const configFile = join(folder, 'config.properties')
  await writeFile(configFile, `bootstrap.servers=${address}\n`)
  return { broker, proxy, configFile }
}

/** Starting, and judging whoever refuses to (T1). */
function superviseStarts(fleet: Fleet) {
  const excuses = new Set<readonly [Excuse]>()
  /** Of each start and stop under way, the excuses there were since it began. */
  const underWay = new Set<Set<Excuse>>()
  const refusals = new Map<Excuse, number>()
  const findings: string[] = []
  let isStopping = false
  const judge = (name: string, refusal: StartError, reasons: ReadonlySet<Excuse>): void => {
    const reason = [...reasons].find((excuse) => exitsByExcuse[excuse].includes(Number(refusal.exit)))
    const isClear = /^pizza-actors: .+\.$/m.test(refusal.output) && !/\n {4}at /.test(refusal.output)
    if (reason === undefined || !isClear) {
      const about = `faults at work: ${[...reasons].join(', ') || 'none'}`
      findings.push(`${name} did not start (exit ${refusal.exit}; ${about}):\n${refusal.output.slice(-3_000)}`)
    } else refusals.set(reason, (refusals.get(reason) ?? 0) + 1)
  }
  return {
    refusals,
    findings: findings as readonly string[],
    stop: () => void (isStopping = true),
    excuse(reason: Excuse) {
      const entry = [reason] as const
      excuses.add(entry)
      for (const reasons of underWay) reasons.add(reason)
      return () => void setTimeout(() => excuses.delete(entry), lingerMs).unref()
    },
    async shutDown(name: string) {
      const reasons = new Set([...excuses].flat())
      underWay.add(reasons)
      try {
        await fleet.stop(
          name,
          (exit) => exit === exitCodes.ok || (reasons.size > 0 && exit === exitCodes.drainTimedOut),
        )
      } finally {
        underWay.delete(reasons)
      }
    },
    async bringUp(name: string, refused?: (refusal: StartError) => Promise<void>) {
      const givenUpAt = performance.now() + startMsMax
      while (!isStopping && findings.length === 0) {
        if (performance.now() > givenUpAt) findings.push(`${name} does not come up for ${startMsMax / 1_000} s`)
        const reasons = new Set([...excuses].flat())
        underWay.add(reasons)
        try {
          await fleet.start(name)
          return
        } catch (error) {
          if (!(error instanceof StartError)) throw error
          if (isStopping) return
          judge(name, error, reasons)
          await refused?.(error)
          // As supervisors do: at once, but not in a circle that eats the machine.
          await sleep(200)
        } finally {
          underWay.delete(reasons)
        }
      }
    },
  }
}
