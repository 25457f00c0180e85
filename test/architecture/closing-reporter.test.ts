import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { root } from '../../scripts/check/files.ts'

const fixture = join(import.meta.dirname, 'fixtures/closing-reporter')

/** Runs vitest on a fixture folder and resolves with its exit code and what it wrote to stdout. */
function runVitest(...filters: string[]): Promise<{ code: number; lines: string[] }> {
  const args = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', fixture, ...filters]
  return new Promise((resolve) => {
    execFile(process.execPath, args, (error, stdout) => {
      resolve({ code: error ? Number(error.code) : 0, lines: stdout.trimEnd().split('\n') })
    })
  })
}

describe('A test run', () => {
  let run: Awaited<ReturnType<typeof runVitest>>
  beforeAll(async () => {
    run = await runVitest()
  })

  it('ends with its counts, where a file that does not load and an error nobody caught are failures', () => {
    expect(run.lines.at(-1)).toBe('2 passed, 3 failed, 5 skipped')
    expect(run.code).toBe(1)
  })

  it('says what was skipped and why', () => {
    const from = run.lines.indexOf('Skipped:')
    expect(run.lines.slice(from, run.lines.indexOf('', from))).toEqual([
      'Skipped:',
      '  needs Java',
      '    outcomes.fixture.ts > A broker (needs Java) > answers',
      '    outcomes.fixture.ts > A broker (needs Java) > stops',
      '  no browser here',
      '    outcomes.fixture.ts > opens a page',
      '  not written yet',
      '    outcomes.fixture.ts > bakes',
      '  no reason given',
      '    outcomes.fixture.ts > burns',
    ])
  })

  it('fails when there is nothing to run', async () => {
    expect(await runVitest('no-such-file')).toMatchObject({ code: 1 })
  })
})
