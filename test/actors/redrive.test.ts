import { describe, expect, onTestFinished, test } from 'vitest'
import { createDeadLetterDesk } from '../../src/actors/dead-letter-desk.ts'
import { createDeadLetterList } from '../../src/actors/dead-letter-list.ts'
import { isMark, parseLetter, type DeadLetter } from '../../src/actors/dead-letters.ts'
import { createOrderStore } from '../../src/actors/order-store.ts'
import { planRedrive, redrive, type Planned, type Redriven, type RedriveParts } from '../../src/actors/redrive.ts'
import { createReportStore } from '../../src/actors/report-store.ts'
import type { AppendRecord } from '../../src/log/event-log.ts'
import { deleteBelow } from '../../src/log/memory-log.ts'
import { createFaultyLog } from '../support/faulty-log.ts'
import { openMemoryShop, orderRecord, toppedRecord, until, type MemoryShop } from '../support/memory-shop.ts'

const id = '777'
const topped = (shop: MemoryShop, topping: string, pizza_id: number | undefined, choice = 'some') =>
  toppedRecord(shop.topics, topping, { order_id: id, pizza_id, choice })

function lettersOf(shop: MemoryShop): DeadLetter[] {
  return shop
    .records(shop.topics.deadLetters)
    .map(parseLetter)
    .filter((read): read is DeadLetter => !isMark(read))
}

const marksOf = (shop: MemoryShop) => shop.records(shop.topics.deadLetters).map(parseLetter).filter(isMark)

/** Appends a record and waits for the dead letter it becomes. */
async function refused(shop: MemoryShop, record: AppendRecord): Promise<DeadLetter> {
  const before = lettersOf(shop).length
  await shop.append(record)
  await until(() => lettersOf(shop).length > before)
  return lettersOf(shop)
    .toSorted((a, b) => a.atMs - b.atMs || a.offset - b.offset)
    .at(-1)!
}

/** What the command has: stores beside their owners, held still. */
function open(shop: MemoryShop, { log = shop.log, stores = ['orders'] as string[] } = {}): RedriveParts {
  const orderStore = stores.includes('orders') ? createOrderStore(shop.orderFile, { readOnly: true }) : undefined
  const reportStore = stores.includes('report') ? createReportStore(shop.reportFile, { readOnly: true }) : undefined
  for (const store of [orderStore, reportStore]) {
    store?.hold()
    onTestFinished(() => store?.close())
  }
  const { topics, recipe } = shop
  const desk = createDeadLetterDesk(log, topics.deadLetters)
  return { log, topics, recipe, desk, ...(orderStore && { orderStore }), ...(reportStore && { reportStore }) }
}

const plan = (shop: MemoryShop, letters: readonly DeadLetter[], options = {}): Promise<Planned[]> =>
  planRedrive(open(shop, options), toChosen(letters))

const toChosen = (letters: readonly DeadLetter[]) => letters.map((letter) => ({ id: letter.id, letter }))

async function act(parts: RedriveParts, letters: readonly DeadLetter[]): Promise<Redriven[]> {
  const outcomes: Redriven[] = []
  for await (const one of redrive(parts, await planRedrive(parts, toChosen(letters)))) outcomes.push(one)
  return outcomes
}

/** An order of one pizza whose toppings came before it, and became dead letters. */
async function openLateOrder(toppings = ['sauce', 'cheese', 'meats', 'veggies']) {
  const shop = await openMemoryShop()
  const host = await shop.startHost()
  const letters: DeadLetter[] = []
  for (const topping of toppings) letters.push(await refused(shop, topped(shop, topping, 1)))
  await shop.append(orderRecord(shop.topics, id, 1))
  await until(() => host.host.cache.peek(id) !== undefined)
  await host.host.checkpointer.now()
  return { shop, host, letters }
}

