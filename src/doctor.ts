/**
 * The `doctor` command: looks at everything a shop needs before it starts, or while it runs, and says on one line each what is
 * right, what is worth a look, and what must be mended, and how. Reads only: it makes no folder, no topic and no record.
 */
import { explain } from './start-errors.ts'
import type { Config } from './config.ts'
import { keepsState } from './config.ts'
import { inspectLog, type InspectedLog } from './doctor-log.ts'
import { inspectDataDir, inspectLocks, inspectNode, inspectPort } from './doctor-machine.ts'

/** `FAIL`: the shop cannot work like this. The text then says what to do. */
export interface Finding {
  readonly level: 'ok' | 'warn' | 'FAIL'
  readonly about: string
  readonly text: string
}

export interface DoctorOptions {
  readonly nodeVersion: string
  /** `undefined` when there is no log yet and the first start makes it. */
  readonly openLog: () => Promise<InspectedLog | undefined>
  readonly print: (line: string) => void
}

/** Looks at everything and prints it as it goes. @returns whether nothing failed. */
export async function runDoctor(config: Config, { nodeVersion, openLog, print }: DoctorOptions): Promise<boolean> {
  let failed = 0
  const tell = (findings: readonly Finding[]): void => {
    for (const { level, about, text } of findings) {
      if (level === 'FAIL') failed++
      print(`${level.padEnd(4)}  ${about.padEnd(aboutWidth)}  ${text}`)
    }
  }
  tell([inspectNode(nodeVersion)])
  if (keepsState(config)) tell([inspectDataDir(config.dataDir), ...inspectLocks(config)])
  for (const door of doors(config)) tell([await inspectPort({ host: config.http.host, ...door })])
  try {
    const log = await openLog()
    if (log === undefined) tell([{ level: 'ok', about: 'log', text: 'not there yet; the first start makes it' }])
    else {
      try {
        for await (const finding of inspectLog(config, log)) tell([finding])
      } finally {
        await log.close()
      }
    }
  } catch (error) {
    const problem = explain(error, config)
    if (problem === undefined) throw error
    tell([{ level: 'FAIL', about: 'log', text: problem.message }])
  }
  print(failed === 0 ? 'Nothing keeps the shop from working.' : `${failed} to mend; the lines with FAIL say how.`)
  return failed === 0
}

const aboutWidth = 20

/** The ports that the roles of this command line would take. */
function doors({ roles, http }: Config): { port: number; portFlag: string }[] {
  return [
    ...(roles.includes('orders') ? [{ port: http.port, portFlag: '--port' }] : []),
    ...(roles.includes('cheese-reporter') ? [{ port: http.reportPort, portFlag: '--report-port' }] : []),
    ...(http.metricsPort === undefined ? [] : [{ port: http.metricsPort, portFlag: '--metrics-port' }]),
  ]
}
