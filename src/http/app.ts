/**
 * App. The HTTP faces of the shop as Express apps: the orders role's, the cheese reporter's, and the one for metrics alone. Express routes; resources
 * answer straight to node:http. Owns which routes there are and in which order they are tried (the busiest first).
 *
 * An app emits `closing` when its server closes (listen.ts): waiting answers and event streams end then.
 */
import express, { type Express, type RequestHandler } from 'express'
import helmet, { type HelmetOptions } from 'helmet'
import type { DeadLetters } from '../actors/dead-letter-service.ts'
import { OrdersError, type Orders } from '../actors/orders.ts'
import type { Peers } from '../actors/peers.ts'
import type { Report, SharedReport } from '../actors/report.ts'
import { createDeadLetterRoutes } from './dead-letters.ts'
import { createEventsRoutes } from './events.ts'
import { pathPart, type HttpLogger, type Route } from './exchange.ts'
import { createForward, type Forward } from './forward.ts'
import { createHealthRoutes, type Readiness } from './health.ts'
import { createIndexRoutes } from './index-page.ts'
import { createMetricsRoutes, type Scrape } from './metrics.ts'
import { createOrderHistoryRoutes } from './order-history.ts'
import { createOrderListRoutes } from './order-list.ts'
import { createOrderRoutes } from './order.ts'
import { createGuard, type Guard } from './origin.ts'
import { createOwnRoutes } from './own.ts'
import { isOrderId } from './parse.ts'
import { createErrorHandler, createMethodNotAllowed, notFound, ProblemError } from './problem.ts'
import { createReportRoutes } from './report.ts'
import { streamLimits, type StreamLimits } from './sse.ts'

export interface OrdersAppOptions {
  readonly orders: Orders
  readonly deadLetters: DeadLetters
  readonly limits: { readonly countMax: number; readonly waitMsMax: number; readonly pageRowsMax: number }
  readonly logger: HttpLogger
  /** Default: `streamLimits`. */
  readonly streams?: StreamLimits
  /** Who may place orders from a browser (default: whoever is on the same site as a server on loopback). */
  readonly guard?: Guard
  readonly scrape: Scrape
  /** How this host answers together with others; absent where it is the only one. */
  readonly hosts?: Hosts
  /** How long the owner of an order is looked for, in milliseconds (default: forward.ts). */
  readonly patienceMs?: number
  /** What browsers get at `/`, and the calls behind it. */
  readonly page?: { readonly show: RequestHandler; readonly routes: readonly Route[] }
}

export interface Hosts {
  /** The orders of this host alone; `orders` are those of all. */
  readonly own: Orders
  readonly peers: Peers
}

export interface ReportAppOptions {
  readonly report: SharedReport
  /** Of this reporter alone; absent where it is the only one. */
  readonly own?: Report
  readonly scrape: Scrape
  readonly logger: HttpLogger
}

export interface MetricsAppOptions {
  /** Of all roles of this process together. */
  readonly readiness: () => Readiness
  readonly scrape: Scrape
  readonly logger: HttpLogger
}

const urlCharactersMax = 2_048

/** Answers are JSON and event streams: nothing in them may be run, framed or read by other sites. Pages bring their own policy. */
const headerPolicy: HelmetOptions = {
  contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
  // Whoever ends TLS sets it; over plain HTTP it means nothing.
  strictTransportSecurity: false,
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xFrameOptions: false,
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false,
}

/** The app of the orders role: order, orders, history, events, health, metrics. */
export function createOrdersApp(options: OrdersAppOptions): Express {
  const closing = new AbortController()
  const app = createApp(createOrdersRoutes(options, closing.signal), options.logger)
  app.once('closing', () => closing.abort())
  return app
}

/** The app of the cheese reporter: report, health, metrics. */
export function createReportApp(options: ReportAppOptions): Express {
  const closing = new AbortController()
  const app = createApp(createReportAppRoutes(options, closing.signal), options.logger)
  app.once('closing', () => closing.abort())
  return app
}

/** The app of `--metrics-port`: health and metrics of roles that have no door of their own. */
export function createMetricsApp(options: MetricsAppOptions): Express {
  return createApp(createMetricsAppRoutes(options), options.logger)
}

