/**
 * Router. How customers of the simulated shop reach the order host that can answer them: the owner of the order's partition. A list is
 * put together from the parts of all hosts. Asks once; whoever gets no answer asks again later.
 */
import type { OrderPage, Orders, OrderSummary } from '../../src/actors/orders.ts'
import { placeKey } from '../../src/log/placement.ts'
import type { Random } from '../support/random.ts'
import type { Cluster, HostInstance } from './cluster.ts'

const requestMs = 1_500

export interface Router {
  /** Asks the host that owns an order. @returns undefined when there is none, or it has not answered in time, refuses, or has died meanwhile. */
  askOwner<T>(orderId: string, question: (shop: Orders) => Promise<T>): Promise<T | undefined>
  /** Asks any host. */
  askAny<T>(question: (shop: Orders) => Promise<T>): Promise<T | undefined>
  list(query: { limit: number; after?: string }): Promise<OrderPage | undefined>
  ownerOf(orderId: string): HostInstance | undefined
}

export function createRouter(cluster: Cluster, partitions: number, random: Random): Router {
  const ask = async <T>(
    { process, shop }: HostInstance,
    question: (shop: Orders) => Promise<T>,
  ): Promise<T | undefined> => {
    const answer = question(shop.orders).catch(() => undefined)
    const tooLate = cluster.world.sleep(requestMs).then(() => undefined)
    const answered = await Promise.race([answer, tooLate])
    return process.isAlive ? answered : undefined
  }
  const ownerOf = (orderId: string): HostInstance | undefined => cluster.owners().get(placeKey(orderId, partitions))

  return {
    ownerOf,
    async askOwner(orderId, question) {
      const owner = ownerOf(orderId)
      return owner && (await ask(owner, question))
    },
    async askAny(question) {
      const hosts = cluster.hosts()
      return hosts.length === 0 ? undefined : ask(random.pick(hosts), question)
    },
    async list({ limit, after }) {
      const owners = cluster.owners()
      if (owners.size < partitions) return undefined
      const parts = await Promise.all(
        [...Map.groupBy(owners, ([, owner]) => owner)].map(([host, owned]) =>
          ask(host, ({ list }) =>
            list({ limit, partitions: owned.map(([partition]) => partition), ...(after !== undefined && { after }) }),
          ),
        ),
      )
      const found = parts.filter((part) => part !== undefined)
      return found.length < parts.length ? undefined : merge(found, limit)
    },
  }
}

function merge(parts: readonly OrderPage[], limit: number): OrderPage {
  const all = parts.flatMap(({ orders }) => orders).toSorted(compareAge)
  const orders = all.slice(0, limit)
  const last = orders.at(-1)
  const hasMore = all.length > limit || parts.some(({ next }) => next !== null)
  return { orders, next: hasMore && last !== undefined ? `${Date.parse(last.placed_at)}-${last.id}` : null }
}

/** Newest first. */
function compareAge(a: OrderSummary, b: OrderSummary): number {
  return Date.parse(b.placed_at) - Date.parse(a.placed_at) || (a.id < b.id ? 1 : -1)
}
