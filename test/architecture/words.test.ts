import { describe, expect, it } from 'vitest'
import { readFiles } from '../../scripts/check/files.ts'
import { findBannedWords } from '../../scripts/check/words.ts'

const problems = (text: string, path = 'docs/design.md') => findBannedWords([{ path, text }])

describe('The words', () => {
  it('of code and documents are the ones agreed on', () => {
    expect(findBannedWords(readFiles(['.', 'src', 'test', 'scripts', 'bench', 'docs']))).toEqual([])
  })

  it.each([
    ['It goes to the DLQ.', 'dead letter'],
    ['// TODO later', 'an issue'],
    ['each shard of the log', 'partition'],
    ['rehydrated actors', 'hydrate'],
  ])('do not include those of "%s"', (text, instead) => {
    expect(problems(`first\n${text}\n`)).toEqual([expect.stringMatching(`^docs/design.md:2: '.+': write ${instead}`)])
  })

  it('leave no test alone with the stage', () => {
    expect(problems('it.only("x", () => {})', 'test/menu.test.ts')).toHaveLength(1)
    expect(problems('describe.skipIf(a).only("x")', 'test/menu.test.ts')).toHaveLength(1)
    expect(problems('it("is the only one")', 'test/menu.test.ts')).toEqual([])
  })

  it('that are right are left in peace', () => {
    expect(problems('A dead letter stays on its partition until it is redriven.')).toEqual([])
  })
})
