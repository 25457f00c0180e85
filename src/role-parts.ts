/** What every role is started with, and how a role gets its port. */
import { hostname } from 'node:os'
import type { Role } from './actors/role.ts'
import type { Config } from './config.ts'
import { createDoor, type Door } from './http/door.ts'
import { listen, type Listening } from './http/listen.ts'
import type { Scrape } from './http/metrics.ts'
import type { OwnedRoles, Started } from './local-roles.ts'
import type { EventLog } from './log/event-log.ts'
import type { Logger } from './logger.ts'
import type { Recipe } from './menu.ts'
import type { Topics } from './topics.ts'

export interface Parts {
  readonly config: Config
  readonly log: EventLog
  readonly logger: Logger
  readonly recipe: Recipe
  readonly topics: Topics
  readonly roles: OwnedRoles
  readonly scrape: Scrape
}

/** What a role is once it runs: what its door opens to, and what has to be released after it. */
export interface BehindDoor {
  readonly role: Role
  readonly app: Parameters<Door['open']>[0]
  readonly upgrade?: Parameters<Door['open']>[1]
}

export interface DoorOptions {
  readonly port: number
  readonly portFlag: string
  /** Releases files, also when the role cannot start. */
  readonly close: () => void
}

/**
 * Starts a role that has a port: first the port, because other instances are told where this one can be reached when it joins them.
 * A role whose port cannot be had does not start.
 */
export async function startBehindDoor(
  { config }: Parts,
  { port, portFlag, close }: DoorOptions,
  start: (address: string) => Promise<BehindDoor>,
): Promise<Started> {
  const { drainMs, http } = config
  const door = createDoor()
  let listening: Listening | undefined
  try {
    listening = await listen(door.app, { host: http.host, port, portFlag, drainMs, upgrade: door.upgrade })
    const { role, app, upgrade } = await start(toAddress(http, listening.url))
    door.open(app, upgrade)
    return { role, listening, close }
  } catch (error) {
    await listening?.close()
    close()
    throw error
  }
}

/** Where other instances reach this one. A server that listens on every network says by which name. */
function toAddress({ host, advertisedHost }: Config['http'], listensAt: string): string {
  const isEverywhere = /^(?:0\.0\.0\.0|::)$/.test(host)
  const name = advertisedHost ?? (isEverywhere ? hostname() : undefined)
  if (name === undefined) return listensAt
  return `http://${name.includes(':') ? `[${name}]` : name}:${new URL(listensAt).port}`
}
