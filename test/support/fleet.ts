/**
 * Fleet. The shop as several processes on one log, as in production: each can be killed, stopped and started again by name while
 * the others go on. Owns the processes; a process that ends without having been asked to is a crash, and remembered.
 */
import { startShopProcess, type ShopProcess, type ShopProcessOptions } from './shop-process.ts'

export interface FleetOptions extends Omit<ShopProcessOptions, 'roles'> {
  /** The roles of each process; default: a process for each role. */
  readonly processes?: readonly (readonly string[])[]
}

export interface Fleet {
  /** Names of the processes: their roles joined by `+`. */
  readonly names: readonly string[]
  start(name: string): Promise<void>
  startAll(): Promise<void>
  /** SIGKILL; kills a process that is still starting, too. */
  kill(name: string): Promise<void>
  killAll(): Promise<void>
  /** SIGTERM. @throws Error when the exit code is not 0. */
  stop(name: string): Promise<void>
  stopAll(): Promise<void>
  /** The process, while it is up. */
  process(name: string): ShopProcess | undefined
  /** Where the orders role answers; waits while it is down. */
  url(): Promise<string>
  reportUrl(): Promise<string>
  /** Processes that ended on their own, with what they said. */
  readonly crashes: readonly string[]
  /** The end of what each process said, for the message of a failing test. */
  output(): string
}

interface Slot {
  readonly roles: readonly string[]
  up: PromiseWithResolvers<ShopProcess>
  shop: ShopProcess | undefined
  starting: AbortController | undefined
  /** Resolves when a start has ended, well or not. */
  started: Promise<void>
}

export const everyRole = ['orders', 'sauce', 'cheese', 'meats', 'veggies', 'cheese-reporter']

/** Describes the processes; nothing runs before `start`. */
export function createFleet({ processes = everyRole.map((role) => [role]), ...options }: FleetOptions): Fleet {
  const slots = new Map<string, Slot>(processes.map((roles) => [roles.join('+'), createSlot(roles)]))
  const crashes: string[] = []
  const slotOf = (name: string): Slot => {
    const slot = slots.get(name)
    if (slot === undefined) throw new Error(`No process ${name}: there are ${[...slots.keys()].join(', ')}`)
    return slot
  }
  const start = (name: string): Promise<void> => {
    const slot = slotOf(name)
    slot.started = launch(slot, options, (shop, code) =>
      crashes.push(`${name} ended (${code}):\n${shop.output().slice(-4_000)}`),
    )
    return slot.started
  }
  const end = async (name: string, how: (shop: ShopProcess) => Promise<unknown>): Promise<void> => {
    const slot = slotOf(name)
    slot.starting?.abort()
    // A start that was cut short has said so to whoever asked for it.
    await slot.started.catch(() => {})
    const { shop } = slot
    if (shop === undefined) return
    slot.shop = undefined
    slot.up = Promise.withResolvers()
    await how(shop)
  }
  const kill = (name: string): Promise<void> => end(name, (shop) => shop.kill())
  const stop = (name: string): Promise<void> =>
    end(name, async (shop) => {
      const code = await shop.stop()
      if (code !== 0) throw new Error(`${name} was stopped and ended with ${code}:\n${shop.output().slice(-4_000)}`)
    })
  const all = async (work: (name: string) => Promise<void>): Promise<void> => {
    await Promise.all([...slots.keys()].map(work))
  }
  const upWith = async (role: string): Promise<ShopProcess> => {
    const slot = [...slots.values()].find(({ roles }) => roles.length === 0 || roles.includes(role))
    if (slot === undefined) throw new Error(`No process has the role ${role}`)
    return slot.up.promise
  }
  return {
    names: [...slots.keys()],
    start,
    startAll: () => all(start),
    kill,
    killAll: () => all(kill),
    stop,
    stopAll: () => all(stop),
    process: (name) => slotOf(name).shop,
    url: async () => (await upWith('orders')).url!,
    reportUrl: async () => (await upWith('cheese-reporter')).reportUrl!,
    crashes,
    output: () =>
      [...slots].map(([name, { shop }]) => `--- ${name}\n${shop?.output().slice(-4_000) ?? 'down'}`).join('\n'),
  }
}

function createSlot(roles: readonly string[]): Slot {
  return { roles, up: Promise.withResolvers(), shop: undefined, starting: undefined, started: Promise.resolve() }
}

async function launch(
  slot: Slot,
  options: Omit<ShopProcessOptions, 'roles'>,
  crashed: (shop: ShopProcess, code: number | string) => void,
): Promise<void> {
  if (slot.shop !== undefined) throw new Error(`The process of ${slot.roles.join(', ')} is up already`)
  const starting = (slot.starting = new AbortController())
  try {
    const shop = await startShopProcess({ ...options, roles: slot.roles, signal: starting.signal })
    slot.shop = shop
    void shop.exited.then((code) => {
      // Whoever ends a process on purpose takes it out of its slot first.
      if (slot.shop === shop) crashed(shop, code)
    })
    slot.up.resolve(shop)
  } finally {
    slot.starting = undefined
  }
}
