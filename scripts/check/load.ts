/**
 * Loads the program as plain node does. Vitest gives a CommonJS module every name it is asked for and the type checker believes
 * the declarations, so only this finds `import { KafkaJSError } from 'kafkajs'`, which ends the program at start.
 * Entry points would run when imported: for those, the names they import are looked up instead.
 */
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { readFiles, root } from './files.ts'
import { parseSource, type Source } from './syntax.ts'

const leftoversMs = 1000
const entryPoint = /^src\/main\.ts$|^(?:scripts|bench)\//

/** Finds the modules of src, scripts and bench that do not load; each answer is one line. */
async function findBrokenImports(base: string): Promise<string[]> {
  const sources = readFiles(['src', 'scripts', 'bench'], base)
    // What runs in browsers is loaded by the browser tests.
    .filter(({ path }) => path.endsWith('.ts') && !path.startsWith('src/inspect/browser/'))
    .map(parseSource)
  const problems: string[] = []
  for (const source of sources) {
    if (entryPoint.test(source.path)) problems.push(...(await missingNames(source, base)))
    else problems.push(...(await loadProblem(join(base, source.path), source.path)))
  }
  return problems
}

async function missingNames(source: Source, base: string): Promise<string[]> {
  const problems: string[] = []
  for (const { specifier, line, names } of source.imports) {
    const wanted = names.filter((name) => name !== '*')
    const target = specifier.startsWith('.') ? join(base, dirname(source.path), specifier) : specifier
    // Within one folder of entry points the type checker knows the names: only CommonJS packages deceive it.
    if (wanted.length === 0 || entryPoint.test(target.slice(base.length + 1)) || target.endsWith('.json')) continue
    const where = `${source.path}:${line}`
    try {
      const exported = await load(target)
      const missing = wanted.filter((name) => !(name in exported))
      problems.push(...missing.map((name) => `${where}: '${specifier}' has no export '${name}' under plain node`))
    } catch (error) {
      problems.push(`${where}: ${firstLine(error)}`)
    }
  }
  return problems
}

async function loadProblem(target: string, path: string): Promise<string[]> {
  try {
    await load(target)
    return []
  } catch (error) {
    return [`${path}: ${firstLine(error)}`]
  }
}

function firstLine(error: unknown): string {
  return String(error).split('\n', 1).join()
}

async function load(target: string): Promise<object> {
  const address = target.startsWith('/') ? pathToFileURL(target).href : import.meta.resolve(target)
  return (await import(address)) as object
}

/** Reports what an imported module left running, because it would keep every program alive that imports it. */
function watchForLeftovers(): void {
  const timer = setTimeout(() => {
    console.log(`Importing the modules left something running: ${process.getActiveResourcesInfo().join(', ')}`)
    process.exit(1)
  }, leftoversMs)
  timer.unref()
}

const problems = await findBrokenImports(process.argv[2] ?? root)
for (const problem of problems) console.log(problem)
process.exitCode = problems.length > 0 ? 1 : 0
watchForLeftovers()
