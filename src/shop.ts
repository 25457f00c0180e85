/**
 * Shop. Starts the roles this process was asked for, on the log it is given, and stops them in the order that loses nothing:
 * HTTP goes unready, roles finish and write down their positions, then the ports close.
 */
import type { RoleReadiness } from './actors/role.ts'
import type { Config } from './config.ts'
import type { Listening } from './http/listen.ts'
import { createLocalRoles, type OwnedRoles, type Started } from './local-roles.ts'
import type { EventLog } from './log/event-log.ts'
import type { Logger } from './logger.ts'
import { recipe as ourRecipe, type Recipe } from './menu.ts'
import { createScrape } from './metrics.ts'
import type { Parts } from './role-parts.ts'
import { createTopics } from './topics.ts'

export interface Shop {
  readonly urls: { readonly orders?: string; readonly report?: string; readonly metrics?: string }
  /** Stops every role within `drainMs`. Safe to call twice. */
  stop(): Promise<void>
}

export interface ShopContext {
  readonly log: EventLog
  readonly logger: Logger
  readonly recipe?: Recipe
}

/** Starts the roles named in the configuration. When one cannot start, those that did are stopped and the error is thrown. */
export async function startShop(config: Config, context: ShopContext): Promise<Shop> {
  const { log, logger, recipe = ourRecipe } = context
  const topics = createTopics(recipe, config.topics)
  await log.ensureTopics(topics.specs)
  const roles = createLocalRoles({
    roles: config.roles,
    drainMs: config.drainMs,
    start: (role) => startRole(parts, role),
  })
  let metrics: Listening | undefined
  const ports = () => (metrics ? [metrics] : [])
  const scrape = createScrape({ log, topics, groupId: config.groupId, roles, ports })
  const parts: Parts = { config, log, logger, recipe, topics, roles, scrape }
  try {
    metrics = await openMetricsPort(parts)
    await roles.startAll()
  } catch (error) {
    await metrics?.close()
    await roles.stopAll()
    throw error
  }
  const orders = roles.find('orders')?.listening
  const report = roles.find('cheese-reporter')?.listening
  return {
    urls: {
      ...(orders && { orders: orders.url }),
      ...(report && { report: report.url }),
      ...(metrics && { metrics: metrics.url }),
    },
    async stop() {
      await metrics?.close()
      await roles.stopAll()
    },
  }
}

/** Opened before the roles start: it says why they are not ready yet. */
async function openMetricsPort({ config, logger, roles, scrape }: Parts): Promise<Listening | undefined> {
  const { host, metricsPort: port } = config.http
  if (port === undefined) return undefined
  const [{ createMetricsApp }, { listen }] = await Promise.all([import('./http/app.ts'), import('./http/listen.ts')])
  const app = createMetricsApp({ readiness: () => readinessOf(roles), scrape, logger })
  return listen(app, { host, port, portFlag: '--metrics-port' })
}

function readinessOf(roles: OwnedRoles): RoleReadiness {
  const reasons = roles.list().flatMap(({ role, state, reasons }) => {
    if (reasons.length > 0) return reasons
    return state === 'running' ? [] : [`${role} is ${state}`]
  })
  return { ready: reasons.length === 0, reasons }
}

/** Each role brings its own modules: a topping service must not wait for an HTTP server and state charts to load. */
async function startRole(parts: Parts, role: string): Promise<Started> {
  if (role === 'orders') return (await import('./start-orders.ts')).startOrders(parts)
  if (role === 'cheese-reporter') return (await import('./start-reporter.ts')).startReporter(parts)
  return (await import('./start-topping.ts')).startTopping(parts, role)
}
