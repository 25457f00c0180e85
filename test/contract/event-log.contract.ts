/**
 * The contract of the log port: one suite that memory-log, sqlite-log and kafka-log pass unchanged. It uses names of its
 * own for topics and groups, waits on events only, and allows what at-least-once delivery allows: duplicates.
 */
import { afterAll, afterEach, beforeAll, describe } from 'vitest'
import { describeAppends } from './appends.ts'
import { describeClaims } from './claims.ts'
import { describeDelivery } from './delivery.ts'
import { describeGroups } from './groups.ts'
import { describeOwners } from './owners.ts'
import { describePositions } from './positions.ts'
import { createContext, type ContractContext, type LogHarness } from './support.ts'

export type { LogHarness } from './support.ts'

export interface ContractOptions {
  /** For one test (default 10,000); a log that notices a dead member late needs more. */
  readonly testTimeoutMs?: number
}

/** Declares the suite. `createHarness` runs once, before the first test; its `close` runs after the last. */
export function describeLogContract(
  name: string,
  createHarness: () => Promise<LogHarness>,
  options: ContractOptions = {},
): void {
  describe(`The ${name} log`, { timeout: options.testTimeoutMs ?? 10_000 }, () => {
    let current: ContractContext | undefined
    const context = () => current!
    beforeAll(async () => {
      current = createContext(await createHarness())
    }, 60_000)
    afterEach(() => current?.closeOpened())
    afterAll(() => current?.harness.close())
    describeAppends(context)
    describeClaims(context)
    describeGroups(context)
    describeOwners(context)
    describePositions(context)
    describeDelivery(context)
  })
}
