/**
 * Page. The calls behind the page at `/`: its files, the charts, and the two live views, each made once for all who look.
 * Everything else the page shows comes from the API, as for any other client.
 */
import type { Request, RequestHandler, Response } from 'express'
import type { AnyStateMachine } from 'xstate'
import type { Census } from '../actors/census.ts'
import type { DeadLetterList } from '../actors/dead-letter-list.ts'
import type { Orders, OrderStatus } from '../actors/orders.ts'
import type { Progress } from '../actors/progress.ts'
import type { LocalRoles } from '../actors/role.ts'
import { pathPart, sendJson, type HttpLogger, type Route } from '../http/exchange.ts'
import type { Guard } from '../http/origin.ts'
import { ProblemError } from '../http/problem.ts'
import { openStream } from '../http/sse.ts'
import { createBroadcast, type Broadcast } from './broadcast.ts'
import { inspectorPolicy, loadPageFiles, pagePolicy, type PageFile, type PageFiles } from './page-files.ts'
import { createShopView } from './shop-view.ts'

export interface PageOptions {
  readonly orders: Orders
  readonly machines: readonly AnyStateMachine[]
  readonly census: Census
  readonly progress: Progress
  readonly deadLetters: DeadLetterList
  readonly roles: LocalRoles
  /** The cheese report, wherever it is made. */
  readonly report: () => Promise<Readonly<Record<string, number>>>
  readonly guard: Guard
  readonly countMax: number
  /** Whether there is the page around the stock inspector, too. */
  readonly hasInspector: boolean
  readonly logger: HttpLogger
  readonly limits?: PageLimits
}

export interface PageLimits {
  /** Pages that look at once. */
  readonly pagesMax: number
  readonly ordersTickMs: number
  readonly shopTickMs: number
}

export interface Page {
  /** Answers `GET /` with the page. */
  readonly show: RequestHandler
  readonly routes: readonly Route[]
  /** Ends every stream. */
  close(): void
}

const pageLimits: PageLimits = { pagesMax: 1_000, ordersTickMs: 500, shopTickMs: 1_000 }

const liveOrdersMax = 50

/** Creates the page. Its files are loaded, and its charts drawn, for the first visitor. */
export function createPage(options: PageOptions): Page {
  const { machines, guard, countMax, limits = pageLimits } = options
  let loading: Promise<PageFiles> | undefined
  const load = (): Promise<PageFiles> => {
    loading ??= loadPageFiles(machines)
    // The next visitor tries again.
    loading.catch(() => (loading = undefined))
    return loading
  }
  const live = createLiveViews(options, limits)
  const stream = (find: (req: Request) => Broadcast): RequestHandler => {
    return (req, res) => {
      if (live.size() >= limits.pagesMax) throw tooMany(limits.pagesMax)
      const broadcast = find(req)
      openStream(res)
      if (req.method === 'HEAD') return void res.end()
      broadcast.join(res)
    }
  }
  const routes: Route[] = [
    {
      method: 'GET',
      path: '/page/:file',
      summary: 'Serves the files of the page.',
      handle: async (req, res) => {
        const file = (await load()).files.get(pathPart(req, 'file'))
        if (file === undefined) throw new ProblemError('route-not-found', 'The page has no such file.')
        sendFile(req, res, file)
      },
    },
    {
      method: 'GET',
      path: '/charts',
      summary: 'Gives the state charts of the machines, as data and as SVG.',
      handle: async (req, res) => sendFile(req, res, (await load()).charts),
    },
    {
      method: 'GET',
      path: '/live/orders',
      summary: 'Streams the newest orders, conflated (server-sent events).',
      handle: stream((req) => live.orders(toStatus(req.query['status']))),
    },
    {
      method: 'GET',
      path: '/live/shop',
      summary: 'Streams how the roles are doing, conflated (server-sent events).',
      handle: stream(() => live.shop),
    },
    {
      method: 'POST',
      path: '/roles/:role/:action',
      summary: 'Stops or starts a role of this process.',
      handle: (req, res) => control(options, req, res),
    },
  ]
  if (options.hasInspector) {
    routes.push({
      method: 'GET',
      path: '/inspector',
      summary: 'Shows new orders, or the one named by order, in the Stately inspector.',
      handle: async (req, res) => {
        const { inspector } = await load()
        res.setHeader('content-security-policy', inspectorPolicy)
        sendFile(req, res, inspector)
      },
    })
  }
  const show: RequestHandler = async (req, res) => {
    const { page } = await load()
    res.setHeader('content-security-policy', pagePolicy)
    res.setHeader('vary', 'accept')
    const text = page.body.toString().replace('{{controls}}', guard.mode).replace('{{count-max}}', String(countMax))
    sendFile(req, res, {
      ...page,
      body: Buffer.from(text),
      etag: `${page.etag.slice(0, -1)}-${guard.mode}-${countMax}"`,
    })
  }
  return { show, routes, close: live.close }
}

