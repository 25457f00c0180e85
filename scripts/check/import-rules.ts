/**
 * Import directions. Decides from sources alone which module may know which; the check and test/architecture/ both use it.
 *
 * I1: inspect → http → actors → machines → menu, records; a layer imports only the layers `mayImport` lists for it.
 * I2: roles know the log by its port (event-log.ts, placement.ts); only main and the configuration know the adapters.
 * I3: a package with a place (kafkajs, node:sqlite, process, …) is imported in that place only.
 * I4: machines and menu are pure: nothing but xstate, no clock, no random, no waiting, no I/O.
 * Type-only imports count as well: the rule is about who knows whom.
 */
import { posix } from 'node:path'
import type { Node } from 'oxc-parser'
import type { ProjectFile } from './files.ts'
import { parseSource, visit, type Source } from './syntax.ts'

type Layer = keyof typeof mayImport

const mayImport = {
  main: [
    'main',
    'config',
    'logger',
    'menu',
    'records',
    'topics',
    'machines',
    'port',
    'adapters',
    'actors',
    'http',
    'inspect',
  ],
  config: ['menu', 'records', 'topics', 'port', 'adapters', 'config'],
  logger: ['config'],
  menu: [],
  records: ['menu'],
  topics: ['menu', 'port'],
  machines: ['menu', 'records', 'machines'],
  port: ['port'],
  adapters: ['port', 'adapters'],
  actors: ['logger', 'menu', 'records', 'topics', 'machines', 'port', 'actors'],
  http: ['logger', 'menu', 'records', 'topics', 'machines', 'actors', 'http'],
  inspect: ['logger', 'menu', 'records', 'topics', 'machines', 'actors', 'http', 'inspect'],
  browser: ['actors', 'inspect', 'browser'],
  proof: ['menu', 'machines', 'proof'],
} as const

/** The first entry that fits a path decides its layer; a folder ends with a slash. Other files in src/ itself are main's. */
const places: readonly (readonly [place: string, layer: Layer])[] = [
  ['src/config.ts', 'config'],
  ['src/config-file.ts', 'config'],
  ['src/settings.ts', 'config'],
  ['src/setting-kinds.ts', 'config'],
  ['src/cli.ts', 'config'],
  ['src/dead-letters-request.ts', 'config'],
  ['src/exit-codes.ts', 'config'],
  ['src/logger.ts', 'logger'],
  ['src/menu.ts', 'menu'],
  ['src/records.ts', 'records'],
  ['src/topics.ts', 'topics'],
  ['src/machines/', 'machines'],
  ['src/log/event-log.ts', 'port'],
  ['src/log/placement.ts', 'port'],
  ['src/log/', 'adapters'],
  ['src/actors/', 'actors'],
  ['src/http/', 'http'],
  ['src/proof/', 'proof'],
  // Runs in browsers: from the other layers it may take types only, which its own tsconfig and tests see to.
  ['src/inspect/browser/', 'browser'],
  ['src/inspect/', 'inspect'],
]

/** The only packages a layer may import; layers that are not listed may import any that have no other place. */
const packagesOf: Partial<Record<Layer, readonly string[]>> = {
  menu: [],
  records: ['zod', 'node:buffer'],
  topics: [],
  machines: ['xstate'],
  proof: ['xstate'],
  browser: ['preact', 'htm'],
  port: [],
}

/** Packages that have a place. */
const packagePlaces: Readonly<Record<string, RegExp>> = {
  kafkajs: /^src\/log\/kafka-[a-z-]+\.ts$/,
  'node:sqlite': /^src\/(?:log\/sqlite-|actors\/[a-z-]+-store\.ts$)/,
  'node:process': /^src\/main\.ts$/,
  commander: /^src\/(?:main|cli)\.ts$/,
  express: /^src\/(?:http|inspect)\//,
  'better-sse': /^src\/(?:http|inspect)\//,
  helmet: /^src\/(?:http|inspect)\//,
}

const impure = new Set(
  'Date Temporal performance crypto console fetch globalThis Promise setTimeout setInterval setImmediate queueMicrotask'.split(
    ' ',
  ),
)

/** Finds what breaks the directions among the files under src/; each answer is one line: where and what. */
export function findImportViolations(files: readonly ProjectFile[]): string[] {
  return files
    .filter(({ path }) => path.startsWith('src/') && path.endsWith('.ts'))
    .map(parseSource)
    .flatMap((source) => {
      const layer = layerOf(source.path)
      if (!layer) return [`${source.path}: has no layer; give it one in scripts/check/import-rules.ts`]
      return [...importViolations(source, layer), ...processViolations(source), ...purityViolations(source, layer)]
    })
}

