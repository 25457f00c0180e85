/** Words. One word for one thing (docs/design.md): each banned word comes with the one to use. */
import type { ProjectFile } from './files.ts'

interface Ban {
  readonly word: RegExp
  readonly instead: string
  /** Where the ban holds; everywhere when absent. */
  readonly paths?: RegExp
}

const bans: readonly Ban[] = [
  { word: /\bDLQs?\b|dead[- _]?letter[- _](?:queue|topic)s?/i, instead: 'dead letter' },
  { word: /poison (?:pill|message)s?/i, instead: 'bad record' },
  { word: /\brehydrat\w*/i, instead: 'hydrate' },
  { word: /\bdehydrat\w*/i, instead: 'passivate' },
  { word: /\bshard(?:s|ed|ing)?\b/i, instead: 'partition' },
  { word: /\bmicro-?services?\b/i, instead: 'role' },
  { word: /\bingredients?\b/i, instead: 'topping, or choice for what was picked' },
  { word: /\bflavou?rs?\b/i, instead: 'choice' },
  { word: /white-?list\w*/i, instead: 'allow list' },
  { word: /black-?list\w*/i, instead: 'deny list' },
  { word: /\bmaster\b/i, instead: 'owner, or main' },
  { word: /\butili[sz]e\w*/i, instead: 'use' },
  { word: /\bleverag(?:e|es|ed|ing)\b/i, instead: 'use' },
  { word: /\b(?:seamless|blazing|robustly)\w*/i, instead: 'a figure' },
  { word: /\b(?:TODO|FIXME|XXX|HACK)\b/, instead: 'an issue, or the limit said plainly' },
  { word: /^(?:<{7}|>{7})\s/, instead: 'a merge that is finished' },
  { word: /\bdebugger\b/, instead: 'nothing', paths: /\.ts$/ },
  { word: /\b(?:describe|it|test|suite)\b.*\.only\s*[(`.]/, instead: 'every test', paths: /^test\// },
]

/** These hold the words in order to ban or to test them. */
const exempt = new Set(['scripts/check/words.ts', 'test/architecture/words.test.ts'])

/** Names each line with a banned word, and the word to use. */
export function findBannedWords(files: readonly ProjectFile[]): string[] {
  return files
    .filter(({ path }) => !exempt.has(path) && !path.endsWith('.json'))
    .flatMap(({ path, text }) => text.split('\n').flatMap((line, index) => lineProblems(path, line, index + 1)))
}

function lineProblems(path: string, line: string, number: number): string[] {
  return bans.flatMap(({ word, instead, paths }) => {
    const found = paths && !paths.test(path) ? undefined : word.exec(line)?.[0]
    return found ? [`${path}:${number}: '${found.trim()}': write ${instead}`] : []
  })
}
