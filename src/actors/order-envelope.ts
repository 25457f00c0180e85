/**
 * Order envelope and journal: how an order is written down. The envelope wraps the actor's persisted snapshot with what the
 * snapshot itself does not say (which machine, which version); the journal lists every event the order took.
 *
 * E1: an envelope is read by the machines that wrote it or newer ones, through their migrations (migrations.ts); anything else is
 *     refused with the order's id (P10). What these machines are given has the shape they write: they check nothing themselves.
 * E2: a journal entry holds enough to take the event again: history, replay and repair are folds over it.
 */
import type { AnyActorRef, Snapshot } from 'xstate'
import { machineVersion, migrations, type MachineVersions, type OldSnapshot } from '../machines/migrations.ts'
import { pizzaKey, type OrderMachineEvent } from '../machines/order.machine.ts'

/** An order's persisted snapshot, as XState's `getPersistedSnapshot` gives it, narrowed to what this shop reads. */
export interface OrderSnapshot {
  readonly value: string
  readonly context: {
    readonly order_id: string
    readonly count: number
    readonly placedAt: number
    readonly readyCount: number
    readonly readyAt: number
  }
  readonly children: Readonly<Record<string, { readonly snapshot: PizzaSnapshot }>>
}

export interface PizzaSnapshot {
  readonly value: string
  readonly context: {
    readonly pizza_id: number
    readonly toppings: Readonly<Record<string, string>>
    readonly toppedAt: number
  }
}

export interface OrderEnvelope {
  /** Version of the envelope itself. */
  readonly schema: 1
  readonly machine: 'order'
  /** Version of the machines that wrote the snapshot. */
  readonly version: number
  readonly order_id: string
  readonly partition: number
  readonly snapshot: OrderSnapshot
}

/** One event an order took: where its record stands, when it was appended (milliseconds since 1970), and what it said. */
export interface JournalEntry {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly at: number
  /** `null` for `order.placed`. */
  readonly pizza: { readonly pizza_id: number; readonly topping: string; readonly choice: string } | null
  /** The order's size; only in `order.placed`. */
  readonly count: number | null
}

/** Takes the actor's persisted snapshot. It aliases live state: print it before the actor takes another event. */
export function toSnapshot(actor: AnyActorRef): OrderSnapshot {
  return actor.getPersistedSnapshot() as unknown as OrderSnapshot
}

/** Prints the envelope of an order as JSON. */
export function printEnvelope(order_id: string, partition: number, snapshot: OrderSnapshot): string {
  const envelope: OrderEnvelope = {
    schema: 1,
    machine: 'order',
    version: machineVersion,
    order_id,
    partition,
    snapshot,
  }
  return JSON.stringify(envelope)
}

/**
 * Reads an envelope and migrates its snapshot to these machines (default: those of this program).
 * @throws Error that names the order when it cannot.
 */
export function parseEnvelope(text: string, order_id: string, machines: MachineVersions = ours): OrderEnvelope {
  const envelope = toCurrent(parseJson(text, order_id), order_id, machines)
  // Other machines may have other shapes; whoever tries them looks at what becomes of them.
  if (machines === ours && !isOurs(envelope, order_id)) {
    const why = 'it has not the shape that this program writes'
    throw new Error(`Cannot read the snapshot of order ${order_id}: ${why}. Only the log can help: ${remedy}`)
  }
  return envelope
}

function toCurrent(envelope: OrderEnvelope, order_id: string, machines: MachineVersions): OrderEnvelope {
  const { schema, machine, version } = envelope
  if (version === machines.machineVersion && schema === 1 && machine === 'order') return envelope
  if (schema !== 1 || machine !== 'order' || !(version <= machines.machineVersion)) {
    throw new Error(
      `Cannot read the snapshot of order ${order_id}: it has schema ${schema}, machine ${machine}, version ${version}; ` +
        `this program reads schema 1, machine order, versions up to ${machines.machineVersion}. Run a newer version, or ${remedy}`,
    )
  }
  return { ...envelope, version: machines.machineVersion, snapshot: migrate(envelope, order_id, machines) }
}

