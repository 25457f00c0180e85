/**
 * `npm run record-histories`: runs orders of many kinds through a shop on the memory log, and writes down how the machines of this
 * version store them: test/fixtures/histories/version-N.jsonl, which the machines of every later version are tried on (P10).
 * What has been recorded is never changed: orders that the file has are left alone, others are added.
 */
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { printEntries } from '../src/actors/order-envelope.ts'
import { createOrderStore } from '../src/actors/order-store.ts'
import { parseConfig } from '../src/config.ts'
import type { AppendRecord, EventLog } from '../src/log/event-log.ts'
import { createMemoryLog } from '../src/log/memory-log.ts'
import { createLogger } from '../src/logger.ts'
import { machineVersion } from '../src/machines/migrations.ts'
import { choose, recipe } from '../src/menu.ts'
import { printOrder } from '../src/records.ts'
import { startShop } from '../src/shop.ts'
import { createTopics, type Topics } from '../src/topics.ts'

/** A topping that comes for a pizza; without a pizza id as a program writes it that does not know the field. */
interface Topped {
  readonly topping: string
  readonly pizza_id?: number
  /** Default: what the topping's service would choose. */
  readonly choice?: string
  /** Fields that the shop does not know. */
  readonly foreign?: Readonly<Record<string, unknown>>
}

interface Plan {
  readonly name: string
  readonly count: number
  /** What comes, in batches. The last of each batch changes something. */
  readonly batches: readonly (readonly Topped[])[]
  /** Placed by a program that does not write `placed_at`. */
  readonly isForeign?: boolean
}

const names = recipe.map(({ topping }) => topping)
const pizzasOf = (count: number) => Array.from({ length: count }, (_, index) => index + 1)
/** Topping by topping, one batch each. */
const topped = (count: number, toppings: readonly string[]) =>
  toppings.map((topping) => pizzasOf(count).map((pizza_id): Topped => ({ topping, pizza_id })))
const alone = (batches: readonly (readonly Topped[])[]) => batches.flat().map((one) => [one])

const plans: readonly Plan[] = [
  { name: 'one pizza', count: 1, batches: topped(1, names) },
  { name: 'three pizzas, one topping after the other', count: 3, batches: alone(topped(3, names)) },
  { name: 'toppings in the wrong order', count: 2, batches: alone(topped(2, names.toReversed())) },
  { name: 'every topping in one batch', count: 2, batches: [topped(2, names).flat()] },
  {
    name: 'toppings that come again, with other choices',
    count: 2,
    batches: topped(2, names).map((batch) => [
      ...batch.slice(0, 1),
      { ...batch[0]!, choice: 'another' },
      ...batch.slice(1),
    ]),
  },
  { name: 'toppings without pizza id', count: 2, batches: alone(topped(2, names)).map((batch) => batch.map(unnamed)) },
  ...names.map((topping, index) => ({
    name: `waits for ${topping}`,
    count: 2,
    batches: topped(2, names.slice(0, index)),
  })),
  {
    name: 'a pizza in every state, one ready, one that holds what came early',
    count: names.length + 2,
    batches: [
      ...[...names.keys()].map((index) =>
        names.slice(0, index + 1).map((topping): Topped => ({ topping, pizza_id: index + 2 })),
      ),
      [{ topping: names.at(-1)!, pizza_id: names.length + 2 }],
    ],
  },
  { name: 'fifty pizzas', count: 50, batches: topped(50, names) },
  {
    name: 'choices and fields of another program',
    count: 2,
    isForeign: true,
    batches: topped(2, names).map((batch) =>
      batch.map((one) => ({ ...one, choice: `"größte" ${one.topping} 🍕`, foreign: { table: 4, note: ['x', null] } })),
    ),
  },
]

function unnamed({ topping }: Topped): Topped {
  return { topping }
}