/** Every route of the orders app, in the order they are tried. */
export function createOrdersRoutes(options: OrdersAppOptions, closing: AbortSignal): Route[] {
  const {
    orders,
    deadLetters,
    limits,
    streams = streamLimits,
    page,
    scrape,
    hosts,
    guard = createGuard({ host: '127.0.0.1' }),
  } = options
  const forward =
    hosts &&
    createForward({
      peers: hosts.peers,
      ...limits,
      closing,
      ...(options.patienceMs && { patienceMs: options.patienceMs }),
    })
  const ofOrders = [
    ...createOrderRoutes({ orders, ...limits, closing, guard, ...(forward && { forward }) }),
    ...createOrderListRoutes({ orders, ...limits }),
    ...createEventsRoutes({ orders, limits: streams, closing, ...(hosts && { own: hosts.own }) }),
    ...createOrderHistoryRoutes({ orders }),
  ]
  const routes = [
    ...(forward === undefined ? ofOrders : ofOrders.map((route) => answeredByOwner(route, forward))),
    ...(hosts ? createOwnRoutes({ orders: hosts.own, peers: hosts.peers, ...limits }) : []),
    ...createDeadLetterRoutes({ deadLetters, ...limits }),
    ...createHealthRoutes(() => orders.readiness()),
    ...createMetricsRoutes(scrape),
    ...(page?.routes ?? []),
  ]
  return [...routes, ...createIndexRoutes(routes, page?.show)]
}

/** What is about one order is answered by the host that owns it, also when it goes to another one while somebody waits for it here. */
function answeredByOwner(route: Route, forward: Forward): Route {
  if (route.method !== 'GET' || !route.path.startsWith('/order/:id')) return route
  const handlers = [route.handle].flat()
  const answerHere = handlers.pop()!
  const answer: RequestHandler = async (req, res, next) => {
    const orderId = pathPart(req, 'id')
    if (!isOrderId(orderId)) return answerHere(req, res, next)
    if (!forward.isHere(orderId) && (await forward.answer(orderId, req, res))) return
    try {
      await answerHere(req, res, next)
    } catch (error) {
      const hasMoved = error instanceof OrdersError && error.code === 'behind' && !forward.isHere(orderId)
      if (!hasMoved || res.headersSent || !(await forward.answer(orderId, req, res))) throw error
    }
  }
  return { ...route, handle: [...handlers, answer] }
}

/** Every route of the report app. */
export function createReportAppRoutes({ report, own, scrape }: ReportAppOptions, closing: AbortSignal): Route[] {
  const health = createHealthRoutes(() => report.readiness())
  const ofReport = createReportRoutes({ report, closing, ...(own && { own }) })
  const routes = [...ofReport, ...health, ...createMetricsRoutes(scrape)]
  return [...routes, ...createIndexRoutes(routes)]
}

/** Every route of the metrics app. */
export function createMetricsAppRoutes({ readiness, scrape }: MetricsAppOptions): Route[] {
  const routes = [...createMetricsRoutes(scrape), ...createHealthRoutes(readiness)]
  return [...routes, ...createIndexRoutes(routes)]
}

function createApp(routes: readonly Route[], logger: HttpLogger): Express {
  const app = express()
  app.disable('x-powered-by').disable('etag').enable('case sensitive routing')
  app.set('query parser', 'simple').set('env', 'production')
  app.use(helmet(headerPolicy))
  app.use((req, _res, next) => {
    if (req.url.length <= urlCharactersMax) return next()
    throw new ProblemError('url-too-long', `The address may have ${urlCharactersMax} characters.`)
  })
  for (const { method, path, handle } of routes) app[method === 'GET' ? 'get' : 'post'](path, handle)
  for (const [path, allow] of allowed(routes)) app.all(path, createMethodNotAllowed(allow))
  app.use(notFound, createErrorHandler(logger))
  return app
}

/** The Allow header of each path. Paths that differ only in the names of their parts are one path. */
function allowed(routes: readonly Route[]): Map<string, string> {
  const methods = new Map<string, Set<string>>()
  for (const { method, path } of routes) {
    const shape = path.replaceAll(/:\w+/g, ':part')
    const set = methods.get(shape) ?? new Set()
    set.add(method)
    if (method === 'GET') set.add('HEAD')
    methods.set(shape, set.add('OPTIONS'))
  }
  return new Map([...methods].map(([path, set]) => [path, [...set].sort().join(', ')]))
}
