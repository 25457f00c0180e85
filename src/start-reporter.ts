/** Starts the cheese reporter with its HTTP API. */
import { join } from 'node:path'
import { startCheeseReporter } from './actors/cheese-reporter.ts'
import { createReportStore } from './actors/report-store.ts'
import { createReportApp } from './http/app.ts'
import { listen } from './http/listen.ts'
import type { Started } from './local-roles.ts'
import { listenOrStop, type Parts } from './role-parts.ts'

export async function startReporter({ config, log, logger, topics, scrape }: Parts): Promise<Started> {
  const store = createReportStore(join(config.dataDir, 'report.sqlite'))
  const role = await startCheeseReporter({
    log,
    logger,
    store,
    topic: topics.stages.get('cheese')!.to,
    deadLetters: topics.deadLetters,
    groupId: `${config.groupId}.cheese-reporter`,
    checkpointMs: config.checkpointMs,
  })
  const app = createReportApp({ report: role, scrape, logger })
  const { host, reportPort: port } = config.http
  return listenOrStop({ role, close: () => store.close() }, () =>
    listen(app, { host, port, portFlag: '--report-port' }),
  )
}