describe('A redriven dead letter', () => {
  test('tops the pizza whose order came late; twice changes nothing (P6)', async () => {
    const { shop, host, letters } = await openLateOrder()
    const outcomes = await act(open(shop), letters)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(Array(4).fill('redriven'))
    await until(() => host.store.load(id)?.status === 'ready')
    const before = shop.storage.topics.get(shop.topics.stages.get('cheese')!.to)!.flatMap(({ records }) => records)
    const again = await act(open(shop), letters)
    expect(again.every(({ outcome, text }) => outcome === 'refused' && text.startsWith('already redriven at'))).toBe(
      true,
    )
    expect(shop.records(shop.topics.stages.get('cheese')!.to)).toHaveLength(before.length)
    expect((await shop.verify()).differences).toEqual([])
  })

  test('is the record as it was, byte for byte, and says where it comes from (P6)', async () => {
    const { shop, letters } = await openLateOrder(['cheese'])
    await act(open(shop), letters)
    const [first, second] = shop.records(shop.topics.stages.get('cheese')!.to)
    expect(second).toMatchObject({ key: first!.key, value: first!.value, partition: first!.partition })
    expect(second!.headers).toEqual({ redriven_from: letters[0]!.id })
  })

  test('is recognised when its record is refused once more (P6)', async () => {
    const shop = await openMemoryShop()
    await shop.startHost()
    const letter = await refused(shop, topped(shop, 'cheese', 1))
    const next = await refused(shop, { ...topped(shop, 'cheese', 1), headers: { redriven_from: letter.id } })
    expect(next.redrivenFrom).toBe(letter.id)
  })

  test('that was appended by a run that died before its mark changes nothing when it is redriven again (P6)', async () => {
    const { shop, host, letters } = await openLateOrder()
    const faulty = createFaultyLog()
    faulty.faults.push('works', 'refused')
    await expect(act(open(shop, { log: faulty.wrap(shop.log) as typeof shop.log }), letters)).rejects.toThrow('refused')
    expect(marksOf(shop)).toEqual([])
    await until(() => host.store.load(id)?.status === 'ready')
    const version = host.store.load(id)!.version
    const again = await act(open(shop), letters)
    expect(again.map(({ text }) => text)).toEqual(
      ['sauce', 'cheese', 'meats', 'veggies'].map(
        (topping) => `pizza 1 of order 777 has its ${topping} already: nothing would change`,
      ),
    )
    expect(host.store.load(id)!.version).toBe(version)
    expect((await shop.verify()).differences).toEqual([])
  })

  test('is appended twice by two who redrive at the same moment, and counts once (P6)', async () => {
    const { shop, host, letters } = await openLateOrder()
    const both = [open(shop), open(shop)]
    const plans = await Promise.all(both.map((parts) => planRedrive(parts, toChosen(letters))))
    // The first has looked for marks, and waits with its append until the other is done.
    const faulty = createFaultyLog()
    const go = faulty.block()
    const slow = drain(redrive({ ...both[0]!, log: faulty.wrap(shop.log) }, plans[0]!))
    await until(() => faulty.tried.length > 0)
    await drain(redrive(both[1]!, plans[1]!))
    go()
    await slow
    await until(() => host.store.load(id)?.status === 'ready')
    expect(shop.records(shop.topics.stages.get('meats')!.to)).toHaveLength(3)
    expect((await shop.verify()).differences).toEqual([])
    const { by_reason } = await createDeadLetterList(shop.log, shop.topics.deadLetters).look()
    expect(by_reason).toEqual([{ reason: 'unknown-order', dead_letters: 4, redriven: 4 }])
  })

  test('is refused when somebody redrove it after the plan was made (P6)', async () => {
    const { shop, letters } = await openLateOrder(['cheese'])
    const both = [open(shop), open(shop)]
    const plans = await Promise.all(both.map((parts) => planRedrive(parts, toChosen(letters))))
    await drain(redrive(both[0]!, plans[0]!))
    const outcomes: Redriven[] = []
    for await (const one of redrive(both[1]!, plans[1]!)) outcomes.push(one)
    expect(outcomes).toMatchObject([{ outcome: 'refused', text: expect.stringContaining('already redriven at') }])
    expect(shop.records(shop.topics.stages.get('cheese')!.to)).toHaveLength(2)
  })

  test('has its mark in its own partition, after it', async () => {
    const { shop, letters } = await openLateOrder()
    await act(open(shop), letters)
    for (const record of shop.records(shop.topics.deadLetters)) {
      const read = parseLetter(record)
      if (!isMark(read)) continue
      expect(read.partition).toBe(record.partition)
      expect(record.offset).toBeGreaterThan(read.offset)
    }
    expect(marksOf(shop)).toHaveLength(4)
  })
})

