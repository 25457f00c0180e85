/**
 * Watchers. Follow the feeds, and when their host dies resume after the last event they were told. A host's feed tells of each order
 * every event once, in order, whatever crashes meanwhile; what another host wrote is told there. The feed of one order tells every event
 * of it, whoever owns it when (feed.ts, F1).
 */
import type { OrderEvent } from '../../src/actors/orders.ts'
import type { Witness } from '../support/witness.ts'
import type { Cluster, HostInstance } from './cluster.ts'
import type { Unit } from './plan.ts'
import type { Router } from './router.ts'
import type { SimProcess } from './scheduler.ts'

const lookEveryMs = 25

/** Watches the feed of every host until the end of the simulation. @returns how many events were told. */
export function startWatcher(cluster: Cluster, witness: Witness, hasSnapshots: boolean): { readonly told: number } {
  let told = 0

  const watch = async (unit: Unit): Promise<void> => {
    const judge = createJudge(witness, hasSnapshots)
    for (;;) {
      const host = cluster.hosts().find((one) => one.unit === unit)
      if (host === undefined) await cluster.world.sleep(lookEveryMs)
      else {
        const { last } = judge
        const query = last === undefined ? {} : { after: last }
        const take = (event: OrderEvent): void => {
          told++
          judge.take(event)
        }
        await follow(host, { world: cluster.world, query, isWanted: () => true, take })
      }
    }
  }

  const watched = new Set<Unit>()
  const watchNewHosts = async (): Promise<void> => {
    for (;;) {
      for (const unit of cluster.orderDisks.keys()) {
        if (watched.has(unit)) continue
        watched.add(unit)
        watch(unit).catch((error: unknown) => witness.blame(`F1: the feed of ${unit} fell over: ${String(error)}`))
      }
      await cluster.world.sleep(lookEveryMs)
    }
  }
  void watchNewHosts()
  return {
    get told() {
      return told
    },
  }
}

/** Judges what one host's feed tells. */
function createJudge(witness: Witness, hasSnapshots: boolean) {
  let last: string | undefined
  /** By order: the version told last, and whether its end was told. */
  const seen = new Map<string, { version: number; isReady: boolean }>()
  return {
    /** The id to resume after. */
    get last() {
      return last
    },
    take({ id, type, order_id, data }: OrderEvent): void {
      // Another store: its story begins anew.
      if (epochOf(id) !== epochOf(last)) seen.clear()
      last = id
      const version = Number(data['version'])
      const known = seen.get(order_id)
      seen.set(order_id, { version, isReady: type === 'order.ready' })
      if (known === undefined) return
      const next = known.version + 1
      const isNext = type === 'order.ready' ? version === known.version : version === next
      // Between two events of this host another one may have owned the order.
      if (!known.isReady && (isNext || (hasSnapshots && version >= next))) return
      const where = known.isReady ? 'its end' : `version ${known.version}`
      witness.blame(`F1: the feed tells ${type} ${version} of order ${order_id} after ${where} (${id})`)
    },
  }
}

/**
 * Follows one order through all its owners until it is told that the order is ready, as a browser does: looks for the order, then
 * listens until the stream ends, and begins again after the last event it was told.
 */
export async function followOrder(
  orderId: string,
  { world, router, witness }: { world: SimProcess; router: Router; witness: Witness },
): Promise<void> {
  let version = 0
  let isReady = false
  const take = ({ type, data }: OrderEvent): void => {
    const told = Number(data['version'])
    isReady = type === 'order.ready'
    if (told !== (isReady ? version : version + 1))
      witness.blame(`F1: the feed of order ${orderId} tells ${type} ${told} after version ${version}`)
    version = told
  }
  while (!isReady) {
    const owner = router.ownerOf(orderId)
    const found = await router.askOwner(orderId, (shop) => shop.get(orderId))
    const query = { orderId, ...(version > 0 && { after: `v${version}` }) }
    if (owner !== undefined && found !== undefined)
      await follow(owner, { world, query, take, isWanted: () => !isReady })
    await world.sleep(lookEveryMs)
  }
}

interface Reader {
  readonly world: SimProcess
  readonly query: { orderId?: string; after?: string }
  readonly isWanted: () => boolean
  readonly take: (event: OrderEvent) => void
}

/** Takes what a host's feed tells until the host dies, the feed ends, or nobody wants more. */
async function follow({ process, shop }: HostInstance, { world, query, isWanted, take }: Reader): Promise<void> {
  const leaving = new AbortController()
  const events = shop.orders.watch(query, leaving.signal)[Symbol.asyncIterator]()
  let next = events.next()
  while (process.isAlive && isWanted()) {
    const found = await Promise.race([next, world.sleep(lookEveryMs)])
    if (found === undefined) continue
    if (!process.isAlive || found.done === true) break
    take(found.value)
    next = events.next()
  }
  leaving.abort()
}

function epochOf(id: string | undefined): string | undefined {
  return id?.split('.')[0]
}
