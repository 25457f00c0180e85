import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseConfigFile } from '../src/config-file.ts'
import { parseConfig, roles } from '../src/config.ts'
import { exitCodes, exitMeanings } from '../src/exit-codes.ts'
import { environmentOnly, settings } from '../src/settings.ts'

const page = readFileSync(new URL('../docs/config.md', import.meta.url), 'utf8')

/** The cells of every table row whose first cell matches, headings aside. */
function rows(first: RegExp): string[][] {
  return page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
    .filter(([cell = '']) => first.test(cell))
}

test('The configuration page lists every option with its variable, default and meaning, and no other', () => {
  const toValue = (value: string, bare?: string) => (bare === undefined ? ` <${value}>` : value && ` [${value}]`)
  const expected = Object.values(settings).map(({ flag, value, bare, env, fallbackText, help }) => [
    `\`--${flag}${toValue(value, bare)}\``,
    env === '' ? '–' : `\`${env}\``,
    fallbackText,
    help,
  ])
  expect(rows(/^`--/)).toEqual(expected)
})

test('The configuration page lists the variables without an option, and no other', () => {
  expect(rows(/^`PIZZA_/)).toEqual(Object.entries(environmentOnly).map(([name, { help }]) => [`\`${name}\``, help]))
})

test('The configuration page lists every exit code', () => {
  const expected = Object.entries(exitCodes).map(([name, code]) => [
    String(code),
    name,
    exitMeanings[name as keyof typeof exitCodes],
  ])
  expect(rows(/^\d+$/)).toEqual(expected)
})

test('The configuration page shows a file that is read without a word, and every key it lists is known', () => {
  const example = /```properties\n([^]*?)```/.exec(page)![1]!
  const options = { path: 'f', overrides: [], readFile: () => 'PEM' }
  expect(parseConfigFile(example, options)).toMatchObject({ problems: [], warnings: [] })
  const keys = rows(/^`[a-z]+\.[a-z.]+`$/).map(([cell = '']) => cell.slice(1, -1))
  expect(keys).toHaveLength(10)
  const { warnings } = parseConfigFile(keys.map((key) => `${key}=x`).join('\n'), options)
  expect(warnings.filter((warning) => warning.includes('not supported'))).toEqual([])
})

test('The configuration page shows command lines that are taken, and names every role', () => {
  const commands = [...page.matchAll(/^npm start(?: -- (.*?))? *#/gm)].map(([, words = '']) => words.trim())
  expect(commands.length).toBeGreaterThan(4)
  for (const words of commands) {
    const argv = words.split(' ').filter(Boolean)
    expect(parseConfig({ argv, env: {}, readFile: () => 'bootstrap.servers=a:1', version: '' }).kind).toMatch(
      /start|verify|rehearse|dead-letters|doctor/,
    )
  }
  for (const role of roles) expect(page).toContain(`\`${role}\``)
})
