import { describe, expect, test } from 'vitest'
import type { Role } from '../src/actors/role.ts'
import type { Listening } from '../src/http/listen.ts'
import { createLocalRoles, type Started } from '../src/local-roles.ts'

/** Roles that note what happens to them, and wait where a test tells them to. */
function createWorld() {
  const noted: string[] = []
  let next: { starting?: Promise<void>; stopping?: Promise<void>; problem?: Error } = {}
  const start = async (name: string): Promise<Started> => {
    const { starting, stopping, problem } = next
    next = {}
    await starting
    if (problem) throw problem
    noted.push(`${name} started`)
    const role = {
      name,
      readiness: () => ({ ready: true, reasons: [] }),
      async stop() {
        await stopping
        noted.push(`${name} stopped`)
      },
    }
    const listening = { url: '', close: async () => void noted.push(`${name} port closed`) }
    return {
      role: role as unknown as Role,
      listening: listening as unknown as Listening,
      close: () => noted.push(`${name} files closed`),
    }
  }
  const roles = createLocalRoles({ roles: ['orders', 'cheese'], start, drainMs: 1_000 })
  const prepare = (how: typeof next) => (next = how)
  const state = () => roles.list().find(({ role }) => role === 'cheese')
  return { roles, noted, prepare, state }
}

describe('The roles of a process', () => {
  test('are stopped and started one by one, and give back what they hold', async () => {
    const { roles, noted, state } = createWorld()
    await roles.startAll()
    expect(roles.list().map(({ state, canStop }) => [state, canStop])).toEqual([
      ['running', false],
      ['running', true],
    ])
    noted.length = 0
    expect(await roles.stop('cheese')).toBe(true)
    expect(noted).toEqual(['cheese stopped', 'cheese port closed', 'cheese files closed'])
    expect(state()).toMatchObject({ state: 'stopped' })
    expect(roles.find('cheese')).toBeUndefined()
    expect(await roles.start('cheese')).toBe(true)
    expect(state()).toMatchObject({ state: 'running' })
    await roles.stopAll()
  })

  test('take a call that does not fit their state for nothing (J1)', async () => {
    const { roles, noted, prepare, state } = createWorld()
    const gate = Promise.withResolvers<void>()
    await roles.startAll()
    await roles.stop('cheese')
    prepare({ starting: gate.promise, stopping: gate.promise })
    const starting = roles.start('cheese')
    expect(state()).toMatchObject({ state: 'starting' })
    expect(await roles.start('cheese')).toBe(false)
    expect(await roles.stop('cheese')).toBe(false)
    expect(await roles.stop('anchovies')).toBe(false)
    gate.resolve()
    expect(await starting).toBe(true)
    expect(await Promise.all([roles.stop('cheese'), roles.stop('cheese')])).toEqual([true, false])
    expect(noted.filter((line) => line === 'cheese stopped')).toHaveLength(2)
    await roles.stopAll()
  })

  test('that cannot start say why, and can be tried again', async () => {
    const { roles, prepare, state } = createWorld()
    await roles.startAll()
    await roles.stop('cheese')
    prepare({ problem: new Error('no disk') })
    await expect(roles.start('cheese')).rejects.toThrow('no disk')
    expect(state()).toMatchObject({ state: 'stopped', reasons: ['no disk'] })
    expect(await roles.start('cheese')).toBe(true)
    expect(state()).toMatchObject({ state: 'running', reasons: [] })
    await roles.stopAll()
  })

  test('that are just starting stop with all the others, and nothing starts after that (J2)', async () => {
    const { roles, noted, prepare } = createWorld()
    await roles.startAll()
    await roles.stop('cheese')
    const gate = Promise.withResolvers<void>()
    prepare({ starting: gate.promise })
    const starting = roles.start('cheese')
    noted.length = 0
    const stopping = roles.stopAll()
    expect(await roles.stop('orders')).toBe(false)
    gate.resolve()
    await Promise.all([starting, stopping])
    expect(noted.toSorted()).toEqual(
      ['orders', 'cheese']
        .flatMap((name) => [`${name} files closed`, `${name} port closed`, `${name} stopped`])
        .concat('cheese started')
        .toSorted(),
    )
    expect(await roles.start('cheese')).toBe(false)
  })

  test('that fail to stop are stopped all the same, and their files are closed', async () => {
    const { roles, noted, prepare, state } = createWorld()
    await roles.startAll()
    await roles.stop('cheese')
    const gate = Promise.withResolvers<void>()
    prepare({ stopping: gate.promise })
    await roles.start('cheese')
    const stopping = roles.stop('cheese')
    gate.reject(new Error('broker away'))
    await expect(stopping).rejects.toThrow('broker away')
    expect(state()).toMatchObject({ state: 'stopped', reasons: ['broker away'] })
    expect(noted.at(-1)).toBe('cheese files closed')
    expect(await roles.start('cheese')).toBe(true)
    await roles.stopAll()
  })
})