const ours: MachineVersions = { machineVersion, migrations }

function parseJson(text: string, order_id: string): OrderEnvelope {
  try {
    return (JSON.parse(text) ?? {}) as OrderEnvelope
  } catch (error) {
    const why = `it is not JSON: ${(error as Error).message}`
    throw new Error(`Cannot read the snapshot of order ${order_id}: ${why}. Only the log can help: ${remedy}`, {
      cause: error,
    })
  }
}

function isOurs({ order_id: named, snapshot }: OrderEnvelope, order_id: string): boolean {
  const { value, context, children } = (snapshot ?? {}) as Partial<OrderSnapshot>
  if (named !== order_id || typeof value !== 'string' || context?.order_id !== order_id) return false
  const { count, placedAt, readyAt } = context
  if (![count, placedAt, readyAt].every(Number.isSafeInteger)) return false
  for (let pizza_id = 1; pizza_id <= count; pizza_id++) {
    const { value: state, context: pizza } = children?.[pizzaKey(pizza_id)]?.snapshot ?? {}
    if (typeof state !== 'string' || pizza?.pizza_id !== pizza_id || typeof pizza.toppings !== 'object') return false
  }
  return true
}

function migrate({ version, snapshot }: OrderEnvelope, order_id: string, machines: MachineVersions): OrderSnapshot {
  let migrated = snapshot as unknown as OldSnapshot
  for (let from = version; from < machines.machineVersion; from++) {
    const migration = machines.migrations[from]
    try {
      if (migration === undefined) throw new Error('there is no such migration')
      migrated = migration(migrated)
    } catch (error) {
      const why = (error as Error).message
      throw new Error(
        `Cannot migrate the snapshot of order ${order_id} from version ${from} to ${from + 1}: ${why}. Mend the migration, or ${remedy}`,
        { cause: error },
      )
    }
  }
  return migrated as unknown as OrderSnapshot
}

const remedy = 'rebuild the orders from the log (docs/operate.md, Changing the machines).'

/** The snapshot as XState wants it back. */
export function toXStateSnapshot(snapshot: OrderSnapshot): Snapshot<unknown> {
  return snapshot as unknown as Snapshot<unknown>
}

/** The machine's event for a journal entry. */
export function toMachineEvent({ pizza, count, at }: JournalEntry): OrderMachineEvent {
  if (pizza === null) return { type: 'order.placed', count: count ?? 0, at }
  return { type: 'pizza.topped', pizza_id: pizza.pizza_id, toppings: { [pizza.topping]: pizza.choice }, at }
}

type EntryRow = [topic: string, partition: number, offset: number, at: number, ...rest: (string | number)[]]

/** Prints journal entries as a JSON list of rows: coordinates, time, then `count`, or pizza id, topping and choice. */
export function printEntries(entries: readonly JournalEntry[]): string {
  return JSON.stringify(
    entries.map(({ topic, partition, offset, at, pizza, count }): EntryRow => {
      if (pizza === null) return [topic, partition, offset, at, count ?? 0]
      return [topic, partition, offset, at, pizza.pizza_id, pizza.topping, pizza.choice]
    }),
  )
}

/** Reads what `printEntries` printed. @throws Error when it is something else. */
export function parseEntries(text: string): JournalEntry[] {
  return (JSON.parse(text) as EntryRow[]).map(([topic, partition, offset, at, ...rest]) => {
    const coordinates = { topic, partition, offset, at }
    if (typeof topic !== 'string' || ![partition, offset, at, rest[0]].every(Number.isSafeInteger))
      throw new Error('Cannot read a journal entry: it has not the shape that this program writes')
    if (rest.length === 1) return { ...coordinates, pizza: null, count: Number(rest[0]) }
    const [pizza_id, topping, choice] = rest as [number, string, string]
    return { ...coordinates, pizza: { pizza_id, topping, choice }, count: null }
  })
}
