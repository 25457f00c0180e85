/**
 * Check of the topic of snapshots (P9), by what its records say and by the fold of the log; of the program under test only what reads
 * the topic is used.
 *
 * - Within a partition positions never go back, nor does the version of an order.
 * - A topping that the positions pass before its order is held back.
 * - An empty disk that restores from it, as of any checkpoint, says what the log says up to there; as of the last, all of the log.
 */
import { parseEnvelope } from '../../src/actors/order-envelope.ts'
import { createSnapshotTopic } from '../../src/actors/snapshot-topic.ts'
import { verify } from '../../src/actors/verify.ts'
import type { LogRecord } from '../../src/log/event-log.ts'
import { recipe } from '../../src/menu.ts'
import { parseOrder, parseTopped } from '../../src/records.ts'
import type { Logger } from '../../src/logger.ts'
import type { CheckOptions } from './check.ts'
import { createOrderDisk } from './disks.ts'

/** What a partition of the topic says after one of its checkpoints. */
interface Moment {
  /** Of the topic of snapshots, after the checkpoint. */
  readonly end: number
  readonly positions: Readonly<Record<string, number>>
  /** Toppings held back, by topic and offset. */
  readonly held: ReadonlySet<string>
}

export async function checkSnapshots(options: CheckOptions, topic: string): Promise<void> {
  const { storage, topics, witness, random } = options
  const moments: Moment[][] = []
  for (let partition = 0; partition < topics.partitions; partition++) {
    const found = replay(options, storage.topics.get(topic)![partition]!.records)
    for (const moment of found) checkHeld(options, partition, moment)
    moments.push(found)
  }
  const some = moments.map((found) => (found.length === 0 ? 0 : random.pick(found).end))
  await checkRestored(options, topic, some)
  const all = moments.map((found) => found.at(-1)?.end ?? 0)
  const restored = await checkRestored(options, topic, all)
  for (const name of [topics.orders, ...topics.toppingOf.keys()]) {
    for (const [partition, { records }] of storage.topics.get(name)!.entries()) {
      const position = restored.positions().get(name)?.get(partition) ?? 0
      if (position !== records.length)
        witness.blame(`P9: ${topic}/${partition} ends with ${name} at ${position} of ${records.length}`)
    }
  }
}

/** Reads one partition of the topic in order. */
function replay({ witness }: CheckOptions, records: readonly LogRecord[]): Moment[] {
  const moments: Moment[] = []
  const versions = new Map<string, number>()
  const held = new Set<string>()
  let positions: Readonly<Record<string, number>> = {}
  for (const { topic, partition, offset, key, value } of records) {
    const name = String(key)
    const blame = (what: string): void => witness.blame(`P9: ${topic}/${partition}/${offset} ${what}`)
    if (name === ':positions') {
      const next = JSON.parse(String(value)) as Record<string, number>
      for (const [of, position] of Object.entries(positions))
        if ((next[of] ?? 0) < position) blame(`takes ${of} back from ${position} to ${next[of]}`)
      positions = next
      moments.push({ end: offset + 1, positions, held: new Set(held) })
    } else if (name.startsWith(':held:')) {
      const at = name.slice(':held:'.length)
      if (value === null) held.delete(at)
      else held.add(at)
    } else if (!name.includes(':')) {
      const version = countToppings(String(value), name)
      const before = versions.get(name) ?? 0
      if (version < before) blame(`takes order ${name} back from ${before} toppings to ${version}`)
      versions.set(name, version)
    }
  }
  return moments
}

function countToppings(envelope: string, orderId: string): number {
  const pizzas = Object.values(parseEnvelope(envelope, orderId).snapshot.children)
  return pizzas.reduce((sum, { snapshot }) => sum + Object.keys(snapshot.context.toppings).length, 0)
}

/** Every topping that the positions pass has its order below them, is held back, or was refused. */
function checkHeld({ storage, topics, witness }: CheckOptions, partition: number, moment: Moment): void {
  const { end, positions, held } = moment
  const passed = (topic: string): LogRecord[] =>
    storage.topics.get(topic)![partition]!.records.slice(0, positions[topic] ?? 0)
  const known = new Set(passed(topics.orders).map((record) => attempt(() => parseOrder(record.value).order_id)))
  const refused = new Set(
    storage.topics
      .get(topics.deadLetters)!
      .flatMap(({ records }) => records)
      .filter(({ headers }) => headers?.['role'] === 'orders')
      .map(({ headers }) => `${headers?.['topic']}/${headers?.['partition']}/${headers?.['offset']}`),
  )
  for (const [topic, topping] of topics.toppingOf) {
    for (const { offset, value } of passed(topic)) {
      const orderId = attempt(() => parseTopped(value, topping).order_id)
      if (orderId === undefined || known.has(orderId) || refused.has(`${topic}/${partition}/${offset}`)) continue
      if (!held.has(`${topic}:${offset}`))
        witness.blame(`P9: the checkpoint before ${end} of partition ${partition} loses ${topic}/${offset}`)
    }
  }
}

/** Restores an empty disk from the topic up to these ends, and compares it with the log. */
async function checkRestored(
  { cluster, log, topics, witness }: CheckOptions,
  topic: string,
  until: readonly number[],
): Promise<ReturnType<ReturnType<typeof createOrderDisk>['open']>> {
  const store = createOrderDisk().open()
  const ends = async (): Promise<Map<string, number[]>> => new Map([[topic, [...until]]])
  const handover = createSnapshotTopic({
    log: { ...log, claim: log.claim!, ends },
    logger: silent,
    store,
    topic,
    partitions: topics.partitions,
    standbyMs: 0,
    clock: cluster.world.clock,
    onLost() {},
  })
  await handover.prepare()
  const { differences } = await verify({ log, recipe, topics, orderStore: store })
  for (const { where, what } of differences)
    witness.blame(`P9: restored from ${topic} up to ${until.join(', ')}, ${where} ${what}`)
  return store
}

const silent = { info() {}, warn() {}, error() {}, debug() {} } as unknown as Logger

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch {
    return undefined
  }
}
