/**
 * Own: what this host has of all orders, for the other hosts that put the whole together (shared-orders.ts), and for whoever wants to see
 * how orders are spread.
 */
import { z } from 'zod'
import type { Orders } from '../actors/orders.ts'
import type { Peers } from '../actors/peers.ts'
import { sendJson, type Route } from './exchange.ts'
import { createListQueryParser } from './parse.ts'
import { ProblemError } from './problem.ts'

export interface OwnRoutesOptions {
  /** Of this host alone. */
  readonly orders: Orders
  readonly peers: Pick<Peers, 'mine'>
  readonly pageRowsMax: number
}

const partitionsSchema = z.string().regex(/^\d{1,5}(,\d{1,5})*$/)

/** The events of this host are in events.ts: it streams them as it streams those of all. */
export function createOwnRoutes({ orders, peers, pageRowsMax }: OwnRoutesOptions): Route[] {
  const parseListQuery = createListQueryParser(pageRowsMax)
  return [
    {
      method: 'GET',
      path: '/own/orders',
      summary: 'Lists the orders of the partitions this instance owns; one instance asks another.',
      handle: async (req, res) => {
        const { partitions: wanted, ...rest } = req.query
        const mine = await peers.mine()
        const partitions = wanted === undefined ? mine : parsePartitions(wanted)
        if (partitions.some((partition) => !mine.includes(partition))) {
          throw new ProblemError('misdirected', `This instance owns the partitions ${mine.join(', ') || 'none'}.`)
        }
        const page = await orders.list({ ...parseListQuery(rest), partitions })
        sendJson(res, 200, { ...page, partitions }, { 'cache-control': 'no-store' })
      },
    },
  ]
}

function parsePartitions(text: unknown): number[] {
  if (partitionsSchema.safeParse(text).success) return String(text).split(',').map(Number)
  throw new ProblemError(
    'bad-query',
    'Cannot use the query: partitions: expected partition numbers with commas between.',
  )
}
