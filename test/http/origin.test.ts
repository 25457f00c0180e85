import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { createGuard } from '../../src/http/origin.ts'
import { ProblemError } from '../../src/http/problem.ts'

const request = (headers: Record<string, string>) =>
  ({ headers: { host: '127.0.0.1:5000', ...headers } }) as IncomingMessage

/** What a check says: `passes`, or the problem's name. */
function outcome(check: (req: IncomingMessage) => void, headers: Record<string, string>): string {
  try {
    check(request(headers))
    return 'passes'
  } catch (error) {
    if (error instanceof ProblemError) return error.problem.name
    throw error
  }
}

describe('A guard on loopback', () => {
  const guard = createGuard({ host: '127.0.0.1' })

  test.each([
    [{}, 'passes'],
    [{ 'sec-fetch-site': 'same-origin' }, 'passes'],
    [{ 'sec-fetch-site': 'none' }, 'passes'],
    [{ 'sec-fetch-site': 'same-site' }, 'cross-origin'],
    [{ 'sec-fetch-site': 'cross-site' }, 'cross-origin'],
    [{ 'sec-fetch-site': 'cross-site', origin: 'http://127.0.0.1:5000' }, 'cross-origin'],
    [{ origin: 'http://127.0.0.1:5000' }, 'passes'],
    [{ origin: 'http://localhost:5000' }, 'cross-origin'],
    [{ origin: 'http://127.0.0.1:5001' }, 'cross-origin'],
    [{ origin: 'null' }, 'cross-origin'],
    [{ host: 'localhost:5000', 'sec-fetch-site': 'same-origin' }, 'passes'],
    [{ host: '[::1]:5000', origin: 'http://[::1]:5000' }, 'passes'],
    // Another site's name that was pointed to 127.0.0.1 is the same site to the browser (R2).
    [{ host: 'evil.example:5000', 'sec-fetch-site': 'same-origin' }, 'cross-origin'],
    [{ host: 'evil.example:5000', origin: 'http://evil.example:5000' }, 'cross-origin'],
    [{ host: '127.0.0.1.evil.example', 'sec-fetch-site': 'same-origin' }, 'cross-origin'],
  ])('with %j says: %s', (headers, expected) => {
    expect(outcome(guard.checkControl, headers)).toBe(expected)
    expect(outcome(guard.checkApi, headers)).toBe(expected)
    expect(outcome(guard.checkOrigin, headers)).toBe(expected)
  })
})

describe('A guard on the network', () => {
  const page = { host: 'shop.example', 'sec-fetch-site': 'same-origin' }

  test.each(['0.0.0.0', '::', '192.168.1.5', 'shop.example'])(
    'lets browsers change nothing without a token (%s)',
    (host) => {
      const guard = createGuard({ host })
      expect(guard.mode).toBe('off')
      expect(outcome(guard.checkControl, page)).toBe('read-only')
      expect(outcome(guard.checkControl, {})).toBe('read-only')
      expect(outcome(guard.checkApi, page)).toBe('read-only')
      expect(outcome(guard.checkApi, {})).toBe('passes')
      expect(outcome(guard.checkOrigin, page)).toBe('passes')
    },
  )

  test('wants the whole token, and still the same site', () => {
    const guard = createGuard({ host: '0.0.0.0', token: 't0ken' })
    expect(guard.mode).toBe('token')
    expect(outcome(guard.checkControl, page)).toBe('token-needed')
    for (const authorization of ['Bearer', 'Bearer t0ke', 'Bearer t0kenn', 'Basic t0ken', 't0ken']) {
      expect(outcome(guard.checkControl, { ...page, authorization }), authorization).toBe('token-needed')
    }
    const authorization = 'Bearer t0ken'
    expect(outcome(guard.checkControl, { ...page, authorization })).toBe('passes')
    expect(outcome(guard.checkControl, { 'sec-fetch-site': 'cross-site', authorization })).toBe('cross-origin')
  })
})