describe('A redrive is refused', () => {
  test('for what would be a dead letter again (P6)', async () => {
    const shop = await openMemoryShop()
    await shop.startHost()
    await shop.startTopping('sauce')
    const bad = [
      await refused(shop, { topic: shop.topics.pizza, key: id, value: '<xml/>' }),
      await refused(shop, { topic: shop.topics.orders, key: id, value: '{"order_id":"777","count":0}' }),
      await refused(shop, topped(shop, 'meats', 1)),
    ]
    const planned = await plan(shop, bad)
    expect(planned.every(({ isRefused }) => isRefused)).toBe(true)
    const texts = planned.map(({ text }) => text)
    expect(texts[0]).toMatch(/^would be a dead letter again: count: /)
    expect(texts[1]).toMatch(/^would be a dead letter again: The value is not JSON: /)
    expect(texts[2]).toBe('would be a dead letter again: No order 777 was placed')
  })

  test('for an order that is placed, a pizza there is not, and an id there is not (P6)', async () => {
    const shop = await openMemoryShop()
    await shop.startHost()
    await shop.append(orderRecord(shop.topics, id, 1))
    const letter = await refused(shop, topped(shop, 'meats', 2))
    const [planned] = await plan(shop, [letter])
    expect(planned!.text).toBe('would be a dead letter again: Order 777 has pizzas 1 to 1, not 2')
    const [missing] = await planRedrive(open(shop), [{ id: '0-99', letter: undefined }])
    expect(missing).toMatchObject({ isRefused: true, text: 'there is no such dead letter' })
  })

  test('when only the beginning of the record is left; a whole copy will do (P6)', async () => {
    const { shop, host } = await openLateOrder([])
    const stranger = { order_id: '888', pizza_id: 1, cheese: 'some' }
    const long = { ...stranger, note: 'x'.repeat(40_000) }
    const { to: topic } = shop.topics.stages.get('cheese')!
    const whole = await refused(shop, { topic, key: '888', value: JSON.stringify(stranger) })
    const cut = await refused(shop, { topic, key: '888', value: JSON.stringify(long) })
    await shop.append(orderRecord(shop.topics, '888', 1))
    await until(() => host.host.cache.peek('888') !== undefined)
    expect((await plan(shop, [cut])).map(({ isRefused }) => isRefused)).toEqual([false])
    deleteBelow(shop.storage, cut.source!, cut.source!.offset + 1)
    const [ofCut] = await plan(shop, [cut])
    expect(ofCut!.text).toBe('the record is not on the log any more, and the copy here was cut: the rest is gone')
    expect(await act(open(shop), [whole])).toMatchObject([{ outcome: 'redriven' }])
    await host.host.checkpointer.now()
    expect(shop.records(topic).at(-1)).toMatchObject({ value: whole.value, key: whole.key })
  })

  test('when another record stands where its record stood and the copy is cut', async () => {
    const shop = await openMemoryShop()
    const { to: topic } = shop.topics.stages.get('cheese')!
    const source = { topic, partition: '0', offset: '0', appended_at: '2026-11-01T12:00:00.000Z' }
    await shop.append({ topic, key: '0', value: 'another' })
    const headers = { role: 'orders', reason: 'not-json', detail: '', ...source, cut_from_bytes: '40000' }
    await shop.append({ topic: shop.topics.deadLetters, key: '0', value: 'beginning', headers })
    const [planned] = await plan(shop, lettersOf(shop), { stores: [] })
    expect(planned!.text).toMatch(/^the record is not on the log any more/)
  })

  test('for what a foreign program wrote: no source, a topic of nobody', async () => {
    const shop = await openMemoryShop()
    const { deadLetters: topic } = shop.topics
    const headers = { role: 'orders', topic: 'elsewhere', partition: '0', offset: '0' }
    await shop.append({ topic, key: 'a', value: '{}' }, { topic, key: 'a', value: '{}', headers })
    const planned = await plan(shop, lettersOf(shop), { stores: [] })
    expect(planned.map(({ text }) => text)).toEqual([
      'it does not say which record it came from',
      'no role of this shop reads the topic elsewhere',
    ])
  })
})

