import { describe, expect, it } from 'vitest'
import { assign, emit, setup } from 'xstate'
import { recipe } from '../../src/menu.ts'
import { describeProof, proveCrashes } from '../../src/proof/crashes.ts'
import { toSubject } from '../../src/proof/machine-subject.ts'
import { findShortestPaths, findSimplePaths, findTransitionPaths, toModel } from '../../src/proof/paths.ts'
import { createShopProofs } from '../../src/proof/shop-proofs.ts'

const types = {} as {
  context: { opened: number }
  input: { opened: number }
  events: { type: 'door.opened' } | { type: 'door.closed' }
  emitted: { type: 'told'; times: number }
}

/** A door that counts how often it was opened, up to three times. */
const machine = setup({
  types,
  guards: { mayOpen: ({ context }) => context.opened < 3 },
  actions: { count: assign({ opened: ({ context }) => context.opened + 1 }) },
}).createMachine({
  id: 'door',
  context: ({ input }) => input,
  initial: 'closed',
  states: {
    closed: { on: { 'door.opened': { guard: 'mayOpen', target: 'open', actions: 'count' } } },
    open: {
      entry: emit(({ context }) => ({ type: 'told' as const, times: context.opened })),
      on: { 'door.closed': 'closed' },
    },
  },
})

const input = { opened: 0 }
const events = [{ type: 'door.opened' as const }, { type: 'door.closed' as const }]

describe('A crash proof', () => {
  it('finds no difference in a machine that keeps all it knows in its context', async () => {
    const paths = findSimplePaths(toModel({ machine, input, events }))
    const proof = await proveCrashes(toSubject({ name: 'door', machine, input }), paths)
    expect(proof.differences).toEqual([])
    expect(describeProof(proof)).toBe('door: 7 paths × 1 to 7 crash points = 28 crashes, 0 differences')
  })

  it('finds a machine that forgets in a crash, and names the path, the crash and what differs', async () => {
    const paths = findShortestPaths(toModel({ machine, input, events }))
    const subject = toSubject({ name: 'door', machine, input })
    const forgetful: typeof subject = {
      name: 'forgetful door',
      async start() {
        let walk = await subject.start()
        return {
          send: (event) => walk.send(event),
          observe: () => walk.observe(),
          async crash() {
            walk = await subject.start()
          },
        }
      },
    }
    const { differences } = await proveCrashes(forgetful, paths)
    expect(differences[0]).toMatchObject({ path: '{"type":"door.opened"}', crashAfter: 1, when: 'recovered' })
    expect(differences[0]!.expected).not.toBe(differences[0]!.found)
  })

  it('finds a machine that duplicates change, when everything is read again', async () => {
    const paths = findShortestPaths(toModel({ machine, input, events }))
    const { differences } = await proveCrashes(toSubject({ name: 'door', machine, input, repeat: 'everything' }), paths)
    expect(differences.length).toBeGreaterThan(0)
  })

  it('covers each transition with the paths that are made for it', () => {
    const model = toModel({ machine, input, events })
    const taken = new Set(findTransitionPaths(model).map((path) => `${path.events.length} ${path.events.at(-1)!.type}`))
    expect(findShortestPaths(model)).toHaveLength(7)
    expect(taken.size).toBe(14)
  })
})

describe('Our machines', () => {
  it.each(createShopProofs({ recipe }))('recover at every step: $name (Z1, Z3, D1-D3)', async ({ run }) => {
    const proof = await run()
    expect(proof.paths).toBeGreaterThanOrEqual(65)
    expect(proof.differences).toEqual([])
  })
})
