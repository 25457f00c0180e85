/**
 * Fleet. The shop as several processes on one log, as in production: each can be killed, stopped and started again by name while
 * the others go on. Owns the processes; a process that ends without having been asked to is a crash, and remembered.
 */
import { startShopProcess, type ShopProcess, type ShopProcessOptions } from './shop-process.ts'

export interface FleetProcess {
  /** None for every role. */
  readonly roles: readonly string[]
  /** Default: the roles joined by `+`. Must differ when several processes have the same roles. */
  readonly name?: string
  /** Default: the fleet's. Processes with state of the same role need folders of their own. */
  readonly dataDir?: string
}

export interface FleetOptions extends Omit<ShopProcessOptions, 'roles'> {
  /** Default: a process for each role. */
  readonly processes?: readonly FleetProcess[]
}

export interface Fleet {
  readonly names: readonly string[]
  /** The roles of a process. */
  rolesOf(name: string): readonly string[]
  start(name: string): Promise<void>
  startAll(): Promise<void>
  /** SIGKILL; kills a process that is still starting, too. */
  kill(name: string): Promise<void>
  killAll(): Promise<void>
  /** SIGTERM. @throws Error when `isGood` says that the exit code is none (default: all but 0). */
  stop(name: string, isGood?: (exit: number | NodeJS.Signals) => boolean): Promise<void>
  stopAll(): Promise<void>
  /** The process, while it is up. */
  process(name: string): ShopProcess | undefined
  /** Where the orders role answers: each of its processes in turn. Waits while all of them are down. */
  url(): Promise<string>
  reportUrl(): Promise<string>
  /** Processes that ended on their own, with what they said. */
  readonly crashes: readonly string[]
  /** The end of what each process said, for the message of a failing test. */
  output(): string
}

interface Slot {
  readonly roles: readonly string[]
  readonly dataDir: string
  up: PromiseWithResolvers<ShopProcess>
  shop: ShopProcess | undefined
  starting: AbortController | undefined
  /** Resolves when a start has ended, well or not. */
  started: Promise<void>
}

export const everyRole = ['orders', 'sauce', 'cheese', 'meats', 'veggies', 'cheese-reporter']

/** Describes the processes; nothing runs before `start`. */
export function createFleet(options: FleetOptions): Fleet {
  const { processes = everyRole.map((role) => ({ roles: [role] })) } = options
  const slots = new Map(
    processes.map(({ roles, name = roles.join('+'), dataDir = options.dataDir }: FleetProcess) => [
      name,
      createSlot(roles, dataDir),
    ]),
  )
  if (slots.size < processes.length) throw new Error('Two processes of a fleet have the same name')
  let turn = 0
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
  const stop: Fleet['stop'] = (name, isGood = (exit) => exit === 0) =>
    end(name, async (shop) => {
      const code = await shop.stop()
      if (!isGood(code)) throw new Error(`${name} was stopped and ended with ${code}:\n${shop.output().slice(-4_000)}`)
    })
  const all = async (work: (name: string) => Promise<void>): Promise<void> => {
    await Promise.all([...slots.keys()].map(work))
  }
  const upWith = async (role: string): Promise<ShopProcess> => {
    const having = [...slots.values()].filter(({ roles }) => roles.length === 0 || roles.includes(role))
    if (having.length === 0) throw new Error(`No process has the role ${role}`)
    const up = having.flatMap(({ shop }) => shop ?? [])
    return up[turn++ % up.length] ?? Promise.race(having.map(({ up: { promise } }) => promise))
  }
  return {
    names: [...slots.keys()],
    rolesOf: (name) => (slotOf(name).roles.length === 0 ? everyRole : slotOf(name).roles),
    start,
    startAll: () => all(start),
    kill,
    killAll: () => all(kill),
    stop,
    stopAll: () => all((name) => stop(name)),
    process: (name) => slotOf(name).shop,
    url: async () => (await upWith('orders')).url!,
    reportUrl: async () => (await upWith('cheese-reporter')).reportUrl!,
    crashes,
    output: () =>
      [...slots].map(([name, { shop }]) => `--- ${name}\n${shop?.output().slice(-4_000) ?? 'down'}`).join('\n'),
  }
}

function createSlot(roles: readonly string[], dataDir: string): Slot {
  return {
    roles,
    dataDir,
    up: Promise.withResolvers(),
    shop: undefined,
    starting: undefined,
    started: Promise.resolve(),
  }
}

async function launch(
  slot: Slot,
  options: ShopProcessOptions,
  crashed: (shop: ShopProcess, code: number | string) => void,
): Promise<void> {
  if (slot.shop !== undefined) throw new Error(`The process of ${slot.roles.join(', ')} is up already`)
  const starting = (slot.starting = new AbortController())
  try {
    const shop = await startShopProcess({
      ...options,
      roles: slot.roles,
      dataDir: slot.dataDir,
      signal: starting.signal,
    })
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
