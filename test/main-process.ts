/** Runs the program as users do, as a process of its own, and ends it when the test does. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

const root = join(import.meta.dirname, '..')

export interface Run {
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>
  out(): string
  err(): string
  kill(signal: NodeJS.Signals): void
  /** Resolves with the banner's addresses, once it has been printed; rejects when the process ends before. */
  urls(): Promise<{ orders: string; report: string }>
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  /** A module to run before the program. */
  readonly preload?: string
}

/** Starts `npm start -- …` without npm. */
export function run(args: readonly string[], { env = {}, preload }: RunOptions = {}): Run {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(PIZZA_|NODE_|VITEST)/.test(name))
  const imports = preload === undefined ? [] : ['--import', `data:text/javascript,${encodeURIComponent(preload)}`]
  const child = spawn(join(root, 'node_modules/.bin/node'), [...imports, 'src/start.mjs', ...args], {
    cwd: root,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | string)
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const kill = (signal: NodeJS.Signals) => void child.kill(signal)
  const urls = async () => {
    while (!out.includes('Ctrl-C')) {
      const ending = ended.then((code) => {
        throw new Error(`It ended with ${code}: ${err}`)
      })
      await Promise.race([once(child.stdout, 'data'), ending])
    }
    const find = (name: string) => new RegExp(`^ +${name} +(http://[^/\\s]+)`, 'm').exec(out)?.[1] ?? ''
    return { orders: find('orders'), report: find('report') }
  }
  return { ended, out: () => out, err: () => err, kill, urls }
}

/** Makes a folder that goes when the test ends. */
export function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pizza-main-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
