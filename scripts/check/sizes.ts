/**
 * Sizes. No file over 400 lines, no function of 70 or more; a suite of tests is as long as its tests need. A function's lines are
 * its own: those of the functions written inside it count there, as a class's methods would (our factories are closures).
 */
import type { Node } from 'oxc-parser'
import type { ProjectFile } from './files.ts'
import { parseSource, visit, type Source } from './syntax.ts'

const fileLinesMax = 400
const functionLinesMax = 69
const written = /\.(?:ts|js|css|html)$/
const suites = new Set(['describe', 'it', 'test'])

/** Names each file and function that is too long. */
export function findOversized(files: readonly ProjectFile[]): string[] {
  return files
    .filter(({ path }) => written.test(path))
    .flatMap((file) => {
      const lines = countLines(file.text)
      const tooLong = lines > fileLinesMax ? [`${file.path}: ${lines} lines, more than ${fileLinesMax}`] : []
      return file.path.endsWith('.ts') ? [...tooLong, ...longFunctions(parseSource(file))] : tooLong
    })
}

/** One line about how long the files are: `median 98 lines, longest 225 (src/actors/order-store.ts)`. */
export function describeSizes(files: readonly ProjectFile[]): string {
  const sizes = files
    .filter(({ path }) => written.test(path))
    .map(({ path, text }) => ({ path, lines: countLines(text) }))
    .toSorted((a, b) => a.lines - b.lines)
  const longest = sizes.at(-1)
  if (!longest) return 'no files'
  const median = sizes[Math.floor(sizes.length / 2)]?.lines
  return `${sizes.length} files, median ${median} lines, longest ${longest.lines} (${longest.path})`
}

function longFunctions(source: Source): string[] {
  const found: string[] = []
  visit(source.program, (node) => {
    if (!isFunction(node) || (source.path.startsWith('test/') && holdsTests(node))) return
    const lines = ownLines(source, node)
    if (lines > functionLinesMax) {
      const first = source.lineOf(node.start)
      found.push(`${source.path}:${first}: function of ${lines} lines, more than ${functionLinesMax}`)
    }
  })
  return found
}

/** Lines of a function without those inside the functions it holds; the line on which an inner one begins is its own. */
function ownLines(source: Source, fn: Node): number {
  const span = (node: Node) => source.lineOf(node.end) - source.lineOf(node.start)
  let lines = span(fn) + 1
  visit(fn, (node) => {
    if (node === fn || !isFunction(node)) return true
    lines -= span(node)
    return false
  })
  return lines
}

function isFunction({ type }: Node): boolean {
  return type === 'FunctionDeclaration' || type === 'FunctionExpression' || type === 'ArrowFunctionExpression'
}

function holdsTests(node: Node): boolean {
  let holds = false
  visit(node, (inner) => {
    if (inner.type === 'CallExpression' && suites.has(calledName(inner.callee))) holds = true
    return !holds
  })
  return holds
}

/** `it`, and also the `it` of `it.each(…)(…)` and `describe.skipIf(…)(…)`. */
function calledName(callee: Node): string {
  if (callee.type === 'Identifier') return callee.name
  if (callee.type === 'MemberExpression') return calledName(callee.object)
  return callee.type === 'CallExpression' ? calledName(callee.callee) : ''
}

function countLines(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
}
