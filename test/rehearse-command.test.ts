import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { createOrderStore } from '../src/actors/order-store.ts'
import { exitCodes } from '../src/exit-codes.ts'
import { createFolder, run } from './main-process.ts'
import { createStoredOrder } from './support/stored-order.ts'

/** Every test starts processes: how long that takes is the machine's affair. */
vi.setConfig({ testTimeout: 60_000 })

/** A shop's folder with three ready orders and two whose pizzas wait for their meats. */
function createData(): string {
  const data = createFolder()
  const store = createOrderStore(join(data, 'orders.sqlite'))
  const orders = [
    ...[1, 2, 5].map((count) => createStoredOrder({ order_id: `10${count}`, count })),
    ...[1, 3].map((count) => createStoredOrder({ order_id: `20${count}`, count, toppings: 2 })),
  ]
  store.checkpoint({ positions: new Map(), orders, held: [], aged: [] })
  store.close()
  return data
}

type Edits = Readonly<Record<string, readonly [from: string | RegExp, to: string]>>

/** A copy of the machines and the menu, as in a checkout, with edits by file. */
function createCandidate(edits: Edits = {}): string {
  const folder = createFolder()
  const src = join(import.meta.dirname, '../src')
  for (const part of ['machines', 'menu.ts']) cpSync(join(src, part), join(folder, part), { recursive: true })
  for (const [file, [from, to]] of Object.entries(edits)) {
    const path = join(folder, file)
    const text = readFileSync(path, 'utf8')
    const edited = text.replaceAll(typeof from === 'string' ? from : new RegExp(from, 'g'), to)
    expect(edited).not.toBe(text)
    writeFileSync(path, edited)
  }
  return folder
}

async function rehearse(data: string, ...args: string[]) {
  const program = run(['rehearse', '--data', data, ...args])
  const exit = await program.ended
  return { exit, lines: program.out().split('\n').slice(0, -1), err: program.err() }
}

const order = 'machines/order.machine.ts'
const pizza = 'machines/pizza.machine.ts'