function layerOf(path: string): Layer | undefined {
  const place = places.find(([start]) => (start.endsWith('/') ? path.startsWith(start) : path === start))
  if (place) return place[1]
  return /^src\/[^/]+$/.test(path) ? 'main' : undefined
}

function importViolations({ path, imports }: Source, layer: Layer): string[] {
  return imports.flatMap(({ specifier, line }) => {
    const problem = specifier.startsWith('.')
      ? moduleProblem(layer, posix.join(posix.dirname(path), specifier))
      : packageProblem(layer, path, specifier)
    return problem ? [`${path}:${line}: ${problem}`] : []
  })
}

function moduleProblem(layer: Layer, target: string): string | undefined {
  if (target === 'package.json' && layer === 'main') return undefined
  if (!target.startsWith('src/')) return `${layer} imports ${target}, which is not part of the program`
  const targetLayer = layerOf(target)
  // A target without a layer is reported once, as a file.
  if (!targetLayer || (mayImport[layer] as readonly string[]).includes(targetLayer)) return undefined
  return `${layer} may not import ${targetLayer} (${target})`
}

function packageProblem(layer: Layer, path: string, specifier: string): string | undefined {
  const name = packageName(specifier)
  const place = packagePlaces[name]
  if (place && !place.test(path)) return `${name} may be imported only by files that match ${place.source}`
  const allowed = packagesOf[layer]
  if (!allowed || allowed.includes(name)) return undefined
  return `${layer} may not import ${name} (it may import ${allowed.join(', ') || 'no package'})`
}

/** `@scope/name/sub` → `@scope/name`; `node:fs/promises` and the bare `fs/promises` → `node:fs`. */
function packageName(specifier: string): string {
  const parts = specifier.split('/')
  const name = parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
  return ['process', 'sqlite'].includes(name) ? `node:${name}` : name
}

function processViolations(source: Source): string[] {
  if (source.path === 'src/main.ts') return []
  return globals(source, (name) => name === 'process').map(
    ({ line }) => `${source.path}:${line}: only src/main.ts touches process; take what you need as an argument`,
  )
}

function purityViolations(source: Source, layer: Layer): string[] {
  if (layer !== 'machines' && layer !== 'menu') return []
  const found = globals(source, (name) => impure.has(name))
  visit(source.program, (node) => {
    const what = impureSyntax(node)
    if (what) found.push({ name: what, line: source.lineOf(node.start) })
  })
  return found.map(({ name, line }) => `${source.path}:${line}: ${layer} is pure: no ${name}`)
}

function impureSyntax(node: Node): string | undefined {
  if (node.type === 'AwaitExpression' || (node.type === 'ForOfStatement' && node.await)) return 'await'
  if ('async' in node && node.async) return 'async'
  if (node.type !== 'MemberExpression' || node.object.type !== 'Identifier' || node.object.name !== 'Math')
    return undefined
  return node.property.type === 'Identifier' && node.property.name === 'random' ? 'Math.random' : undefined
}

/** Uses of a global as a value. A local of the same name counts too: call it something else. */
function globals(source: Source, wanted: (name: string) => boolean): { name: string; line: number }[] {
  const found: { name: string; line: number }[] = []
  visit(source.program, (node, parent) => {
    if (node.type === 'TSTypeReference' || node.type === 'ImportDeclaration') return false
    if (node.type !== 'Identifier' || !wanted(node.name) || isMerelyNamed(node, parent)) return true
    found.push({ name: node.name, line: source.lineOf(node.start) })
    return true
  })
  return found
}

/** True for `x.process`, `{ process: 1 }` and the like, where the word is a key; `globalThis.process` is the global. */
function isMerelyNamed(node: Node, parent?: Node): boolean {
  if (!parent) return false
  if (parent.type === 'MemberExpression') {
    const ofGlobal = parent.object.type === 'Identifier' && parent.object.name === 'globalThis'
    return parent.property === node && !parent.computed && !ofGlobal
  }
  if (parent.type === 'Property') return parent.key === node && !parent.computed
  return (
    parent.type === 'TSPropertySignature' || parent.type === 'TSMethodSignature' || parent.type === 'MethodDefinition'
  )
}
