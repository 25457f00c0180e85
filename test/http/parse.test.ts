import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isNotModified, parseCount, parseWait } from '../../src/http/parse.ts'

describe('The API reading Prefer', () => {
  test.each([
    ['wait=10', 10_000],
    ['respond-async, wait=10', 10_000],
    ['wait=10, respond-async', 10_000],
    ['respond-async;x=1;y="a,b", wait=10', 10_000],
    ['WAIT = 10', 10_000],
    ['wait="10"', 10_000],
    ['wait=10; foo=bar', 10_000],
    ['wait=5, wait=10', 5_000],
    ['wait=0', 0],
    ['wait=999999999', 30_000],
    ['handling="x, wait=10"', undefined],
    ['handling="x\\", wait=10"', undefined],
    ['handling="unclosed, wait=10', 10_000],
    ['await=10', undefined],
    ['wait', undefined],
    ['wait=', undefined],
    ['wait=abc', undefined],
    ['wait=-1', undefined],
    ['wait=1.5', undefined],
    ['wait=9999999999', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('takes %j for %s ms', (header, ms) => {
    expect(parseWait(header, 30_000)).toBe(ms)
  })

  test('is not slowed down by a hostile header', () => {
    const hostile = ['"\\', '"', 'wait ', 'wait=   ', ',', ';']
    const startedAt = performance.now()
    for (const part of hostile) {
      for (const length of [1_000, 16_000]) {
        for (let i = 0; i < 10; i++) parseWait(part.repeat(length / part.length), 30_000)
      }
    }
    expect(performance.now() - startedAt).toBeLessThan(500)
  })
})

describe('The API reading If-None-Match', () => {
  test.each([
    ['W/"7"', true],
    ['"7"', true],
    ['"6", W/"7"', true],
    [' * ', true],
    ['"17"', false],
    ['7', false],
    ['', false],
    [undefined, false],
  ])('takes %j for the tag W/"7": %s', (header, covered) => {
    expect(isNotModified(header, 'W/"7"')).toBe(covered)
  })
})

describe('The API reading a count', () => {
  test('takes exactly the plain digits of the whole numbers up to the limit', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 1_000 }), (count) => parseCount(String(count), 1_000) === count))
    const other = fc.oneof(
      fc.string(),
      fc.double().map(String),
      fc.integer({ max: 0 }).map(String),
      fc.integer({ min: 1_001 }).map(String),
    )
    fc.assert(
      fc.property(other, (text) => {
        fc.pre(!(/^[1-9]\d{0,3}$/.test(text) && Number(text) <= 1_000))
        expect(() => parseCount(text, 1_000)).toThrow(/^Cannot order /)
      }),
    )
  })
})
