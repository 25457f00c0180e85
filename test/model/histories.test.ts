/** The orders that earlier versions of the machines wrote down (test/fixtures/histories/README.md), under the machines of today. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseEntries, parseEnvelope, type JournalEntry } from '../../src/actors/order-envelope.ts'
import { createOrderStore, type StoredOrder } from '../../src/actors/order-store.ts'
import { foldJournal, toOrderView } from '../../src/actors/order-view.ts'
import type { OrderView } from '../../src/actors/orders.ts'
import { rehearseOrder, type Rehearsal } from '../../src/actors/rehearse-order.ts'
import type { Candidate } from '../../src/actors/rehearse-walk.ts'
import { toPlain } from '../../src/actors/snapshot-difference.ts'
import { machineVersion } from '../../src/machines/migrations.ts'
import { createOrderMachine } from '../../src/machines/order.machine.ts'
import { recipe } from '../../src/menu.ts'
import { openMemoryShop, toppedRecord } from '../support/memory-shop.ts'
import { createCandidate } from '../support/stored-order.ts'

interface History {
  readonly name: string
  /** The version of the machines that wrote it. */
  readonly version: number
  readonly stored: StoredOrder
  readonly journal: readonly JournalEntry[]
  readonly view: Omit<OrderView, 'version'>
}

const folder = join(import.meta.dirname, '../fixtures/histories')
const fileOf = (version: number) => `version-${version}.jsonl`

function readHistories(file: string): History[] {
  const lines = readFileSync(join(folder, file), 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => {
    const { name, view, envelope, journal, ...stored } = JSON.parse(line) as Omit<StoredOrder, 'envelope'> & {
      name: string
      view: History['view']
      envelope: { version: number }
      journal: unknown
    }
    return {
      name,
      version: envelope.version,
      stored: { ...stored, envelope: JSON.stringify(envelope) },
      journal: parseEntries(JSON.stringify(journal)),
      view,
    }
  })
}

const files = readdirSync(folder).filter((file) => file.endsWith('.jsonl'))
const histories = files.flatMap(readHistories)
const recorded = histories.map((history) => [`"${history.name}" of version ${history.version}`, history] as const)

/** What to do, for whoever changed the machines. */
function explain({ name, version, stored }: History, { fate, restored, replayed }: Rehearsal): string {
  const found = [
    ...restored.map(({ text }) => `  its snapshot, restored: ${text}`),
    ...replayed.map(({ text }) => `  its journal, replayed: ${text}`),
  ]
  const todo =
    version === machineVersion
      ? `Users have such orders. Raise machineVersion to ${machineVersion + 1} in src/machines/migrations.ts, add the migration from ${machineVersion}, ` +
        'then run npm run record-histories (docs/operate.md, "Changing the machines").'
      : `Users have such orders. Mend the migrations from version ${version} in src/machines/migrations.ts.`
  return [`Order ${stored.order_id} ("${name}", written by version ${version}) is ${fate}:`, ...found, todo].join('\n')
}

describe('An order that earlier machines wrote down (P10)', () => {
  it('is there for the machines of today, too', () => {
    const hint = `Run npm run record-histories: there are no orders of version ${machineVersion} yet`
    expect(existsSync(join(folder, fileOf(machineVersion))), hint).toBe(true)
    for (const file of files) for (const { version } of readHistories(file)) expect(file).toBe(fileOf(version))
  })

  it.each(recorded)('%s is read, shown as it was, and goes on to ready', (_, history) => {
    const { stored, journal, version } = history
    const rehearsal = rehearseOrder(createCandidate(), stored, journal)
    expect(rehearsal.fate, explain(history, rehearsal)).not.toMatch(/lost|rebuild/)
    if (version === machineVersion) expect(rehearsal.fate, explain(history, rehearsal)).toBe('same')

    const { version: _version, ...view } = toOrderView(parseEnvelope(stored.envelope, stored.order_id).snapshot, 0)
    const { in_progress, ...kept } = history.view
    expect(view).toMatchObject(kept)
    if (version === machineVersion) expect(view.in_progress).toEqual(in_progress)
  })

  it.each(files)('in %s is taken up by the order host, which makes it ready', async (file) => {
    const shop = await openMemoryShop({ partitions: 2 })
    const store = createOrderStore(shop.orderFile)
    const recorded = readHistories(file)
    const orders = recorded.map(({ stored, journal }) => ({ ...stored, entries: journal }))
    store.checkpoint({ positions: new Map(), orders, held: [], aged: [] })
    store.close()
    const running = await shop.startHost()
    for (const { stored, journal } of recorded) {
      const { order_id, count } = stored
      for (const { topping } of recipe) {
        for (let pizza_id = 1; pizza_id <= count; pizza_id++) {
          if (journal.some(({ pizza }) => pizza?.pizza_id === pizza_id && pizza.topping === topping)) continue
          await shop.append(toppedRecord(shop.topics, topping, { order_id, pizza_id, choice: `some ${topping}` }))
        }
      }
      const { status, pizzas } = (await running.orders.get(order_id, { waitMs: 5_000 }))!
      expect({ order_id, status, pizzas: pizzas.length }).toEqual({ order_id, status: 'ready', pizzas: count })
    }
  })

  it.each(recorded)('%s has a journal that leads to its snapshot', (_, history) => {
    const { stored, journal } = history
    const { snapshot } = parseEnvelope(stored.envelope, stored.order_id)
    const folded = foldJournal(createOrderMachine(recipe), stored.order_id, journal)
    const rehearsal = rehearseOrder(createCandidate(), stored, journal)
    expect(toPlain(folded), explain(history, rehearsal)).toEqual(toPlain(snapshot))
  })

  it('has a pizza in every state, and up to 50 of them, in every version', () => {
    for (const file of files) {
      const orders = readHistories(file)
      const pizzas = orders.flatMap(({ view }) => view.in_progress)
      expect(new Set(pizzas.map(({ state }) => state)).size).toBeGreaterThanOrEqual(recipe.length)
      expect(new Set(orders.map(({ view }) => view.status))).toEqual(new Set(['preparing', 'ready']))
      expect(Math.max(...orders.map(({ view }) => view.pizzas.length))).toBe(50)
    }
  })

  it('is found, whichever it is, by a change of the machines that somebody forgot to migrate', () => {
    const fates = (candidate: Candidate) =>
      histories.map(({ stored, journal }) => rehearseOrder(candidate, stored, journal).fate)
    const renamed = createCandidate({ pizzaKey: (pizza_id) => `pie-${pizza_id}` })
    expect(fates(renamed)).toEqual(histories.map(() => 'lost'))

    const shorter = createCandidate({ machine: createOrderMachine(recipe.slice(0, -1)) })
    const last = recipe.at(-1)!.topping
    const hasLast = histories.map(({ journal }) => journal.some(({ pizza }) => pizza?.topping === last))
    expect(fates(shorter).map((fate) => fate === 'lost')).toEqual(hasLast)
  })
})
