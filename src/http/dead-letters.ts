/** Dead letters. `GET /dead-letters?reason=&role=&after=&limit=`: newest first, page by page; `GET /dead-letters/{id}`: one with its record. */
import type { DeadLetters } from '../actors/dead-letter-service.ts'
import { pathPart, sendJson, sendPage, type Route } from './exchange.ts'
import { createDeadLetterQueryParser } from './parse.ts'
import { ProblemError } from './problem.ts'

export interface DeadLetterRoutesOptions {
  readonly deadLetters: DeadLetters
  readonly pageRowsMax: number
}

export function createDeadLetterRoutes({ deadLetters, pageRowsMax }: DeadLetterRoutesOptions): Route[] {
  const parseQuery = createDeadLetterQueryParser(pageRowsMax)
  return [
    {
      method: 'GET',
      path: '/dead-letters',
      summary: 'Lists dead letters, newest first.',
      handle: async (req, res) => {
        const query = parseQuery(req.query)
        sendPage(res, '/dead-letters', query, await deadLetters.page(query))
      },
    },
    {
      method: 'GET',
      path: '/dead-letters/:id',
      summary: 'Shows a dead letter with the record it came from.',
      handle: async (req, res) => {
        const found = await deadLetters.find(pathPart(req, 'id'))
        if (found === undefined) {
          throw new ProblemError(
            'dead-letter-not-found',
            'GET /dead-letters lists those known here; npm start -- dead-letters show finds older ones, too.',
          )
        }
        sendJson(res, 200, found, { 'cache-control': 'no-cache' })
      },
    },
  ]
}
