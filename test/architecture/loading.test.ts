import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root } from '../../scripts/check/files.ts'

/** Runs the check's loading step on a folder and resolves with its exit code and its lines. */
function load(folder: string): Promise<{ code: number; lines: string[] }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(root, 'scripts/check/load.ts'), folder], (error, stdout) => {
      resolve({ code: error ? Number(error.code) : 0, lines: stdout.split('\n').filter((line) => line !== '') })
    })
  })
}

it('The loading step finds what plain node refuses and what an import leaves running, and runs no entry point', async () => {
  expect(await load(join(import.meta.dirname, 'fixtures/loading'))).toEqual({
    code: 1,
    lines: [
      expect.stringMatching(/^src\/log.ts: SyntaxError: Named export 'KafkaJSError' not found/),
      expect.stringMatching(/^src\/main.ts:1: 'kafkajs' has no export 'ConfigResourceTypes' under plain node$/),
      expect.stringMatching(/^Importing the modules left something running: .*Timeout/),
    ],
  })
})
