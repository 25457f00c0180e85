/** Reads TypeScript with oxc: what a file imports, and its syntax tree. Decides nothing. */
import { parseSync, visitorKeys, type Node } from 'oxc-parser'
import type { ProjectFile } from './files.ts'

export interface Import {
  readonly specifier: string
  readonly line: number
  /** Names taken as values; `*` for a namespace. Types are left out, so a type-only import has none. */
  readonly names: readonly string[]
}

export interface Source extends ProjectFile {
  readonly imports: readonly Import[]
  readonly program: Node
  readonly lineOf: (offset: number) => number
}

/** Parses a file. @throws Error with the file's path when it is not TypeScript. */
export function parseSource({ path, text }: ProjectFile): Source {
  const { program, module, errors } = parseSync(path, text)
  if (errors[0]) throw new Error(`${path} does not parse: ${errors[0].message}`)
  const lineOf = createLineOf(text)

  const imports: Import[] = module.staticImports.map(({ moduleRequest, entries }) => ({
    specifier: moduleRequest.value,
    line: lineOf(moduleRequest.start),
    names: entries.filter(({ isType }) => !isType).map(({ importName }) => nameOf(importName)),
  }))
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest, importName, isType } of entries) {
      if (!moduleRequest) continue
      const names = isType ? [] : [nameOf(importName)]
      imports.push({ specifier: moduleRequest.value, line: lineOf(moduleRequest.start), names })
    }
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const specifier = text.slice(moduleRequest.start, moduleRequest.end).replaceAll(/^['"`]|['"`]$/g, '')
    imports.push({ specifier, line: lineOf(moduleRequest.start), names: ['*'] })
  }
  return { path, text, imports, program, lineOf }
}

function nameOf({ kind, name }: { kind: string; name: string | null }): string {
  if (kind === 'Default') return 'default'
  return name ?? '*'
}

function createLineOf(text: string): (offset: number) => number {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset) => starts.findLastIndex((start) => start <= offset) + 1
}

/** Calls `enter` with each node and its parent, outermost first; a node for which it answers `false` is not entered. */
export function visit(node: Node, enter: (node: Node, parent?: Node) => boolean | void, parent?: Node): void {
  if (enter(node, parent) === false) return
  for (const key of visitorKeys[node.type] ?? []) {
    const child: unknown = Reflect.get(node, key)
    for (const each of Array.isArray(child) ? child : [child]) {
      if (isNode(each)) visit(each, enter, node)
    }
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value
}
