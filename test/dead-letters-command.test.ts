/** The command `dead-letters` as users type it, on a running shop. */
import { expect, test, vi } from 'vitest'
import type { DeadLetterRow } from '../src/actors/dead-letter-list.ts'
import type { LetterOrder } from '../src/actors/dead-letter-order.ts'
import type { RecordJson } from '../src/actors/dead-letter-record.ts'
import type { Outcome, PlanJson } from '../src/dead-letters-print.ts'
import type { AppendRecord } from '../src/log/event-log.ts'
import { run } from './main-process.ts'
import { failOnLeftovers } from './support/lifecycle.ts'
import { countRecords } from './support/topics.ts'
import { until } from './support/until.ts'
import { onEachLog, openEmbeddedWorld, type World } from './support/worlds.ts'

/** Real processes, a dozen of them in a row. */
vi.setConfig({ testTimeout: 120_000 })
failOnLeftovers()

interface ListJson {
  readonly total: number
  readonly by_reason: readonly { reason: string; dead_letters: number; redriven: number }[]
  readonly dead_letters: readonly DeadLetterRow[]
}

interface ShownJson {
  readonly dead_letter: DeadLetterRow
  readonly record: RecordJson
  readonly order: LetterOrder | null
  readonly redrive: PlanJson
}

interface RedriveJson {
  readonly is_preview: boolean
  readonly dead_letters: readonly Outcome[]
}

const order = '777'

/** There is room for the record, and none for one more topping. */
const largeBytes = 65_530

/** Runs `dead-letters` with these words. */
async function ask(world: World, words: string) {
  return world.run('dead-letters', words.split(' ').filter(Boolean))
}

/** The same with `--json`, read. */
async function askJson<T>(world: World, words: string): Promise<T & { code: unknown }> {
  const { code, output } = await ask(world, `${words} --json`)
  const json = output.split('\n').find((line) => line.startsWith('{"') && !line.startsWith('{"level"'))
  if (json === undefined) throw new Error(`It printed no JSON: ${output}`)
  return { ...(JSON.parse(json) as T), code }
}

function topped(world: World, topping: string, pizza_id: number): AppendRecord {
  const value = JSON.stringify({ order_id: order, pizza_id, [topping]: 'plain' })
  return { topic: world.topics.stages.get(topping)!.to, key: order, value }
}

/** A record of each kind that nobody can take, one of each reason that records have. */
function badRecords(world: World): AppendRecord[] {
  const { pizza, orders } = world.topics
  const large = JSON.stringify({ order_id: '9', pizza_id: 1, note: '' }).replace(
    '""',
    `"${'x'.repeat(largeBytes - 39)}"`,
  )
  return [
    { topic: pizza, key: 'k', value: '\u001b[31m<xml/>' },
    { topic: pizza, key: '8', value: Buffer.from([0xff, 0x01, 0x1b]) },
    { topic: orders, key: '88', value: '{"order_id":"88","count":0}' },
    { topic: pizza, key: '9', value: large },
    topped(world, 'cheese', 2),
    topped(world, 'cheese', 1),
    topped(world, 'meats', 1),
    topped(world, 'veggies', 1),
  ]
}

/** A shop of two roles with dead letters of every reason; order 777 of one pizza was placed after its toppings. */
async function openShop(world: World) {
  const shop = await world.start({ roles: ['orders', 'sauce'] })
  const log = world.openLog()
  const count = (letters: number) =>
    until(`${letters} dead letters`, async () => (await countRecords(log, world.topics.deadLetters)) === letters)
  await log.append(badRecords(world))
  await count(8)
  await log.append([{ topic: world.topics.orders, key: order, value: JSON.stringify({ order_id: order, count: 1 }) }])
  await until('the order', async () => (await fetch(`${shop.url}/order/${order}`)).ok)
  await log.append([topped(world, 'meats', 2)])
  await count(9)
  return { shop, log }
}