describe('rehearse (P10)', () => {
  test.each<[string, Edits, RegExp[]]>([
    [
      'a state that is gone',
      { [pizza]: ['=> topping)', "=> topping).filter((name) => name !== 'meats')"] },
      [
        /^LOST {4}3 ready orders of 1 to 5 pizzas, machine version 1, for example 101$/,
        /^ +replayed: toppings it has shown are gone: meats \(P2\)$/,
        /^REBUILD 2 preparing orders of 1 to 3 pizzas, machine version 1, for example 201$/,
        /^ +restored: its snapshot cannot be read: State 'meats' does not exist on 'pizza'$/,
      ],
    ],
    [
      'another name of a child',
      { [order]: [/`pizza-/, '`pie-'] },
      [
        /^ +restored: it cannot be shown any more: it has no child pie-1 \(P2\)$/,
        /^ +replayed: children pizza-N → pie-N$/,
      ],
    ],
    [
      'another shape of the context',
      { [order]: ['readyCount', 'doneCount'] },
      [
        /^LOST {4}2 preparing orders/,
        /^ +restored: with every topping it stays preparing and is never ready \(P1\)$/,
        /^ +replayed: order context.readyCount is gone$/,
        /^ +replayed: order context.doneCount is added$/,
        /^changed 3 ready orders/,
      ],
    ],
    [
      'an event that is refused',
      {
        [pizza]: [
          "guard: 'bringsMissingTopping' as const",
          'guard: ({ event }) => event.toppings.cheese === undefined',
        ],
      },
      [
        /^LOST/,
        /^ +replayed: pizza.topped \(cheese\) is refused in preparing$/,
        /^ +replayed: order ready → preparing$/,
      ],
    ],
    [
      'a machine that throws',
      { [pizza]: ['Math.max(context.toppedAt, event.at)', 'never'] },
      [/^LOST/, /^ +replayed: the machine throws: never is not defined$/],
    ],
  ])('finds %s and says so in lines of their own', async (_, edits, expected) => {
    const { exit, lines, err } = await rehearse(createData(), '--machine', createCandidate(edits))
    for (const line of expected) expect(lines).toContainEqual(expect.stringMatching(line))
    expect(lines.at(-1)).toMatch(
      /^Tried 5 orders under machines of version 1: .*These machines would lose orders: do not/,
    )
    expect(err).toBe('')
    expect(exit).toBe(exitCodes.failed)
  })

  test('finds nothing under the machines that wrote the orders, here, in a folder, as a file', async () => {
    const data = createData()
    const folder = createCandidate()
    for (const place of [[], ['--machine', folder], ['--machine', join(folder, order)], ['--machine', 'src']]) {
      const { exit, lines } = await rehearse(data, ...place)
      expect(lines).toEqual([
        'same    3 ready orders of 1 to 5 pizzas, machine version 1, for example 101',
        'same    2 preparing orders of 1 to 3 pizzas, machine version 1, for example 201',
        'Tried 5 orders under machines of version 1: 5 same. Nothing changes.',
      ])
      expect(exit).toBe(exitCodes.ok)
    }
  })

  test('takes the migrations and the version that are beside the machines', async () => {
    const folder = createCandidate({
      [order]: ['readyCount', 'doneCount'],
      'machines/migrations.ts': [/machineVersion = 1|= \{\}\n/, '= 2\n'],
    })
    const migration = `({ context: { readyCount: doneCount, ...context }, ...o }) => ({ ...o, context: { ...context, doneCount } })`
    writeFileSync(
      join(folder, 'machines/migrations.ts'),
      `export const machineVersion = 2\nexport const migrations = { 1: ${migration} }\n`,
    )
    const { exit, lines } = await rehearse(createData(), '--machine', folder)
    expect(lines.at(-1)).toBe(
      'Tried 5 orders under machines of version 2: 5 changed. Nothing is lost; see whether what changed is what you want.',
    )
    expect(exit).toBe(exitCodes.ok)
  })

  test('says that an order is rebuilt from its journal', async () => {
    const data = createData()
    const store = createOrderStore(join(data, 'orders.sqlite'))
    const stored = createStoredOrder({ order_id: '301', count: 1 })
    store.checkpoint({ positions: new Map(), orders: [{ ...stored, envelope: 'torn' }], held: [], aged: [] })
    store.close()
    const { exit, lines } = await rehearse(data)
    expect(lines[0]).toBe('REBUILD 1 ready order of 1 pizza, machine version unknown, for example 301')
    expect(lines.at(-1)).toMatch(/5 same, 1 rebuild\. .*each is rebuilt from its journal when it is next needed/)
    expect(exit).toBe(exitCodes.failed)
  })

  test('prints the same for programs with --json', async () => {
    const folder = createCandidate({ [order]: ['readyCount', 'doneCount'] })
    const { exit, lines } = await rehearse(createData(), '--json', '--machine', folder)
    expect(exit).toBe(exitCodes.failed)
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0]!)).toMatchObject({
      machineVersion: 1,
      orders: 5,
      fates: { same: 0, changed: 3, rebuild: 0, lost: 2 },
      groups: [
        { fate: 'lost', status: 'preparing', orders: 2, example: '201', restored: [{ kind: 'stuck' }] },
        { fate: 'changed', status: 'ready', orders: 3, example: '101', restored: [] },
      ],
      ungrouped: 0,
    })
  })

  test('changes nothing, and keeps a candidate from changing anything', async () => {
    const data = createData()
    const before = readFileSync(join(data, 'orders.sqlite'))
    const evil = join(createFolder(), 'evil')
    const folder = createCandidate({
      [pizza]: [
        'function mergeFirstWins',
        `process.getBuiltinModule('fs').writeFileSync('${evil}', '')\nfunction mergeFirstWins`,
      ],
    })
    const { exit, err } = await rehearse(data, '--machine', folder)
    expect(err).toMatch(/^pizza-actors: --machine .*: it wants to touch files or programs, but machines are pure/)
    expect(exit).toBe(exitCodes.usage)
    expect(existsSync(evil)).toBe(false)
    expect((await rehearse(data, '--machine', createCandidate())).exit).toBe(exitCodes.ok)
    expect(readFileSync(join(data, 'orders.sqlite'))).toEqual(before)
  })

  test('needs no log: with a Kafka that is away it tries the orders of this folder', async () => {
    const config = join(createFolder(), 'config.properties')
    writeFileSync(config, 'bootstrap.servers=127.0.0.1:1\n')
    const { exit, lines } = await rehearse(createData(), '--config', config, '--machine', createCandidate())
    expect(lines.at(-1)).toBe('Tried 5 orders under machines of version 1: 5 same. Nothing changes.')
    expect(exit).toBe(exitCodes.ok)
  })

  test('runs beside the shop', async () => {
    const data = createFolder()
    const shop = run(['--port', '0', '--report-port', '0', '--data', data])
    const { orders } = await shop.urls()
    for (const count of [1, 3]) {
      const { order_id } = (await (await fetch(`${orders}/order/${count}`, { method: 'POST' })).json()) as {
        order_id: string
      }
      await fetch(`${orders}/order/${order_id}`, { headers: { prefer: 'wait=10' } })
    }
    // The list is answered from the store: what it shows has been written down.
    await fetch(`${orders}/orders`)
    const { exit, lines } = await rehearse(data)
    expect(lines.at(-1)).toBe('Tried 2 orders under machines of version 1: 2 same. Nothing changes.')
    expect(exit).toBe(exitCodes.ok)
  })
})

