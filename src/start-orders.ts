/** Starts the orders role: order host, order service, HTTP API and page. */
import { join } from 'node:path'
import { createCensus } from './actors/census.ts'
import { createDeadLetterList } from './actors/dead-letter-list.ts'
import { createDeadLetterService } from './actors/dead-letter-service.ts'
import { startOrderHost, type OrderHost } from './actors/order-host.ts'
import { createOrderService } from './actors/order-service.ts'
import { createOrderStore, type OrderStore } from './actors/order-store.ts'
import type { Orders } from './actors/orders.ts'
import { createPeers } from './actors/peers.ts'
import { createProgress } from './actors/progress.ts'
import type { Counts, SharedReport } from './actors/report.ts'
import type { Role } from './actors/role.ts'
import { createOrdersApp, type Hosts } from './http/app.ts'
import { createGuard } from './http/origin.ts'
import { createSharedOrders } from './http/shared-orders.ts'
import { createInspectorCalls } from './inspect/inspector.ts'
import { createPage } from './inspect/page.ts'
import type { Started } from './local-roles.ts'
import { createPizzaMachine } from './machines/pizza.machine.ts'
import { startBehindDoor, type Parts } from './role-parts.ts'

export async function startOrders(parts: Parts): Promise<Started> {
  const { config, log, logger, recipe, topics } = parts
  const store = createOrderStore(join(config.dataDir, 'orders.sqlite'))
  const groupId = `${config.groupId}.orders`
  const door = { port: config.http.port, portFlag: '--port', close: () => store.close() }
  return startBehindDoor(parts, door, async (address) => {
    const role = await startOrderHost({ ...config, log, logger, store, recipe, topics, groupId, address })
    return { role, ...createApp(parts, { role, store, groupId, address }) }
  })
}

interface Running {
  readonly role: OrderHost
  readonly store: OrderStore
  readonly groupId: string
  readonly address: string
}

function createApp(parts: Parts, running: Running) {
  const { config, log, logger, recipe, topics } = parts
  const { role, store } = running
  const own = createOrderService({ log, host: role, store, topics })
  const hosts = topics.snapshots === undefined ? undefined : createHosts(parts, running, own)
  const orders = hosts ? createSharedOrders(hosts) : own
  const { host, countMax } = config.http
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
    ...(hosts && { hosts }),
    page: { show: page.show, routes },
  })
  app.once('closing', () => {
    page.close()
    inspector.close()
  })
  return { app, upgrade: inspector.upgrade }
}

function createHosts({ log, topics }: Parts, { role, groupId, address }: Running, own: Orders): Hosts {
  const { partitions } = topics
  // A host that was paused may have been replaced: until it has heard from the group, it asks who owns what like any other.
  const isHere = (partition: number): boolean => role.gate.has(partition) && role.isConfirmed()
  const held = () => role.gate.partitions
  return { own, peers: createPeers({ log, groupId, self: address, partitions, isHere, held }) }
}

/** The report, from the reporter in this process or one that runs elsewhere. */
async function askReport({ config, roles }: Parts): Promise<Counts> {
  const here = roles.find('cheese-reporter')?.role as (Role & SharedReport) | undefined
  if (here !== undefined) return here.read()
  if (config.roles.includes('cheese-reporter')) throw new Error('The cheese reporter is stopped')
  const answer = await fetch(new URL('/report', config.page.reportUrl), { signal: AbortSignal.timeout(2_000) })
  if (!answer.ok) throw new Error(`The cheese reporter answers ${answer.status}`)
  return (await answer.json()) as Counts
}
