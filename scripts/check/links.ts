/** Links of the documents: every relative link leads to a file of the project, and every anchor to a heading or line in it. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join, posix } from 'node:path'
import GithubSlugger from 'github-slugger'
import { lexer, walkTokens, type Token } from 'marked'
import type { ProjectFile } from './files.ts'

/** Finds dead links. External ones are left alone: a check must not depend on the network. */
export function findDeadLinks(files: readonly ProjectFile[], base: string): string[] {
  const documents = files.filter(({ path }) => path.endsWith('.md'))
  return documents.flatMap((document) =>
    readLinks(document.text).flatMap((link) => {
      const problem = linkProblem(link, document, base)
      return problem ? [`${document.path}: ${link} ${problem}`] : []
    }),
  )
}

function linkProblem(link: string, from: ProjectFile, base: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:/i.test(link)) return undefined
  if (link.startsWith('/')) return 'is absolute; make it relative'
  const [address = '', anchor] = link.split('#', 2)
  const target = address === '' ? from.path : posix.join(posix.dirname(from.path), decodeURIComponent(address))
  if (target.startsWith('..')) return 'leaves the project'
  const path = join(base, target)
  if (!existsSync(path)) return 'leads nowhere'
  if (!anchor) return undefined
  if (!statSync(path).isFile()) return 'has an anchor into a folder'
  return hasAnchor(target, readFileSync(path, 'utf8'), anchor) ? undefined : 'has an anchor that is not there'
}

function hasAnchor(path: string, text: string, anchor: string): boolean {
  if (path.endsWith('.md')) return readAnchors(text).has(decodeURIComponent(anchor))
  const line = /^L(\d+)/.exec(anchor)?.[1]
  return line !== undefined && Number(line) <= text.split('\n').length
}

function readLinks(markdown: string): string[] {
  const links: string[] = []
  eachToken(markdown, (token) => {
    if ((token.type === 'link' || token.type === 'image') && typeof token.href === 'string') links.push(token.href)
    if (token.type === 'html') {
      for (const [, link = ''] of token.raw.matchAll(/\s(?:href|src|srcset)="([^"]+)"/g)) links.push(link)
    }
  })
  return links
}

function readAnchors(markdown: string): Set<string> {
  const slugger = new GithubSlugger()
  const anchors = new Set<string>()
  eachToken(markdown, (token) => {
    if (token.type === 'heading') anchors.add(slugger.slug(plainText(token)))
    if (token.type === 'html') for (const [, id = ''] of token.raw.matchAll(/\s(?:id|name)="([^"]+)"/g)) anchors.add(id)
  })
  return anchors
}

function eachToken(markdown: string, take: (token: Token) => void): void {
  void walkTokens(lexer(markdown), take)
}

/** What a heading reads as: its text without marks, links and code ticks. */
function plainText(token: Token): string {
  const inner = 'tokens' in token ? token.tokens : undefined
  if (inner) return inner.map(plainText).join('')
  return 'text' in token && typeof token.text === 'string' ? token.text : ''
}
