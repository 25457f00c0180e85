/** Starts the cheese reporter with its HTTP API. */
import { join } from 'node:path'
import { startCheeseReporter } from './actors/cheese-reporter.ts'
import { createPeers } from './actors/peers.ts'
import type { SharedReport } from './actors/report.ts'
import { createReportStore } from './actors/report-store.ts'
import type { Role } from './actors/role.ts'
import { createReportApp } from './http/app.ts'
import { createSharedReport } from './http/shared-report.ts'
import type { Started } from './local-roles.ts'
import { startBehindDoor, type Parts } from './role-parts.ts'

export async function startReporter(parts: Parts): Promise<Started> {
  const { config, log, logger, topics, scrape } = parts
  const store = createReportStore(join(config.dataDir, 'report.sqlite'))
  const groupId = `${config.groupId}.cheese-reporter`
  const { checkpointMs, http } = config
  const door = { port: http.reportPort, portFlag: '--report-port', close: () => store.close() }
  return startBehindDoor(parts, door, async (address) => {
    const topic = topics.stages.get('cheese')!.to
    const { deadLetters, partitions } = topics
    const own = await startCheeseReporter({
      log,
      logger,
      store,
      topic,
      deadLetters,
      groupId,
      checkpointMs,
      address,
    })
    // One process works on an embedded log's state; on Kafka any number may.
    const isShared = topics.snapshots !== undefined
    const isHere = (partition: number): boolean => own.parts().some((part) => part.partition === partition)
    const peers = createPeers({ log, groupId, self: address, partitions, isHere })
    const report = createSharedReport({ own, partitions, ...(isShared && { peers }) })
    const app = createReportApp({ report, scrape, logger, ...(isShared && { own }) })
    app.once('closing', () => report.close())
    const role: Role & SharedReport = { ...own, read: report.read }
    return { role, app }
  })
}
