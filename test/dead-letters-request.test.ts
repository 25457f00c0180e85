import { describe, expect, test } from 'vitest'
import { parseConfig, type Config } from '../src/config.ts'

function parse(words: string, env: Record<string, string> = {}) {
  return parseConfig({ argv: words.split(' ').filter(Boolean), env, readFile: () => '', version: '' })
}

function asked(words: string): Config['deadLetters'] {
  const parsed = parse(`dead-letters ${words}`)
  if (parsed.kind !== 'dead-letters') throw new Error(`Expected to be understood: ${JSON.stringify(parsed)}`)
  return parsed.config.deadLetters
}

const list = { action: 'list', ids: [], limit: 20, yes: false, json: false }

describe('What is asked of dead letters', () => {
  test.each([
    ['', list],
    ['list --limit 5 --json', { ...list, limit: 5, json: true }],
    ['--reason not-json --role sauce', { ...list, reason: 'not-json', role: 'sauce' }],
    ['show 3-17 --json', { ...list, action: 'show', ids: ['3-17'], json: true }],
    ['redrive 3-17 0-0', { ...list, action: 'redrive', ids: ['3-17', '0-0'] }],
    ['redrive --yes 3-17', { ...list, action: 'redrive', ids: ['3-17'], yes: true }],
    ['--yes redrive --all', { ...list, action: 'redrive', yes: true }],
    ['redrive --reason unknown-order', { ...list, action: 'redrive', reason: 'unknown-order' }],
  ])('is understood: %s', (words, expected) => {
    expect(asked(words)).toEqual(expected)
  })

  test.each([
    ['3-17', '3-17: expected show or redrive before it: npm start -- dead-letters show 3-17'],
    ['shwo', 'shwo: expected list, show or redrive, did you mean show?'],
    ['list 3-17', '3-17: list takes no id; npm start -- dead-letters show 3-17'],
    ['show', 'show: expected the id of one dead letter, got 0'],
    ['show 3-17 3-18', 'show: expected the id of one dead letter, got 2'],
    ['show 3', '3: expected the id of a dead letter, for example 3-17'],
    ['show 3-17 --role sauce', 'show takes an id and no --reason or --role'],
    ['redrive', 'redrive: expected the ids of dead letters, or --all, --reason or --role'],
    ['redrive 3-17 --all', 'redrive: expected either ids, or --all, --reason or --role'],
    ['list --yes', '--yes: list changes nothing'],
    ['show 3-17 --all', '--all: show does not take it'],
    ['--reason bad-json', '--reason: expected one of not-json, invalid-record'],
    ['--role sause', 'got "sause", did you mean sauce?'],
    ['--limit 0', '--limit: expected an integer from 1 to'],
  ])('is refused, with what to write instead: %s', (words, problem) => {
    const parsed = parse(`dead-letters ${words}`)
    if (parsed.kind !== 'problems') throw new Error('Expected problems')
    expect(parsed.problems).toEqual([expect.stringContaining(problem)])
  })

  test('goes with no other command, and comes from no environment', () => {
    expect(parse('verify --all')).toMatchObject({ problems: ['--all: expected the command dead-letters before it'] })
    expect(parse('--yes')).toMatchObject({ problems: ['--yes: expected the command dead-letters before it'] })
    const parsed = parse('dead-letters redrive 3-17', { PIZZA_YES: 'on', PIZZA_ALL: 'on' })
    expect(parsed).toMatchObject({ kind: 'dead-letters', config: { deadLetters: { yes: false } } })
  })
})
