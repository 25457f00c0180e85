/**
 * Door: takes a port before there is anything behind it, because a host must know where it can be reached before it joins the others.
 * Until it is opened, it says that the role is starting.
 */
import type { Express, Request, RequestHandler, Response } from 'express'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { sendJson } from './exchange.ts'
import type { App, ListenOptions } from './listen.ts'
import { sendProblem } from './problem.ts'

export interface Door {
  readonly app: App
  readonly upgrade: Upgrade
  /** Lets everybody in; WebSockets only with an `upgrade`. */
  open(app: Express, upgrade?: Upgrade): void
}

type Upgrade = NonNullable<ListenOptions['upgrade']>

/** Creates a closed door. */
export function createDoor(): Door {
  let inside: Express | undefined
  let upgradeInside: Upgrade = (_req, socket) => void socket.destroy()
  const answer = (req: IncomingMessage, res: ServerResponse, next: () => void): void => {
    if (inside !== undefined) return void (inside as RequestHandler)(req as Request, res as Response, next)
    if (req.url === '/livez') return sendJson(res, 200, { live: true }, { 'cache-control': 'no-store' })
    const detail = 'This instance has just started and takes over its partitions. Try again shortly.'
    sendProblem(res, { name: 'starting', detail, headers: { 'retry-after': '1' } }, (req.url ?? '/').split('?', 1)[0]!)
  }
  return {
    app: Object.assign(answer, { emit: (event: 'closing') => inside?.emit(event) }),
    upgrade: (req, socket, head) => upgradeInside(req, socket, head),
    open(app, upgrade = upgradeInside) {
      inside = app
      upgradeInside = upgrade
    },
  }
}
