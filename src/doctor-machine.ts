/** What the doctor finds on this machine: Node.js, the data folder, who works on it, and the ports. */
import { accessSync, constants, existsSync, mkdtempSync, rmdirSync, statfsSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { isStoreOwned } from './actors/owner-store.ts'
import type { Config } from './config.ts'
import { probePort, type ListenPlace } from './http/listen.ts'
import { explain } from './start-errors.ts'
import type { Finding } from './doctor.ts'

/** The oldest that runs TypeScript without a flag and has node:sqlite as it is used here. */
const nodeMajorMin = 24
const freeBytesMin = 100 * 2 ** 20
const freeBytesWanted = 2 ** 30
const answerMs = 2_000

export function inspectNode(version: string): Finding {
  const about = 'Node.js'
  if (Number.parseInt(version, 10) >= nodeMajorMin) return { level: 'ok', about, text: version }
  const text = `This is ${version}, and ${nodeMajorMin} or newer is needed. Run npm ci, and start with npm start, which brings its own.`
  return { level: 'FAIL', about, text }
}

/** Whether the folder can be written, and how much room it has. */
export function inspectDataDir(dataDir: string): Finding {
  const about = 'data folder'
  // A folder that is not there is made at the start, so its place counts.
  let place = resolve(dataDir)
  while (!existsSync(place)) place = dirname(place)
  const isThere = place === resolve(dataDir)
  try {
    if (!statSync(place).isDirectory()) throw Object.assign(new Error(`${place} is a file`), { code: 'ENOTDIR' })
    if (isThere) rmdirSync(mkdtempSync(join(place, 'doctor-')))
    else accessSync(place, constants.W_OK | constants.X_OK)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const text = `Cannot write ${dataDir}: ${reason}. Choose a folder that this user can write with --data.`
    return { level: 'FAIL', about, text }
  }
  const { bavail, bsize } = statfsSync(place)
  return inspectRoom(`${dataDir}${isThere ? '' : ' (made by the first start)'}`, bavail * bsize)
}

/** Whether so much room is enough. The log keeps every record. */
export function inspectRoom(what: string, freeBytes: number): Finding {
  const about = 'data folder'
  const text = `${what}, ${(freeBytes / 2 ** 30).toFixed(1)} GiB free`
  if (freeBytes >= freeBytesWanted) return { level: 'ok', about, text }
  const fix = 'Make room on that disk, or choose another with --data.'
  return { level: freeBytes < freeBytesMin ? 'FAIL' : 'warn', about, text: `${text}. ${fix}` }
}

/** Says for each state store of these roles whether a process works on it. */
export function inspectLocks(config: Config): Finding[] {
  const files = [
    ...(config.roles.includes('orders') ? ['orders.sqlite'] : []),
    ...(config.roles.includes('cheese-reporter') ? ['report.sqlite'] : []),
  ]
  return files.map((name) => {
    try {
      const isOwned = isStoreOwned(join(config.dataDir, name))
      return { level: 'ok', about: name, text: isOwned ? 'a running shop works on it' : 'no process works on it' }
    } catch (error) {
      const text =
        explain(error, config)?.message ?? `Cannot look at its lock: ${String(error)}. Choose another --data.`
      return { level: 'FAIL', about: name, text }
    }
  })
}

/** Whether a port is free, or a shop answers on it already. */
export async function inspectPort(place: ListenPlace): Promise<Finding> {
  const { host, port, portFlag } = place
  const about = `port ${port}`
  try {
    await probePort(place)
    return { level: 'ok', about, text: `free on ${host} (${portFlag})` }
  } catch (error) {
    const { code, message } = error as Error & { code?: string }
    const reasons = code === 'port-taken' ? await askShop(host, port) : undefined
    if (reasons === undefined) return { level: 'FAIL', about, text: message }
    if (reasons.length === 0) return { level: 'ok', about, text: 'a running shop answers there and is ready' }
    const text = `A running shop answers there and is not ready: ${reasons.join('. ')}. See what its log says.`
    return { level: 'warn', about, text }
  }
}

/** Why a running shop is not ready; `undefined` when it is no shop. */
async function askShop(host: string, port: number): Promise<string[] | undefined> {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host
  const url = `http://${name.includes(':') ? `[${name}]` : name}:${port}/readyz`
  try {
    const answer = (await (await fetch(url, { signal: AbortSignal.timeout(answerMs) })).json()) as { reasons?: unknown }
    return Array.isArray(answer.reasons) ? answer.reasons.map(String) : undefined
  } catch {
    return undefined
  }
}
