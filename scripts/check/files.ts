/** Finds and reads the project's files. Walks with readdir: a glob in a string would count as an entry point for knip. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

export interface ProjectFile {
  /** From the project's root, with forward slashes: `src/log/event-log.ts`. */
  readonly path: string
  readonly text: string
}

export const root = resolve(import.meta.dirname, '../..')

const foreign = new Set(['node_modules', '.git', '.kafka', 'data', 'coverage', 'fixtures', '__snapshots__'])
const textual = /\.(?:ts|mts|js|json|md|html|css|sh|yaml|yml|properties|svg)$/

/** The text files of some top folders, and with `.` those that lie in the root itself. Missing folders hold none. */
export function readFiles(folders: readonly string[], base = root): ProjectFile[] {
  const paths = folders.flatMap((folder) => (folder === '.' ? rootFiles(base) : walk(base, folder)))
  return paths
    .filter((path) => textual.test(path))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(base, path), 'utf8') }))
}

function rootFiles(base: string): string[] {
  return readdirSync(base, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [entry.name] : []))
}

function walk(base: string, folder: string): string[] {
  if (!existsSync(join(base, folder))) return []
  return readdirSync(join(base, folder), { withFileTypes: true }).flatMap((entry) => {
    if (foreign.has(entry.name)) return []
    const path = `${folder}/${entry.name}`
    return entry.isDirectory() ? walk(base, path) : [path]
  })
}
