/**
 * Faults: what the nemesis can do to a shop. Each kind chooses its victim from its own seed, does its harm, and mends it as an
 * operator or a supervisor would.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../support/random.ts'
import { brokerFaults } from './broker-faults.ts'
import { chooseDamage, damage, deleteStore } from './damage.ts'
import { modes, type Mode, type Target } from './target.ts'

/** A fault that has chosen its victim. */
export interface Aim {
  readonly what: string
  /** What it lays hands on: faults that share one wait for each other. */
  readonly touches: readonly string[]
  /** Does the harm. @returns what mends it after its time; where there is nothing to wait for, `isInstant` says so. */
  inject(): Promise<Heal>
  readonly isInstant?: boolean
  /** What only the doing shows, for the list of faults. */
  readonly details?: readonly string[]
}

export type Heal = () => Promise<void>

export interface FaultKind {
  readonly name: string
  readonly modes: readonly Mode[]
  /** How often it comes, beside the others. */
  readonly weight: number
  /** Whether it kills processes of the shop, so that the time to the next finished order is the time of a recovery. */
  readonly isKill?: boolean
  readonly aim: (target: Target, random: Random) => Aim
}

const processFaults: readonly FaultKind[] = [
  {
    name: 'kill',
    modes,
    weight: 6,
    isKill: true,
    aim({ fleet, bringUp }, random) {
      const victim = random.pick(fleet.names)
      // One in four is killed once more while it starts.
      const againAfterMs = random.oneIn(4) ? random.below(700) : undefined
      return {
        what: `kill -9 ${victim}${againAfterMs === undefined ? '' : `, and again ${againAfterMs} ms into its start`}`,
        touches: [victim],
        isInstant: true,
        async inject() {
          await fleet.kill(victim)
          if (againAfterMs !== undefined) {
            const start = fleet.start(victim).catch(() => {})
            await Promise.race([start, sleep(againAfterMs)])
            await fleet.kill(victim)
          }
          return () => bringUp(victim)
        },
      }
    },
  },
  {
    name: 'kill-all',
    modes,
    weight: 2,
    isKill: true,
    aim: ({ fleet, bringUp }) => ({
      what: 'kill -9 of every process',
      touches: fleet.names,
      isInstant: true,
      async inject() {
        await fleet.killAll()
        return async () => {
          await Promise.all(fleet.names.map((name) => bringUp(name)))
        }
      },
    }),
  },
  {
    name: 'away',
    modes,
    weight: 2,
    aim({ fleet, bringUp }, random) {
      const victim = random.pick(fleet.names)
      return {
        what: `kill -9 ${victim}, which stays away`,
        touches: [victim],
        async inject() {
          await fleet.kill(victim)
          return () => bringUp(victim)
        },
      }
    },
  },
  {
    name: 'stop',
    modes,
    weight: 3,
    aim({ fleet, bringUp, shutDown }, random) {
      const victim = random.pick(fleet.names)
      return {
        what: `SIGTERM ${victim}`,
        touches: [victim],
        isInstant: true,
        async inject() {
          await shutDown(victim)
          return () => bringUp(victim)
        },
      }
    },
  },
  {
    name: 'hang',
    modes,
    weight: 4,
    aim({ fleet }, random) {
      const victim = random.pick(fleet.names)
      return {
        what: `SIGSTOP ${victim}`,
        touches: [victim],
        inject() {
          const shop = fleet.process(victim)
          shop?.pause()
          return Promise.resolve(() => Promise.resolve(shop?.resume()))
        },
      }
    },
  },
]

const diskFaults: readonly FaultKind[] = [
  {
    name: 'disk-full',
    modes,
    weight: 3,
    aim({ disk, fleet, excuse }, random) {
      const roomBytes = random.below(65_536)
      return {
        what: `disk full (${disk.means}), room for ${roomBytes} bytes`,
        touches: ['disk'],
        async inject() {
          const excused = excuse('disk full')
          const free = await disk.fill(
            fleet.names.flatMap((name) => fleet.process(name)?.pid ?? []),
            roomBytes,
          )
          return async () => {
            await free()
            excused()
          }
        },
      }
    },
  },
  {
    name: 'store-deleted',
    modes,
    weight: 2,
    isKill: true,
    aim(target, random) {
      const [victim, store] = pickStore(target, random)
      const alone = random.oneIn(3)
      return {
        what: `kill -9 ${victim}, ${store} deleted${alone ? ' without its -wal' : ''}`,
        touches: [victim],
        isInstant: true,
        async inject() {
          await target.fleet.kill(victim)
          await deleteStore(join(target.dataDirOf(victim), store), { alone })
          return () => target.bringUp(victim)
        },
      }
    },
  },
  {
    name: 'store-damaged',
    modes,
    weight: 4,
    aim(target, random) {
      const [victim, store] = pickStore(target, random)
      const how = chooseDamage(random)
      const details: string[] = []
      // One that stops in good order leaves everything in the store's file, one that is killed most of it in the write-ahead log.
      const isKilled = how === 'flip bits of the write-ahead log' || random.oneIn(2)
      return {
        what: `${isKilled ? 'kill -9' : 'SIGTERM'} ${victim}, ${store} damaged: ${how}`,
        details,
        touches: [victim],
        isInstant: true,
        async inject() {
          const file = join(target.dataDirOf(victim), store)
          await (isKilled ? target.fleet.kill(victim) : target.shutDown(victim))
          details.push(await damage(file, how, random))
          const excused = target.excuse('store damaged')
          return async () => {
            let isRefused = false
            // What the program says to do, when it refuses to use the store.
            await target.bringUp(victim, async ({ output }) => {
              if (!output.includes(`${file}: it is damaged`)) return
              isRefused = true
              await deleteStore(file)
            })
            details.push(isRefused ? 'refused' : 'used')
            excused()
          }
        },
      }
    },
  },
]

/** Every kind, of both modes. */
export const faultKinds: readonly FaultKind[] = [...processFaults, ...diskFaults, ...brokerFaults]

/** A process with a state store, and the store's file. */
function pickStore({ fleet }: Target, random: Random): [string, string] {
  const stores = [
    ['orders', 'orders.sqlite'],
    ['cheese-reporter', 'report.sqlite'],
  ] as const
  const choices = fleet.names.flatMap((name) =>
    stores.flatMap(([role, file]): Array<[string, string]> =>
      fleet.rolesOf(name).includes(role) ? [[name, file]] : [],
    ),
  )
  return random.pick(choices)
}
