import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readFiles, root } from '../../scripts/check/files.ts'
import { findDeadLinks } from '../../scripts/check/links.ts'
import { findOversized } from '../../scripts/check/sizes.ts'

describe('The documents', () => {
  it('link only to what is there', () => {
    expect(findDeadLinks(readFiles(['.', 'docs', 'bench']), root)).toEqual([])
  })
})

describe('The link rule', () => {
  let base: string

  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), 'links-'))
    mkdirSync(join(base, 'docs'))
    writeFileSync(join(base, 'menu.ts'), 'one\ntwo\n')
    writeFileSync(
      join(base, 'docs/design.md'),
      '# Records, `keys` & [more](design.md)\n\n## Twice\n\n## Twice\n\n<a id="here"></a>\n',
    )
  })
  afterEach(() => rmSync(base, { recursive: true }))

  const check = (text: string) => {
    writeFileSync(join(base, 'README.md'), text)
    return findDeadLinks(readFiles(['.'], base), base)
  }

  it.each([
    '[a](docs/design.md#records-keys--more)',
    '[a](docs/design.md#twice-1)',
    '[a](docs/design.md#here)',
    '[a](docs)',
    '[a](./menu.ts#L2)',
    '[a](https://example.org/nothing#there)',
    '`[a](nowhere.md)`',
    '# Title\n\n[a](#title)',
    '[a][b]\n\n[b]: docs/design.md',
  ])('accepts %s', (text) => {
    expect(check(text)).toEqual([])
  })

  it.each([
    ['[a](docs/other.md)', 'leads nowhere'],
    ['[a](docs/design.md#twice-2)', 'anchor that is not there'],
    ['[a](#title)', 'anchor that is not there'],
    ['[a](/docs/design.md)', 'is absolute'],
    ['[a](../README.md)', 'leaves the project'],
    ['[a](menu.ts#L9)', 'anchor that is not there'],
    ['![a](shop.svg)', 'leads nowhere'],
    ['<img src="shop.svg">', 'leads nowhere'],
    ['[a][b]\n\n[b]: docs/other.md', 'leads nowhere'],
    ['| a |\n|--|\n| [a](docs/other.md) |', 'leads nowhere'],
  ])('refuses %s', (text, message) => {
    expect(check(text)).toEqual([expect.stringContaining(message)])
  })
})

describe('The size rule', () => {
  const oversized = (path: string, text: string) => findOversized([{ path, text }])
  const lines = (count: number, inside: string) => Array.from({ length: count }, () => inside).join('\n')

  it('lets a file have 400 lines and no more', () => {
    expect(oversized('src/a.ts', `${lines(400, '//')}\n`)).toEqual([])
    expect(oversized('src/a.ts', `${lines(401, '//')}\n`)).toEqual(['src/a.ts: 401 lines, more than 400'])
  })

  it('lets a function have 69 lines and no more', () => {
    expect(oversized('src/a.ts', `const f = () => {\n${lines(67, '//')}\n}\n`)).toEqual([])
    expect(oversized('src/a.ts', `//\nfunction f() {\n${lines(68, '//')}\n}\n`)).toEqual([
      'src/a.ts:2: function of 70 lines, more than 69',
    ])
  })

  it('lets a suite be as long as its tests, but none of its tests', () => {
    const test = `it.each([1])('x', () => {\n${lines(40, '//')}\n})`
    expect(oversized('test/a.test.ts', `describe('a', () => {\n${test}\n${test}\n})\n`)).toEqual([])
    expect(
      oversized('test/a.test.ts', `describe('a', () => {\nit('x', () => {\n${lines(70, '//')}\n})\n})\n`),
    ).toHaveLength(1)
  })
})