const file = join(import.meta.dirname, `../test/fixtures/histories/version-${machineVersion}.jsonl`)
const recorded = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
const known = new Set(recorded.map((line) => (JSON.parse(line) as { name: string }).name))
const missing = plans
  .map((plan, index) => ({ ...plan, order_id: String(1000 + index) }))
  .filter(({ name }) => !known.has(name))
if (missing.length > 0) appendFileSync(file, (await record(missing)).map((line) => `${line}\n`).join(''))
console.log(`${file}: ${known.size} orders were recorded, ${missing.length} are added`)
process.exit()

/** Runs the plans one after the other. @returns a line for each. */
async function record(plans: readonly (Plan & { order_id: string })[]): Promise<string[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'pizza-histories-'))
  let now = Date.UTC(2026, 0, 1)
  const log = createMemoryLog({ now: () => (now += 10), commitMs: 1 })
  const argv = ['orders', '--port', '0', '--data', dataDir, '--partitions', '2', '--checkpoint-ms', '1']
  const parsed = parseConfig({ argv, env: {}, readFile: () => '', version: '' })
  if (parsed.kind !== 'start') throw new Error('Cannot start the shop: its configuration is refused')
  const { config } = parsed
  const logger = await createLogger({ level: 'warn', destination: process.stderr, format: 'json' })
  const topics = createTopics(recipe, config.topics)
  const shop = await startShop(config, { log, logger })
  const views = new Map<string, unknown>()
  for (const plan of plans) {
    await append(log, topics, [toOrderRecord(topics, plan, now)])
    for (const batch of plan.batches) {
      await append(
        log,
        topics,
        batch.map((one) => toToppedRecord(topics, plan, one)),
      )
    }
    views.set(plan.order_id, await (await fetch(`${shop.urls.orders}/order/${plan.order_id}`)).json())
  }
  await shop.stop()
  await log.close()
  const store = createOrderStore(join(dataDir, 'orders.sqlite'), { readOnly: true })
  const lines = plans.map(({ name, order_id }) => {
    const { envelope, ...stored } = store.load(order_id)!
    const journal = printEntries(store.journal(order_id).flatMap(({ entries }) => entries))
    const parts = { envelope: JSON.parse(envelope) as unknown, journal: JSON.parse(journal) as unknown }
    return JSON.stringify({ name, ...stored, ...parts, view: views.get(order_id) })
  })
  store.close()
  rmSync(dataDir, { recursive: true })
  return lines
}

/** Appends and waits until a checkpoint holds what the orders role made of it, so that the next batch comes after it. */
async function append(log: EventLog, topics: Topics, records: readonly AppendRecord[]): Promise<void> {
  await log.append(records)
  const read = [topics.orders, ...topics.toppingOf.keys()]
  const ends = await log.ends(read)
  const isDone = async () => {
    const committed = await log.committed('pizza-actors.orders', read)
    return read.every((topic) =>
      ends.get(topic)!.every((end, partition) => (committed.get(topic)?.get(partition) ?? 0) >= end),
    )
  }
  while (!(await isDone())) await nextTurn()
}

function toOrderRecord(
  { orders }: Topics,
  { order_id, count, isForeign }: Plan & { order_id: string },
  placedAt: number,
) {
  const value = isForeign === true ? JSON.stringify({ order_id, count }) : printOrder({ order_id, count, placedAt })
  return { topic: orders, key: order_id, value }
}

function toToppedRecord({ stages }: Topics, { order_id }: { order_id: string }, one: Topped): AppendRecord {
  const { topping, pizza_id, foreign } = one
  const { menu } = recipe.find((step) => step.topping === topping)!
  const choice = one.choice ?? choose(menu, `${order_id}/${pizza_id ?? ''}/${topping}`)
  const value = JSON.stringify({ order_id, ...(pizza_id && { pizza_id }), [topping]: choice, ...foreign })
  return { topic: stages.get(topping)!.to, key: order_id, value }
}
