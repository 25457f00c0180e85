/**
 * Watcher. Follows the feed of all orders, and when its shop dies resumes at the next one after the last event it was told. Of each
 * order it must be told every event once, in order, whatever crashes meanwhile (feed.ts, F1).
 */
import type { OrderEvent } from '../../src/actors/orders.ts'
import type { Witness } from '../support/witness.ts'
import type { Cluster, Instance } from './cluster.ts'

const lookEveryMs = 25

/** Watches until the end of the simulation. @returns how many events it was told. */
export function startWatcher(cluster: Cluster, witness: Witness): { readonly told: number } {
  let told = 0
  let last: string | undefined
  /** By order: the version told last, and whether its end was told. */
  const seen = new Map<string, { version: number; isReady: boolean }>()

  const take = ({ id, type, order_id, data }: OrderEvent): void => {
    told++
    // Another store: its story begins anew.
    if (epochOf(id) !== epochOf(last)) seen.clear()
    last = id
    const version = Number(data['version'])
    const known = seen.get(order_id)
    seen.set(order_id, { version, isReady: type === 'order.ready' })
    if (known === undefined) return
    const expected = type === 'order.ready' ? known.version : known.version + 1
    if (version !== expected || known.isReady) {
      const where = known.isReady ? 'its end' : `version ${known.version}`
      witness.blame(`F1: the feed tells ${type} ${version} of order ${order_id} after ${where} (${id})`)
    }
  }

  const follow = async ({ process, orders }: Instance): Promise<void> => {
    const leaving = new AbortController()
    const events = orders!.watch({ ...(last !== undefined && { after: last }) }, leaving.signal)[Symbol.asyncIterator]()
    let next = events.next()
    while (process.isAlive) {
      const found = await Promise.race([next, cluster.world.sleep(lookEveryMs)])
      if (found === undefined) continue
      if (!process.isAlive || found.done === true) break
      take(found.value)
      next = events.next()
    }
    leaving.abort()
  }

  const watch = async (): Promise<void> => {
    for (;;) {
      const instance = cluster.orders()
      if (instance?.orders === undefined) await cluster.world.sleep(lookEveryMs)
      else await follow(instance)
    }
  }
  watch().catch((error: unknown) => witness.blame(`F1: the feed fell over: ${String(error)}`))
  return {
    get told() {
      return told
    },
  }
}

function epochOf(id: string | undefined): string | undefined {
  return id?.split('.')[0]
}
