/** The `verify` command: opens the stores beside a running shop, shows progress, lists what differs. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createOrderStore } from './actors/order-store.ts'
import { createReportStore } from './actors/report-store.ts'
import { verify, type Verdict } from './actors/verify.ts'
import type { Config } from './config.ts'
import type { EventLog } from './log/event-log.ts'
import { recipe } from './menu.ts'
import { createTopics } from './topics.ts'

/** Differences listed on the terminal; the rest is counted. */
const listedMax = 100

export interface VerifyOutput {
  print(line: string): void
  /** Overwrites the last progress line; absent where nobody watches. */
  readonly progress?: (line: string) => void
}

/**
 * Runs verify on the configured log and the stores in the data directory.
 * @returns whether nothing differs.
 * @throws Error with code `nothing-to-verify` when there is no store to compare.
 */
export async function runVerify(config: Config, log: EventLog, output: VerifyOutput): Promise<boolean> {
  const orderFile = join(config.dataDir, 'orders.sqlite')
  const reportFile = join(config.dataDir, 'report.sqlite')
  const orderStore = existsSync(orderFile) ? createOrderStore(orderFile, { readOnly: true }) : undefined
  const reportStore = existsSync(reportFile) ? createReportStore(reportFile, { readOnly: true }) : undefined
  if (orderStore === undefined && reportStore === undefined) {
    const message = `Nothing to verify in ${config.dataDir}: neither orders.sqlite nor report.sqlite is there. Give the shop's --data directory.`
    throw Object.assign(new Error(message), { code: 'nothing-to-verify' })
  }
  try {
    const verdict = await verify({
      log,
      recipe,
      topics: createTopics(recipe, config.topics),
      ...(orderStore && { orderStore }),
      ...(reportStore && { reportStore }),
      onProgress: (read, total) => output.progress?.(`Read ${read} of ${total} records`),
    })
    printVerdict(verdict, output, { hasOrders: orderStore !== undefined, hasReport: reportStore !== undefined })
    return verdict.differences.length === 0
  } finally {
    orderStore?.close()
    reportStore?.close()
  }
}

function printVerdict(verdict: Verdict, output: VerifyOutput, found: { hasOrders: boolean; hasReport: boolean }): void {
  const { orders, records, ambiguous, tooOld, isReportTooOld, differences } = verdict
  for (const { where, what } of differences.slice(0, listedMax)) output.print(`${where}: ${what}`)
  if (differences.length > listedMax) output.print(`… and ${differences.length - listedMax} more`)
  if (!found.hasOrders) output.print('There is no orders.sqlite here: only the cheese report was compared.')
  if (!found.hasReport) output.print('There is no report.sqlite here: only the orders were compared.')
  if (ambiguous > 0) output.print(`${ambiguous} orders have a topping in two partitions and could not be compared.`)
  if (tooOld > 0) output.print(`${tooOld} orders are too old to compare: the log has deleted some of their records.`)
  if (isReportTooOld) output.print('The cheese report is too old to compare: the log has deleted records it counts.')
  const result = differences.length === 0 ? 'no difference' : `${differences.length} differences`
  output.print(`Compared ${orders - tooOld - ambiguous} orders with ${records} records of the log: ${result}.`)
}
