/**
 * Shop process. Runs the real program (src/start.mjs) as a child process, the way users run it. Owns the child: knows every one
 * that is alive and ends those that nobody ended.
 *
 * S1: `startShopProcess` resolves when the banner is printed (every role answers), or rejects with what the process said.
 * S2: a process never outlives the one that started it, unless that one is killed with SIGKILL.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface ShopProcessOptions {
  /** Default: every role. */
  readonly roles?: readonly string[]
  readonly dataDir: string
  /** Properties file of a Kafka cluster. Default: the embedded log in `dataDir`. */
  readonly configFile?: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Folder of the checkout to run (default: this one). */
  readonly projectDir?: string
  /** Kills the process when it aborts while the process is starting. */
  readonly signal?: AbortSignal
}

export interface ShopProcess {
  readonly pid: number
  readonly roles: readonly string[]
  /** Where the orders role answers, without a slash at the end. */
  readonly url?: string
  /** Where the cheese reporter answers, without `/report`. */
  readonly reportUrl?: string
  /** The end of what it wrote to standard output and standard error. */
  output(): string
  readonly isAlive: boolean
  /** Resolves when the process has ended, with its exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>
  /** SIGKILL. Resolves when the process is gone; safe to call twice. */
  kill(): Promise<void>
  /** SIGTERM. Resolves with the exit code; a paused process goes on first. */
  stop(): Promise<number | NodeJS.Signals>
  /** SIGSTOP: the process keeps its connections and does nothing. */
  pause(): void
  resume(): void
}

const projectRoot = fileURLToPath(new URL('../..', import.meta.url))
const outputCharactersMax = 200_000
/** Every child that has not ended, those that are still starting included. */
const alive = new Set<Started>()

// The last resort: a test run that is aborted must not leave shops behind.
process.once('exit', () => {
  for (const { pid } of alive) signal(pid, 'SIGKILL')
})

/** Starts roles on free ports. @throws Error with the output when the process ends before its banner. */
export async function startShopProcess(options: ShopProcessOptions): Promise<ShopProcess> {
  const { roles = [], signal: cut } = options
  const heard = Promise.withResolvers<'banner'>()
  const child = spawnProgram([...roles, '--port', '0', '--report-port', '0'], options, (output) => {
    if (output.includes('Ctrl-C stops it.')) heard.resolve('banner')
  })
  const killEarly = (): void => signal(child.pid, 'SIGKILL')
  cut?.addEventListener('abort', killEarly)
  const first = await Promise.race([heard.promise, child.exited])
  cut?.removeEventListener('abort', killEarly)
  const name = roles.length === 0 ? 'The shop' : `The role ${roles.join(', ')}`
  if (first !== 'banner') throw new StartError(name, first, child.output())
  return toShopProcess(child)
}

/** The process ended before it was up. */
export class StartError extends Error {
  override readonly name = 'StartError'
  readonly exit: number | NodeJS.Signals
  readonly output: string
  constructor(what: string, exit: number | NodeJS.Signals, output: string) {
    super(`${what} ended (${exit}) before it was up. It said:\n${output}`)
    this.exit = exit
    this.output = output
  }
}

/** Runs the program with another command (`verify`) to its end. */
export async function runProgram(
  command: string,
  options: ShopProcessOptions,
): Promise<{ code: number | NodeJS.Signals; output: string }> {
  const child = spawnProgram([command], options)
  return { code: await child.exited, output: child.output() }
}

function spawnProgram(
  words: readonly string[],
  options: ShopProcessOptions,
  heard?: (output: string) => void,
): Started {
  const { roles = [], dataDir, configFile, args = [], env = {}, projectDir = projectRoot } = options
  const config = configFile === undefined ? [] : ['--config', configFile]
  const child = spawn(nodePath(), [...startWords(projectDir), ...words, '--data', dataDir, ...config, ...args], {
    cwd: projectDir,
    env: { ...withoutTestRunner(process.env), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-outputCharactersMax)
      heard?.(output)
    })
  }
  const exited = once(child, 'close').then(([code, by]) => (code ?? by) as number | NodeJS.Signals)
  const started: Started = { pid: child.pid!, roles, exited, output: () => output }
  alive.add(started)
  void exited.then(() => alive.delete(started))
  return started
}

/** Kills every process that is alive. @returns what they were, for the message of a failing test. */
export async function killLeftovers(): Promise<string[]> {
  const left = [...alive]
  for (const { pid } of left) signal(pid, 'SIGKILL')
  await Promise.all(left.map(({ exited }) => exited))
  return left.map(({ pid, roles }) => `process ${pid} (${roles.join(', ') || 'all roles'})`)
}

/** What `npm start` gives to node: its flags, then the program. */
function startWords(projectDir: string): string[] {
  const { scripts } = JSON.parse(readFileSync(join(projectDir, 'package.json'), 'utf8')) as {
    scripts: { start: string }
  }
  return scripts.start.split(' ').slice(1)
}

/** The Node that runs this, or the pinned one when this is too old to run TypeScript. */
function nodePath(): string {
  return Number(process.versions.node.split('.')[0]) >= 24 ? process.execPath : `${projectRoot}node_modules/.bin/node`
}

interface Started {
  readonly pid: number
  readonly roles: readonly string[]
  readonly exited: Promise<number | NodeJS.Signals>
  readonly output: () => string
}

function toShopProcess({ pid, roles, exited, output }: Started): ShopProcess {
  let isAlive = true
  void exited.then(() => (isAlive = false))
  const send = (name: NodeJS.Signals): void => {
    if (isAlive) signal(pid, name)
  }
  const url = /^ {2}orders +(http\S+)$/m.exec(output())?.[1]
  const reportUrl = /^ {2}report +(http\S+)\/report$/m.exec(output())?.[1]
  return {
    pid,
    roles,
    ...(url !== undefined && { url }),
    ...(reportUrl !== undefined && { reportUrl }),
    output,
    get isAlive() {
      return isAlive
    },
    exited,
    async kill() {
      send('SIGKILL')
      await exited
    },
    async stop() {
      send('SIGCONT')
      send('SIGTERM')
      return exited
    },
    pause: () => send('SIGSTOP'),
    resume: () => send('SIGCONT'),
  }
}

/** The shop must run as it does for users: vitest sets NODE_ENV=test, which picks other builds of libraries. */
function withoutTestRunner(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const dropped = /^(NODE_ENV|NODE_OPTIONS|VITEST.*|TEST|DEV|PROD|MODE|BASE_URL|SSR|PIZZA_.*)$/
  return Object.fromEntries(Object.entries(env).filter(([name]) => !dropped.test(name)))
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
