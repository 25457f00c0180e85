/** Lifecycle of what tests start: folders that go away, and processes that must not be left behind. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, onTestFinished } from 'vitest'
import { killLeftovers } from './shop-process.ts'

/** Call it at the top of a test file: processes that are left are killed, and a test that passed and left some fails. */
export function failOnLeftovers(): void {
  afterEach(async ({ task }) => {
    const left = await killLeftovers()
    const hasFailed = (task.result?.errors?.length ?? 0) > 0
    if (left.length > 0 && !hasFailed) throw new Error(`The test left behind: ${left.join(', ')}`)
  })
}

/** A folder of its own for the running test, deleted after `failOnLeftovers` has ended what writes into it. */
export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pizza-actors-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}
