/**
 * `npm run check`: everything that can be said about the code without running it. All steps run, also after one has failed;
 * each prints one line, and what it found when it fails. Ends with 1 when any step failed.
 */
import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { readFiles, root } from './check/files.ts'
import { findImportViolations } from './check/import-rules.ts'
import { findDeadLinks } from './check/links.ts'
import { describeSizes, findOversized } from './check/sizes.ts'
import { findBannedWords } from './check/words.ts'

interface Outcome {
  readonly passed: boolean
  /** Shown beside the name when the step passed. */
  readonly note?: string
  /** Shown below the line when it failed. */
  readonly output: string
}

interface Step {
  readonly name: string
  readonly run: () => Outcome | Promise<Outcome>
}

const stepTimeoutMs = 60_000
const code = ['src', 'test', 'scripts', 'bench']

const steps: readonly Step[] = [
  { name: 'types', run: () => command('tsc', '--noEmit') },
  { name: 'page types', run: () => command('tsc', '--noEmit', '-p', 'src/inspect/browser') },
  { name: 'lint', run: () => command('oxlint') },
  { name: 'format', run: () => command('oxfmt', '--check') },
  { name: 'dead code', run: () => command('knip', '--no-progress', '--no-config-hints') },
  { name: 'loads in node', run: () => command('node', 'scripts/check/load.ts') },
  // A lock that lacks the binaries of other platforms installs here and fails in a fresh clone.
  { name: 'lock file', run: () => command('npm', 'ci', '--dry-run', '--offline', '--loglevel=error') },
  { name: 'imports', run: () => list(findImportViolations(readFiles(['src']))) },
  { name: 'sizes', run: () => list(findOversized(readFiles(code)), describeSizes(readFiles(['src']))) },
  { name: 'links', run: () => list(findDeadLinks(readFiles(['.', 'docs', ...code]), root)) },
  { name: 'words', run: () => list(findBannedWords(readFiles(['.', 'docs', ...code]))) },
]

function list(problems: readonly string[], note?: string): Outcome {
  return { passed: problems.length === 0, output: problems.join('\n'), ...(note !== undefined && { note }) }
}

/** Runs one of the project's own tools, under the Node this script runs on. */
function command(name: string, ...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const PATH = [join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter)
    // Plain node: with NODE_ENV=test some packages export other builds.
    const { NODE_ENV: _, ...env } = process.env
    const child = spawn(name, args, { cwd: root, env: { ...env, PATH }, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const take = (chunk: Buffer) => (output += chunk.toString())
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    const timer = setTimeout(() => {
      output += `\n${name} was still running after ${stepTimeoutMs / 1000} s`
      child.kill('SIGKILL')
    }, stepTimeoutMs)
    child.on('error', (error) => (output += error.message))
    child.on('close', (status) => {
      clearTimeout(timer)
      resolve({ passed: status === 0, output: stripVTControlCharacters(output).trim() })
    })
  })
}

async function runStep({ name, run }: Step): Promise<boolean> {
  const startedAt = performance.now()
  let outcome: Outcome
  try {
    outcome = await run()
  } catch (error) {
    outcome = { passed: false, output: String(error) }
  }
  const { passed, note, output } = outcome
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(`${passed ? 'ok  ' : 'FAIL'} ${name.padEnd(14)} ${seconds.padStart(5)} s${note ? `  ${note}` : ''}`)
  if (!passed) console.log(`${output.replaceAll(/^/gm, '     ')}\n`)
  return passed
}

const startedAt = performance.now()
const results = await Promise.all(steps.map(runStep))
const failed = results.filter((passed) => !passed).length
const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
console.log(`${results.length - failed} steps passed, ${failed} failed in ${seconds} s (Node ${process.version})`)
process.exitCode = failed > 0 ? 1 : 0