describe('What a redrive would do', () => {
  test('is told of every reader of the topic (P6)', async () => {
    const { shop, letters } = await openLateOrder(['cheese'])
    await shop.startReporter()
    const [planned] = await plan(shop, letters)
    expect(planned).toMatchObject({ isRefused: false, text: 'pizza 1 of order 777 gets its cheese: some' })
    expect(planned!.effects.map(({ role, outcome }) => [role, outcome])).toEqual([
      ['orders', 'takes'],
      ['meats', 'passes-on'],
      ['cheese-reporter', 'unknown'],
    ])
  })

  test('comes with a word where the record has no key and may go to another partition', async () => {
    const shop = await openMemoryShop()
    const host = await shop.startHost()
    const letter = await refused(shop, { ...topped(shop, 'cheese', 1), key: null })
    await shop.append(orderRecord(shop.topics, id, 1))
    await until(() => host.host.cache.peek(id) !== undefined)
    const [planned] = await plan(shop, [letter])
    expect(planned).toMatchObject({ isRefused: false, note: expect.stringContaining('it has no key') })
  })

  test('counts a pizza in the report no second time, but one without pizza id (P7)', async () => {
    const { shop, letters } = await openLateOrder(['cheese'])
    const reporter = await shop.startReporter()
    const nameless = await refused(
      shop,
      toppedRecord(shop.topics, 'cheese', { order_id: '9', pizza_id: undefined, choice: 'some' }),
    )
    await until(() => (reporter.store.counts().get('some') ?? 0) === 2)
    await shop.append(orderRecord(shop.topics, '9', 1))
    const planned = await plan(shop, [...letters, nameless], { stores: ['report'] })
    const ofReporter = planned.map(({ effects }) => effects.find(({ role }) => role === 'cheese-reporter')!.outcome)
    expect(ofReporter).toEqual(['ignores', 'takes'])
  })

  test('is worth it for a topping service when something comes of what it makes (P6)', async () => {
    const shop = await openMemoryShop()
    const host = await shop.startHost()
    await shop.append(orderRecord(shop.topics, id, 1))
    await until(() => shop.records(shop.topics.pizza).length > 0)
    const [source] = shop.records(shop.topics.pizza)
    // As a service wrote it that could not take what ours can.
    const { topic, partition, offset } = source!
    const headers = {
      role: 'sauce',
      reason: 'record-too-large',
      topic,
      partition: String(partition),
      offset: String(offset),
    }
    await shop.append({ topic: shop.topics.deadLetters, key: id, value: source!.value, headers })
    const [worth] = await plan(shop, lettersOf(shop))
    expect(worth).toMatchObject({
      isRefused: false,
      text: expect.stringMatching(/^sauce makes its record again; pizza 1 .* gets its sauce/),
    })
    await shop.startToppings()
    await until(() => host.store.load(id)?.status === 'ready')
    const [idle] = await plan(shop, lettersOf(shop))
    expect(idle).toMatchObject({
      isRefused: true,
      text: expect.stringContaining('has its sauce already: nothing would change'),
    })
  })

  test('takes what was planned before into account: orders first, and one topping of a pizza once (P6)', async () => {
    const shop = await openMemoryShop()
    await shop.startHost()
    const letters = [
      await refused(shop, topped(shop, 'meats', 1, 'ham')),
      await refused(shop, topped(shop, 'meats', 1, 'bacon')),
    ]
    const { orders: topic, deadLetters } = shop.topics
    const order = orderRecord(shop.topics, id, 1)
    const headers = {
      role: 'orders',
      reason: 'machine-error',
      topic,
      partition: '0',
      offset: '99',
      appended_at: '2026-11-01T12:00:00.000Z',
    }
    await shop.append({ ...order, topic: deadLetters, headers })
    const planned = await plan(shop, [...letters, lettersOf(shop).find(({ reason }) => reason === 'machine-error')!])
    expect(planned.map(({ text }) => text)).toEqual([
      'order 777 is placed, with 1 pizza',
      'pizza 1 of order 777 gets its meats: ham',
      'pizza 1 of order 777 has its meats already: nothing would change',
    ])
  })

  test('is told from the log alone where no state store is, and not told where the log has lost records', async () => {
    const { shop, letters } = await openLateOrder()
    const [sauce, ...rest] = letters
    await act(open(shop), [sauce!])
    const planned = await plan(shop, rest, { stores: [] })
    expect(planned.map(({ isRefused }) => isRefused)).toEqual([false, false, false])
    const late = await refused(
      shop,
      toppedRecord(shop.topics, 'sauce', { order_id: '778', pizza_id: 1, choice: 'some' }),
    )
    const home = shop.log.ends([shop.topics.orders])
    for (const [partition, end] of (await home).get(shop.topics.orders)!.entries()) {
      deleteBelow(shop.storage, { topic: shop.topics.orders, partition }, Math.max(1, end))
    }
    const [unknown] = await plan(shop, [late], { stores: [] })
    expect(unknown).toMatchObject({ isRefused: false, text: expect.stringContaining('is not known here') })
  })
})

async function drain(outcomes: AsyncIterable<unknown>): Promise<void> {
  for await (const _outcome of outcomes) continue
}