function createLiveViews(options: PageOptions, { ordersTickMs, shopTickMs }: PageLimits) {
  const { orders, logger, census } = options
  const onError = (error: unknown) => logger.warn({ err: error }, 'The page cannot be kept up to date; trying again')
  const ofStatus = (status?: OrderStatus) =>
    createBroadcast({
      tickMs: ordersTickMs,
      view: () => orders.list({ limit: liveOrdersMax, ...(status && { status }) }),
      onError,
    })
  const byStatus = { all: ofStatus(), preparing: ofStatus('preparing'), ready: ofStatus('ready') }
  const shop = createBroadcast({
    tickMs: shopTickMs,
    view: createShopView(options),
    onError,
    onFirst: () => census.start(),
    onLast: () => census.stop(),
  })
  const every = [...Object.values(byStatus), shop]
  return {
    orders: (status: OrderStatus | 'all') => byStatus[status],
    shop,
    size: () => every.reduce((sum, { size }) => sum + size, 0),
    close: () => every.forEach((broadcast) => broadcast.close()),
  }
}

async function control({ guard, roles, logger }: PageOptions, req: Request, res: Response): Promise<void> {
  guard.checkControl(req)
  const [role, action] = [pathPart(req, 'role'), pathPart(req, 'action')]
  const found = roles.list().find((candidate) => candidate.role === role)
  if (found === undefined) throw new ProblemError('role-not-found', 'GET /live/shop tells which roles there are.')
  if (action !== 'stop' && action !== 'start') throw new ProblemError('route-not-found', 'A role can stop or start.')
  const isDone = found.canStop && (await change(roles, role, action, logger))
  if (!isDone) throw new ProblemError('role-busy', `The role ${role} is ${found.state} and cannot ${action} now.`)
  sendJson(
    res,
    200,
    roles.list().find((candidate) => candidate.role === role),
    { 'cache-control': 'no-store' },
  )
}

async function change(roles: LocalRoles, role: string, action: 'stop' | 'start', logger: HttpLogger): Promise<boolean> {
  try {
    return await (action === 'stop' ? roles.stop(role) : roles.start(role))
  } catch (error) {
    logger.error({ err: error, role }, `The role could not ${action}`)
    return false
  }
}

function toStatus(status: unknown): OrderStatus | 'all' {
  if (status === undefined) return 'all'
  if (status === 'preparing' || status === 'ready') return status
  throw new ProblemError('bad-query', 'Cannot use the query: status: expected preparing or ready.')
}

function tooMany(pagesMax: number): ProblemError {
  return new ProblemError('too-many-streams', `${pagesMax} pages are open; try again in a moment.`, {
    'retry-after': '5',
  })
}

function sendFile(req: Request, res: Response, { type, body, etag }: PageFile): void {
  const headers = { etag, 'cache-control': 'no-cache' }
  if (req.get('if-none-match') === etag) return void res.writeHead(304, headers).end()
  res.writeHead(200, { ...headers, 'content-type': type, 'content-length': body.length })
  res.end(body)
}
