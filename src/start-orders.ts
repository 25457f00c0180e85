/** Starts the orders role: order host, order service, HTTP API and page. */
import { join } from 'node:path'
import { createCensus } from './actors/census.ts'
import { createDeadLetterList } from './actors/dead-letter-list.ts'
import { createDeadLetterService } from './actors/dead-letter-service.ts'
import { startOrderHost } from './actors/order-host.ts'
import { createOrderService } from './actors/order-service.ts'
import { createOrderStore } from './actors/order-store.ts'
import { createProgress } from './actors/progress.ts'
import type { Report } from './actors/report.ts'
import type { Role } from './actors/role.ts'
import { createOrdersApp } from './http/app.ts'
import { listen } from './http/listen.ts'
import { createGuard } from './http/origin.ts'
import { createInspectorCalls } from './inspect/inspector.ts'
import { createPage } from './inspect/page.ts'
import type { Started } from './local-roles.ts'
import { createPizzaMachine } from './machines/pizza.machine.ts'
import { listenOrStop, type Parts } from './role-parts.ts'

export async function startOrders(parts: Parts): Promise<Started> {
  const { config, log, logger, recipe, topics } = parts
  const store = createOrderStore(join(config.dataDir, 'orders.sqlite'))
  const groupId = `${config.groupId}.orders`
  const role = await startOrderHost({ ...config, log, logger, store, recipe, topics, groupId })
  const orders = createOrderService({ log, host: role, store, topics })
  const { host, port, countMax } = config.http
  const guard = createGuard({ host, token: config.page.token() })
  const newOrdersMax = config.page.inspectorOrdersMax
  const list = createDeadLetterList(log, topics.deadLetters)
  const page = createPage({
    orders,
    machines: [role.machine, createPizzaMachine(recipe)],
    census: createCensus({ store, checkpointer: role.checkpointer, recipe, owned: () => role.gate.partitions }),
    progress: createProgress(log, topics, config.groupId),
    deadLetters: list,
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
  const { scrape } = parts
  const deadLetters = createDeadLetterService(log, topics.deadLetters, list)
  const app = createOrdersApp({
    orders,
    deadLetters,
    limits: config.http,
    logger,
    guard,
    scrape,
    page: { show: page.show, routes },
  })
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
