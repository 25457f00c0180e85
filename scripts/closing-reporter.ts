/**
 * The end of a test run: what was skipped and why, then `N passed, N failed, N skipped` alone on the last line.
 * The reason is the note given to `context.skip('…')`, or what a title says in parentheses: `Kafka log (needs Java and Maven)`.
 */
import type { Reporter, TestCase, TestModule } from 'vitest/node'

interface Counts {
  passed: number
  failed: number
  skipped: number
}

/** Creates the reporter; it goes last, after the reporter that prints the failures. */
export function createClosingReporter(print: (line: string) => void = console.log): Reporter {
  return {
    onTestRunEnd(modules, unhandledErrors, reason) {
      for (const line of skippedLines(modules)) print(line)
      print(closingLine(countTests(modules), unhandledErrors.length, reason !== 'passed'))
    },
  }
}

function countTests(modules: readonly TestModule[]): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 }
  for (const module of modules) {
    const failedBefore = counts.failed
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === 'passed') counts.passed += 1
      else if (state === 'skipped') counts.skipped += 1
      else counts.failed += 1
    }
    // A file that does not load, or whose hooks fail, may have no failed test of its own.
    if (!module.ok() && counts.failed === failedBefore) counts.failed += 1
  }
  return counts
}

function closingLine({ passed, failed, skipped }: Counts, unhandledErrors: number, anyFailure: boolean): string {
  const failures = Math.max(failed + unhandledErrors, anyFailure ? 1 : 0)
  return `${passed} passed, ${failures} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

function skippedLines(modules: readonly TestModule[]): string[] {
  const tests = modules.flatMap((module) => [...module.children.allTests('skipped')])
  if (tests.length === 0) return []
  const reasons = Map.groupBy(tests, reasonOf)
  return [
    'Skipped:',
    ...[...reasons].flatMap(([reason, group]) => [
      `  ${reason}`,
      ...group.map((test) => `    ${test.module.relativeModuleId} > ${test.fullName}`),
    ]),
    '',
  ]
}

function reasonOf(test: TestCase): string {
  const result = test.result()
  if (result.state === 'skipped' && result.note) return result.note
  if (test.options.mode === 'todo') return 'not written yet'
  return /\((needs [^)]+)\)/.exec(test.fullName)?.[1] ?? 'no reason given'
}
