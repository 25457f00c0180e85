/**
 * Local roles: the roles of this process, each started, stopped and started again by itself. Owns their ports and files as well.
 *
 * J1: one thing at a time happens to a role; a call that does not fit its state does nothing.
 * J2: `stopAll` stops what runs and what is still starting, and nothing starts after it.
 */
import type { LocalRole, LocalRoles, Role } from './actors/role.ts'
import type { Listening } from './http/listen.ts'

/** A running role with what it holds. */
export interface Started {
  readonly role: Role
  readonly listening?: Listening
  /** Releases files, after the role has stopped. */
  readonly close?: () => void
}

export interface OwnedRoles extends LocalRoles {
  /** Starts every role. @throws the first problem; those that did start are still there to be stopped. */
  startAll(): Promise<void>
  /** Stops every role within the time given: roles first, then their ports, then their files. Safe to call twice. */
  stopAll(): Promise<void>
  find(role: string): Started | undefined
}

interface Slot {
  state: LocalRole['state']
  started?: Started
  busy: Promise<unknown>
  problem?: string
}

export interface LocalRolesOptions {
  readonly roles: readonly string[]
  readonly start: (role: string) => Promise<Started>
  readonly drainMs: number
}

/** Creates the roles, stopped. */
export function createLocalRoles({ roles, start, drainMs }: LocalRolesOptions): OwnedRoles {
  const slots = new Map<string, Slot>(roles.map((role) => [role, { state: 'stopped', busy: Promise.resolve() }]))
  let stopping: Promise<void> | undefined

  const startOne = async (role: string, slot: Slot): Promise<void> => {
    slot.state = 'starting'
    delete slot.problem
    try {
      slot.started = await start(role)
      slot.state = 'running'
    } catch (error) {
      slot.state = 'stopped'
      slot.problem = toReason(error)
      throw error
    }
  }

  const stopOne = async (slot: Slot, { role, listening, close }: Started): Promise<void> => {
    slot.state = 'stopping'
    try {
      await role.stop(AbortSignal.timeout(drainMs))
    } catch (error) {
      slot.problem = toReason(error)
      throw error
    } finally {
      await listening?.close()
      close?.()
      delete slot.started
      slot.state = 'stopped'
    }
  }

  const stopAll = async (): Promise<void> => {
    await Promise.allSettled([...slots.values()].map(({ busy }) => busy))
    const started = [...slots.values()].flatMap((slot) => (slot.started ? [slot.started] : []))
    const deadline = AbortSignal.timeout(drainMs)
    await Promise.all(started.map(({ role }) => role.stop(deadline)))
    await Promise.all(started.flatMap(({ listening }) => (listening ? [listening.close()] : [])))
    for (const { close } of started) close?.()
  }

  return {
    list: () =>
      [...slots].map(([role, { state, started, problem }]) => ({
        role,
        state,
        reasons: [...(problem === undefined ? [] : [problem]), ...(started?.role.readiness().reasons ?? [])],
        canStop: role !== 'orders',
      })),
    async stop(role) {
      const slot = slots.get(role)
      if (slot?.state !== 'running' || slot.started === undefined || stopping !== undefined) return false
      slot.busy = stopOne(slot, slot.started)
      await slot.busy
      return true
    },
    async start(role) {
      const slot = slots.get(role)
      if (slot?.state !== 'stopped' || stopping !== undefined) return false
      slot.busy = startOne(role, slot)
      await slot.busy
      return true
    },
    find: (role) => slots.get(role)?.started,
    async startAll() {
      const starts = [...slots].map(([role, slot]) => (slot.busy = startOne(role, slot)))
      const failed = (await Promise.allSettled(starts)).find(({ status }) => status === 'rejected')
      if (failed !== undefined) throw (failed as PromiseRejectedResult).reason
    },
    stopAll: () => (stopping ??= stopAll()),
  }
}

function toReason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