describe('A candidate that cannot be tried', () => {
  const expected = 'Expected an order.machine.ts that exports createOrderMachine(recipe), or the folder it is in.'

  test.each<[string, () => string, RegExp]>([
    ['is not there', () => 'nowhere', /: there is no such file or folder\./],
    ['is a folder without one', createFolder, /: there is no order\.machine\.ts in this folder, nor src\/machines\/\./],
    [
      'does not export the function',
      () => createCandidate({ [order]: ['createOrderMachine', 'makeOrderMachine'] }),
      /: it does not export createOrderMachine\(recipe\)\./,
    ],
    ['is not TypeScript', () => createCandidate({ [pizza]: ['import {', 'import {{'] }), /: .*Expected .*\./],
    [
      'throws when it is made',
      () =>
        createCandidate({ [order]: [/^[^]+$/, "export function createOrderMachine() { throw new Error('no oven') }"] }),
      /: createOrderMachine\(recipe\) fails: no oven\./,
    ],
    [
      'makes no machine',
      () => createCandidate({ [order]: [/^[^]+$/, 'export function createOrderMachine() { return {} }'] }),
      /: createOrderMachine\(recipe\) fails: it returns no XState machine\./,
    ],
    [
      'imports what reaches the outside',
      () => createCandidate({ [pizza]: ["from 'xstate'", "from 'xstate'\nimport 'node:fs'"] }),
      /: it imports node:fs, but machines are pure/,
    ],
    [
      'misses a file',
      () => {
        const folder = createCandidate()
        rmSync(join(folder, pizza))
        return folder
      },
      /: Cannot find module '.*pizza\.machine\.ts'/,
    ],
  ])('because it %s is refused with what is expected', async (_, create, why) => {
    const { exit, lines, err } = await rehearse(createData(), '--machine', create())
    expect(err).toMatch(/^pizza-actors: --machine [^\n]*\n$/)
    expect(err).toMatch(why)
    expect(err).toContain(expected)
    expect(lines).toEqual([])
    expect(exit).toBe(exitCodes.usage)
  })

  test('is not looked for where there are no orders', async () => {
    const { exit, err } = await rehearse(createFolder(), '--machine', 'nowhere')
    expect(err).toMatch(
      /^pizza-actors: Nothing to rehearse in .*: it holds no orders\.sqlite\. Name the shop's folder with --data\.\n$/,
    )
    expect(exit).toBe(exitCodes.usage)
  })
})
