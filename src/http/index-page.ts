/** Index. `GET /` lists the routes of an app, or shows browsers its page; `GET /problems/{name}` explains a problem, so that its `type` leads somewhere. */
import type { RequestHandler } from 'express'
import { pathPart, sendJson, toPathTemplate, type Route } from './exchange.ts'
import { ProblemError, problems } from './problem.ts'

/** The routes about the app itself. The index lists them too. `page` is what who asks for HTML gets instead. */
export function createIndexRoutes(routes: readonly Route[], page?: RequestHandler): Route[] {
  const own: Route[] = [
    {
      method: 'GET',
      path: '/',
      summary: page
        ? 'Shows the page to browsers, and lists the calls of this API to others.'
        : 'Lists the calls of this API.',
      handle: (req, res, next) => {
        if (page !== undefined && req.get('accept')?.includes('text/html')) return void page(req, res, next)
        sendJson(res, 200, index, page && { vary: 'accept' })
      },
    },
    {
      method: 'GET',
      path: '/problems/:name',
      summary: 'Explains a problem that an answer names.',
      handle: (req, res) => {
        const name = pathPart(req, 'name')
        if (!isProblemName(name)) {
          const known = Object.keys(problems).join(', ')
          throw new ProblemError('route-not-found', `There is no such problem; there are ${known}.`)
        }
        sendJson(res, 200, { type: `/problems/${name}`, ...problems[name] })
      },
    },
  ]
  const index = {
    name: 'pizza-actors',
    calls: [...own, ...routes].map(({ method, path, summary }) => ({ method, path: toPathTemplate(path), summary })),
  }
  return own
}

function isProblemName(name: string): name is keyof typeof problems {
  return Object.hasOwn(problems, name)
}
