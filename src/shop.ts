/**
 * Shop. Starts the roles this process was asked for, on the log it is given, and stops them in the order that loses nothing:
 * HTTP goes unready, roles finish and write down their positions, then the ports close.
 */
import { join } from 'node:path'
import { createCensus } from './actors/census.ts'
import { startCheeseReporter } from './actors/cheese-reporter.ts'
import { createDeadLetterList } from './actors/dead-letter-list.ts'
import { startOrderHost } from './actors/order-host.ts'
import { createOrderService } from './actors/order-service.ts'
import { createOrderStore } from './actors/order-store.ts'
import { createProgress } from './actors/progress.ts'
import type { Report } from './actors/report.ts'
import { createReportStore } from './actors/report-store.ts'
import type { Role } from './actors/role.ts'
import { startToppingService } from './actors/topping-service.ts'
import type { Config } from './config.ts'
import { createOrdersApp, createReportApp } from './http/app.ts'
import { listen, type Listening } from './http/listen.ts'
import { createGuard } from './http/origin.ts'
import { createInspectorCalls } from './inspect/inspector.ts'
import { createPage } from './inspect/page.ts'
import { createLocalRoles, type OwnedRoles, type Started } from './local-roles.ts'
import type { EventLog } from './log/event-log.ts'
import type { Logger } from './logger.ts'
import { createPizzaMachine } from './machines/pizza.machine.ts'
import { recipe as ourRecipe, type Recipe } from './menu.ts'
import { createTopics, type Topics } from './topics.ts'

export interface Shop {
  readonly urls: { readonly orders?: string; readonly report?: string }
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
    start: (role) => startRole({ config, log, logger, recipe, topics, roles }, role),
  })
  try {
    await roles.startAll()
  } catch (error) {
    await roles.stopAll()
    throw error
  }
  const orders = roles.find('orders')?.listening
  const report = roles.find('cheese-reporter')?.listening
  return {
    urls: { ...(orders && { orders: orders.url }), ...(report && { report: report.url }) },
    stop: roles.stopAll,
  }
}

interface Parts {
  readonly config: Config
  readonly log: EventLog
  readonly logger: Logger
  readonly recipe: Recipe
  readonly topics: Topics
  readonly roles: OwnedRoles
}

function startRole(parts: Parts, role: string): Promise<Started> {
  if (role === 'orders') return startOrders(parts)
  if (role === 'cheese-reporter') return startReporter(parts)
  return startTopping(parts, role)
}

async function startOrders(parts: Parts): Promise<Started> {
  const { config, log, logger, recipe, topics } = parts
  const store = createOrderStore(join(config.dataDir, 'orders.sqlite'))
  const groupId = `${config.groupId}.orders`
  const role = await startOrderHost({ ...config, log, logger, store, recipe, topics, groupId })
  const orders = createOrderService({ log, host: role, store, topics })
  const { host, port, countMax } = config.http
  const guard = createGuard({ host, token: config.page.token() })
  const newOrdersMax = config.page.inspectorOrdersMax
  const page = createPage({
    orders,
    machines: [role.machine, createPizzaMachine(recipe)],
    census: createCensus({ store, checkpointer: role.checkpointer, recipe }),
    progress: createProgress(log, topics, config.groupId),
    deadLetters: createDeadLetterList(log, topics.deadLetters),
    roles: parts.roles,
    report: () => askReport(parts),
    guard,
    countMax,
    hasInspector: newOrdersMax > 0,
    logger,
  })
  const { machine } = role
  const inspector = createInspectorCalls({ orders, machine, guard, logger, newOrdersMax })
  const routes = [...page.routes, ...inspector.routes]
  const app = createOrdersApp({ orders, limits: config.http, logger, guard, page: { show: page.show, routes } })
  app.once('closing', () => {
    page.close()
    inspector.close()
  })
  const { drainMs } = config
  const { upgrade } = inspector
  return listenOrStop({ role, close: () => store.close() }, () => listen(app, { host, port, drainMs, upgrade }))
}

/** The report of the reporter in this process, or of one that runs elsewhere. */
async function askReport({ config, roles }: Parts): Promise<Readonly<Record<string, number>>> {
  const here = roles.find('cheese-reporter')?.role as (Role & Report) | undefined
  if (here !== undefined) return here.counts()
  if (config.roles.includes('cheese-reporter')) throw new Error('The cheese reporter is stopped')
  const answer = await fetch(new URL('/report', config.page.reportUrl), { signal: AbortSignal.timeout(2_000) })
  return (await answer.json()) as Record<string, number>
}

async function startReporter({ config, log, logger, topics }: Parts): Promise<Started> {
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
  const app = createReportApp({ report: role, logger })
  const { host, reportPort: port } = config.http
  return listenOrStop({ role, close: () => store.close() }, () =>
    listen(app, { host, port, portFlag: '--report-port' }),
  )
}

async function startTopping({ config, log, logger, recipe, topics }: Parts, topping: string): Promise<Started> {
  const step = recipe.find((candidate) => candidate.topping === topping)!
  const { from, to } = topics.stages.get(topping)!
  const groupId = `${config.groupId}.${topping}`
  const { deadLetters } = topics
  return {
    role: await startToppingService({ log, logger, step, from, to, deadLetters, groupId, startFrom: config.startFrom }),
  }
}

/** A role whose port cannot be had must not go on without its door. */
async function listenOrStop(started: Started, open: () => Promise<Listening>): Promise<Started> {
  try {
    return { ...started, listening: await open() }
  } catch (error) {
    await started.role.stop(AbortSignal.timeout(1_000))
    started.close?.()
    throw error
  }
}
