/**
 * Shop. Starts the roles this process was asked for, on the log it is given, and stops them in the order that loses nothing:
 * HTTP goes unready, roles finish and write down their positions, then the ports close.
 */
import { join } from 'node:path'
import { startCheeseReporter } from './actors/cheese-reporter.ts'
import { startOrderHost } from './actors/order-host.ts'
import { createOrderService } from './actors/order-service.ts'
import { createOrderStore } from './actors/order-store.ts'
import { createReportStore } from './actors/report-store.ts'
import type { Role } from './actors/role.ts'
import { startToppingService } from './actors/topping-service.ts'
import type { Config } from './config.ts'
import { createOrdersApp, createReportApp } from './http/app.ts'
import { listen, type Listening } from './http/listen.ts'
import type { EventLog } from './log/event-log.ts'
import type { Logger } from './logger.ts'
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
  const parts = { config, log, logger, recipe, topics }
  await log.ensureTopics(topics.specs)
  const starts = await Promise.allSettled(config.roles.map((role) => startRole(parts, role)))
  const started = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
  const stop = createStop(started, config.drainMs)
  const failed = starts.find((start) => start.status === 'rejected')
  if (failed !== undefined) {
    await stop()
    throw failed.reason
  }
  const orders = started.find(({ role }) => role.name === 'orders')
  const report = started.find(({ role }) => role.name === 'cheese-reporter')
  return {
    urls: {
      ...(orders?.listening && { orders: orders.listening.url }),
      ...(report?.listening && { report: report.listening.url }),
    },
    stop,
  }
}

interface Parts {
  readonly config: Config
  readonly log: EventLog
  readonly logger: Logger
  readonly recipe: Recipe
  readonly topics: Topics
}

interface Started {
  readonly role: Role
  readonly listening?: Listening
  /** Releases files, after the role has stopped. */
  readonly close?: () => void
}

function startRole(parts: Parts, role: string): Promise<Started> {
  if (role === 'orders') return startOrders(parts)
  if (role === 'cheese-reporter') return startReporter(parts)
  return startTopping(parts, role)
}

async function startOrders({ config, log, logger, recipe, topics }: Parts): Promise<Started> {
  const store = createOrderStore(join(config.dataDir, 'orders.sqlite'))
  const groupId = `${config.groupId}.orders`
  const role = await startOrderHost({ ...config, log, logger, store, recipe, topics, groupId })
  const orders = createOrderService({ log, host: role, store, topics })
  const app = createOrdersApp({ orders, limits: config.http, logger })
  const { host, port } = config.http
  return listenOrStop({ role, close: () => store.close() }, () => listen(app, { host, port, drainMs: config.drainMs }))
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

function createStop(started: readonly Started[], drainMs: number): () => Promise<void> {
  let stopping: Promise<void> | undefined
  const stopAll = async (): Promise<void> => {
    const deadline = AbortSignal.timeout(drainMs)
    await Promise.all(started.map(({ role }) => role.stop(deadline)))
    await Promise.all(started.flatMap(({ listening }) => (listening ? [listening.close()] : [])))
    for (const { close } of started) close?.()
  }
  return () => (stopping ??= stopAll())
}