/** Everything is listed once, with the reasons that these records have. */
function expectListed({ code, total, by_reason, dead_letters }: ListJson & { code: unknown }): void {
  expect({ code, total }).toEqual({ code: 0, total: 9 })
  expect(Object.fromEntries(by_reason.map(({ reason, dead_letters }) => [reason, dead_letters]))).toEqual({
    'not-json': 2,
    'invalid-record': 1,
    'record-too-large': 1,
    'unknown-order': 4,
    'unknown-pizza': 1,
  })
  expect(dead_letters[0]).toMatchObject({ reason: 'unknown-pizza', order_id: order, redriven_at: null })
}

/** Looks at the dead letters of pizza 1. @returns their ids. */
async function lookAt(world: World, { dead_letters }: ListJson): Promise<string[]> {
  const ids = dead_letters.filter(({ reason }) => reason === 'unknown-order').map(({ id }) => id)
  const shown = await Promise.all(ids.map((id) => askJson<ShownJson>(world, `show ${id}`)))
  const of = (record: AppendRecord) => shown.find(({ record: { value } }) => value === record.value)!
  const one = of(topped(world, 'cheese', 1))
  expect(one.order).toMatchObject({ was: { state: 'new' }, now: { state: 'preparing', count: 1 }, is_complete: true })
  expect(one.order!.takes).toEqual([{ event: 'pizza.topped', pizza_id: 1, toppings: ['cheese', 'meats', 'veggies'] }])
  expect(one.record).toMatchObject({ state: 'on-the-log', key: order })
  const text = `pizza 1 of order ${order} gets its cheese: plain`
  expect(one.redrive).toMatchObject({ outcome: 'would-be-redriven', text })
  expect(of(topped(world, 'cheese', 2)).redrive).toMatchObject({
    outcome: 'refused',
    text: `would be a dead letter again: Order ${order} has pizzas 1 to 1, not 2`,
  })
  return ['cheese', 'meats', 'veggies'].map((topping) => of(topped(world, topping, 1)).dead_letter.id)
}

await onEachLog((openWorld) => {
  test('Dead letters are listed, shown and redriven beside a running shop, and the order becomes ready (P6)', async () => {
    const world = await openWorld()
    const { shop, log } = await openShop(world)
    const list = await askJson<ListJson>(world, 'list')
    expectListed(list)
    const ids = await lookAt(world, list)
    const words = ids.join(' ')

    const { to: cheese } = world.topics.stages.get('cheese')!
    const before = await countRecords(log, cheese)
    const preview = await ask(world, `redrive ${words}`)
    expect(preview.code).toBe(0)
    expect(preview.output).toContain('3 would be redriven, 0 refused. Nothing was done.')
    expect(await countRecords(log, cheese)).toBe(before)
    const done = await askJson<RedriveJson>(world, `redrive --yes ${words}`)
    expect(done).toMatchObject({ code: 0, is_preview: false })
    expect(done.dead_letters.map(({ outcome }) => outcome)).toEqual(['redriven', 'redriven', 'redriven'])
    const ready = await fetch(`${shop.url}/order/${order}`, { headers: { prefer: 'wait=10' } })
    const pizza = { cheese: 'plain', meats: 'plain', veggies: 'plain' }
    expect(await ready.json()).toMatchObject({ status: 'ready', pizzas: [pizza] })

    const again = await ask(world, `redrive ${words} --yes`)
    expect(again.code).toBe(1)
    expect(again.output.match(/refused: already redriven at /g)).toHaveLength(3)
    const all = await askJson<RedriveJson>(world, 'redrive --all --yes')
    expect(all.code).toBe(1)
    expect(all.dead_letters.map(({ outcome }) => outcome)).toEqual(Array(6).fill('refused'))
    expect(await countRecords(log, cheese)).toBe(before + 1)
    const counts = { reason: 'unknown-order', dead_letters: 4, redriven: 3 }
    expect((await askJson<ListJson>(world, 'list')).by_reason[0]).toEqual(counts)
    expect((await ask(world, `show ${ids[0]}`)).output).toMatch(/now +ready, 1 of 1 pizzas ready/)

    const page = await fetch(`${shop.url}/dead-letters?reason=unknown-order`)
    const rows = ((await page.json()) as { dead_letters: DeadLetterRow[] }).dead_letters
    expect(rows.map(({ redriven_at }) => redriven_at !== null)).toEqual(rows.map(({ id }) => ids.includes(id)))
    await shop.stop()
    expect(await world.verify()).toMatchObject({ code: 0, output: expect.stringContaining('no difference') })
  })
})

