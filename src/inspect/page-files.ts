/**
 * Page files: everything a browser loads for the page, from memory. Our own modules come out of browser/, the view library out of
 * node_modules; nothing comes from elsewhere.
 *
 * G1: only listed names are served: no path a caller writes reaches the disk.
 * G2: the page may run its own modules, and nothing else: no inline script but the import map, whose hash the policy holds.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import type { AnyStateMachine } from 'xstate'
import { toChart } from './chart-model.ts'
import type { DrawnChart } from './draw.ts'
import type { PageWork, PageWorkDone } from './page-worker.ts'

export interface PageFile {
  readonly type: string
  readonly body: Buffer
  readonly etag: string
}

export interface PageFiles {
  readonly page: PageFile
  /** The page around the stock inspector. */
  readonly inspector: PageFile
  readonly charts: PageFile
  /** By name, as the page asks for them below `/page/`. */
  readonly files: ReadonlyMap<string, PageFile>
}

const libraries = {
  preact: 'preact',
  'preact/hooks': 'preact/hooks',
  htm: 'htm',
  'htm/preact': 'htm/preact',
} as const

const importMap = JSON.stringify({
  imports: Object.fromEntries(Object.keys(libraries).map((name) => [name, `/page/${toFileName(name)}`])),
})

/** What the page may do: load its own modules, style, data; nothing inline, nothing from elsewhere, framed by nobody. */
export const pagePolicy = [
  "default-src 'none'",
  `script-src 'self' '${hashOf('sha256', importMap, 'base64')}'`,
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** What the page around the stock inspector may do: as above, and frame what stately.ai serves. */
export const inspectorPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  'frame-src https://stately.ai',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Reads, draws and translates what the page needs. A second or so of work, most of it in a worker. */
export async function loadPageFiles(machines: readonly AnyStateMachine[]): Promise<PageFiles> {
  const folder = new URL('browser/', import.meta.url)
  const read = async (name: string) => [name, await readFile(new URL(name, folder), 'utf8')] as const
  const names = await readdir(folder)
  const [sources, styles, html, inspector, icon, ...modules] = await Promise.all([
    Promise.all(names.filter((name) => name.endsWith('.ts')).map(read)),
    Promise.all(names.filter((name) => name.endsWith('.css')).map(read)),
    read('page.html'),
    read('inspector.html'),
    read('icon.svg'),
    ...Object.entries(libraries).map(async ([name, specifier]) => {
      const file = new URL(import.meta.resolve(specifier))
      return [toFileName(name), await readFile(file, 'utf8')] as const
    }),
  ])
  const { charts, scripts } = await work({ charts: machines.map(toChart), sources: Object.fromEntries(sources) })
  const files = new Map<string, PageFile>()
  for (const [name, text] of [...modules, ...Object.entries(scripts)]) files.set(name, toFile('text/javascript', text))
  for (const [name, text] of styles) files.set(name, toFile('text/css', text))
  files.set(icon[0], toFile('image/svg+xml', icon[1]))
  return {
    page: toFile(
      'text/html; charset=utf-8',
      html[1].replace('<!-- import map -->', `<script type="importmap">${importMap}</script>`),
    ),
    inspector: toFile('text/html; charset=utf-8', inspector[1]),
    charts: toFile('application/json', JSON.stringify({ charts } satisfies { charts: readonly DrawnChart[] })),
    files,
  }
}

/** The worker is not told what the shop was started with; the warning is about the feature it is there for. */
function work(workerData: PageWork): Promise<PageWorkDone> {
  return new Promise((resolve, reject) => {
    const execArgv = ['--disable-warning=ExperimentalWarning']
    const worker = new Worker(new URL('page-worker.ts', import.meta.url), { workerData, execArgv })
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', () => reject(new Error('The page worker ended without an answer')))
  })
}

function toFileName(library: string): string {
  return `${library.replace('/', '-')}.js`
}

function toFile(type: string, text: string): PageFile {
  return { type, body: Buffer.from(text), etag: `"${hashOf('sha1', text, 'hex')}"` }
}

function hashOf(algorithm: 'sha1' | 'sha256', text: string, encoding: 'hex' | 'base64'): string {
  return `${algorithm}-${createHash(algorithm).update(text).digest(encoding)}`
}
