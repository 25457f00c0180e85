/** What every role is started with, and how a role gets its port. */
import type { Config } from './config.ts'
import type { Listening } from './http/listen.ts'
import type { Scrape } from './http/metrics.ts'
import type { OwnedRoles, Started } from './local-roles.ts'
import type { EventLog } from './log/event-log.ts'
import type { Logger } from './logger.ts'
import type { Recipe } from './menu.ts'
import type { Topics } from './topics.ts'

export interface Parts {
  readonly config: Config
  readonly log: EventLog
  readonly logger: Logger
  readonly recipe: Recipe
  readonly topics: Topics
  readonly roles: OwnedRoles
  readonly scrape: Scrape
}

/** A role whose port cannot be had must not go on without its door. */
export async function listenOrStop(started: Started, open: () => Promise<Listening>): Promise<Started> {
  try {
    return { ...started, listening: await open() }
  } catch (error) {
    await started.role.stop(AbortSignal.timeout(1_000))
    started.close?.()
    throw error
  }
}