test('What dead letters print for people says all there is to know, and nothing that a terminal obeys (P6)', async () => {
  const world = await openEmbeddedWorld()
  const { shop } = await openShop(world)
  const { output } = await ask(world, '')
  const lines = output.trim().split('\n')
  expect(lines).toHaveLength(12)
  expect(lines[0]).toMatch(
    /^\d-\d+ +20\S+Z +orders +unknown-pizza +pizza-with-meats\/\d\/\d+ +order 777: Order 777 has pizzas 1 to 1, not 2$/,
  )
  expect(lines.at(-2)).toBe(
    '9 dead letters: 4 unknown-order, 2 not-json, 1 unknown-pizza, 1 invalid-record, 1 record-too-large.',
  )
  expect(lines.at(-1)).toMatch(/^All about one, and what a redrive would do: npm start -- dead-letters show \d-\d+$/)
  const { dead_letters } = await askJson<ListJson>(world, '--reason not-json')
  const shown = await Promise.all(dead_letters.map(({ id }) => ask(world, `show ${id}`)))
  const text = shown.map((one) => one.output).join('')
  expect(text).toContain('\\u001b[31m<xml/>')
  expect(text).toContain('0000  ff 01 1b')
  expect(text).not.toMatch(/[^\n -~]/)
  const [large] = (await askJson<ListJson>(world, '--reason record-too-large')).dead_letters
  const whole = await askJson<ShownJson>(world, `show ${large!.id}`)
  expect(whole.record).toMatchObject({ state: 'on-the-log', value_bytes: largeBytes, cut_from_bytes: largeBytes })
  expect(whole.record.value).toHaveLength(largeBytes)
  const ofSauce = await ask(world, '--role sauce --limit 1')
  expect(ofSauce.output).toContain('Shown: 1; more with --limit.')
  expect((await ask(world, '--reason machine-error')).output).toMatch(
    /^None of them has the reason machine-error\.\n9 dead/,
  )
  expect(await ask(world, 'show 0-999')).toMatchObject({
    code: 1,
    output: expect.stringContaining('There is no dead letter 0-999.'),
  })
  expect(await ask(world, 'redrive 0-999')).toMatchObject({ code: 1 })
  await shop.stop()
})

test('A list of thousands of dead letters reaches a pipe to its end', async () => {
  const world = await openEmbeddedWorld()
  const shop = await world.start({ roles: ['sauce'] })
  const log = world.openLog()
  const { pizza: topic, deadLetters } = world.topics
  await log.append(Array.from({ length: 5_000 }, (_, n) => ({ topic, key: `${n}`, value: 'x'.repeat(200) })))
  await until('the dead letters', async () => (await countRecords(log, deadLetters)) === 5_000)
  const list = run(['dead-letters', 'list', '--limit', '5000', '--data', world.dataDir])
  expect(await list.ended).toBe(0)
  expect(
    list
      .out()
      .split('\n')
      .filter((line) => line.includes('not-json')),
  ).toHaveLength(5_001)
  await shop.stop()
})

test('Dead letters say that there are none, and where there is no log', async () => {
  const world = await openEmbeddedWorld()
  expect(await ask(world, '')).toMatchObject({ code: 2, output: expect.stringContaining('it holds no log') })
  const shop = await world.start({ roles: ['sauce'] })
  expect(await ask(world, 'list')).toEqual({ code: 0, output: 'No dead letters: every record could be taken.\n' })
  expect(await ask(world, 'redrive --all --yes')).toMatchObject({
    code: 0,
    output: expect.stringMatching(/^Nothing to redrive/),
  })
  await shop.stop()
})
