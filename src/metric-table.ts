/**
 * Metric table: every metric of the shop with its name, type, meaning, labels and where its value comes from. docs/operate.md and
 * the dashboard are compared with it. Names follow prometheus.io/docs/practices/naming.
 *
 * M1: a label has few values, known beforehand: roles, reasons, routes, partitions. No order id, no path as it was asked for.
 * M2: values are read at the scrape from numbers that are there anyway; nothing is computed for a metric while nobody looks.
 */
import type { PartitionLag } from './actors/lag.ts'
import type { RoleStats } from './actors/role.ts'
import type { OrderStats } from './actors/order-stats.ts'
import type { CheckpointStats } from './actors/checkpointer.ts'
import { toPathTemplate } from './http/exchange.ts'
import type { Traffic } from './http/listen.ts'

export interface RunningRole {
  readonly role: string
  readonly isReady: boolean
  readonly stats: RoleStats
}

/** What is known at one scrape. */
export interface Reading {
  readonly version: string
  readonly logKind: string
  readonly roles: readonly RunningRole[]
  /** Of the partitions that the roles of this process own; `undefined` when the log did not say in time. */
  readonly lags: readonly PartitionLag[] | undefined
  /** Of every port of this process. */
  readonly traffic: readonly Traffic[]
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface MetricDefinition {
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly labels: readonly string[]
  readonly read: (reading: Reading) => Sample[]
}

export const metricTable = {
  pizza_build_info: {
    type: 'gauge',
    help: 'Always 1; the labels say which program this is and on which log it runs',
    labels: ['version', 'log'],
    read: ({ version, logKind }) => [{ labels: { version, log: logKind }, value: 1 }],
  },
  pizza_log_up: {
    type: 'gauge',
    help: '1 when the log answered this scrape within 2 s, else 0',
    labels: [],
    read: ({ lags }) => [{ labels: {}, value: lags === undefined ? 0 : 1 }],
  },
  pizza_role_ready: ofRole('gauge', '1 when the role can do its work, else 0; /readyz has the reasons', (role) =>
    Number(role.isReady),
  ),
  pizza_partitions: ofRole('gauge', 'Partition numbers this process owns', ({ stats }) => stats.partitions.length),
  pizza_lag_records: {
    type: 'gauge',
    help: 'Records the role has not taken yet, on the partitions this process owns',
    labels: ['role', 'topic', 'partition'],
    read: ({ lags = [] }) =>
      lags.map(({ role, topic, partition, lag }) => ({
        labels: { role, topic, partition: String(partition) },
        value: lag,
      })),
  },
  pizza_records_taken_total: ofRole('counter', 'Records taken from the log', ({ stats }) => stats.tallies.recordsTaken),
  pizza_dead_letters_total: {
    type: 'counter',
    help: 'Records that became dead letters',
    labels: ['role', 'reason'],
    read: ({ roles }) =>
      roles.flatMap(({ role, stats }) =>
        [...stats.tallies.deadLetters].map(([reason, value]) => ({ labels: { role, reason }, value })),
      ),
  },
  pizza_outbox_records: ofRole('gauge', 'Outputs that are not durable yet', ({ stats }) => stats.outboxRecords),
  pizza_append_failures_total: ofRole(
    'counter',
    'Attempts to append outputs that failed and are tried again',
    ({ stats }) => stats.tallies.appendFailures,
  ),
  pizza_read_failures_total: ofRole(
    'counter',
    'Reads and batches that failed and are tried again',
    ({ stats }) => stats.tallies.readFailures,
  ),
  pizza_rebalances_total: ofRole(
    'counter',
    'Times that partitions came to this process or went',
    ({ stats }) => stats.tallies.rebalances,
  ),
  pizza_fenced_total: ofRole(
    'counter',
    'Times that the log took this process for dead and gave its partitions to others',
    ({ stats }) => stats.tallies.fenced,
  ),
  pizza_recycled_total: ofRole(
    'counter',
    'Times that a consumer was replaced because it did nothing though there was something to do',
    ({ stats }) => stats.tallies.recycled,
  ),
  pizza_restored_bytes_total: ofRole(
    'counter',
    'Size of the snapshot records read to take partitions over from other instances',
    ({ stats }) => stats.handover?.restoredBytes,
  ),
  pizza_followed_bytes_total: ofRole(
    'counter',
    'Size of the snapshot records read to follow partitions of other instances (--standby-ms)',
    ({ stats }) => stats.handover?.followedBytes,
  ),
  pizza_checkpoints_refused_total: ofRole(
    'counter',
    'Checkpoints of a partition that were refused because another instance had taken it over',
    ({ stats }) => stats.handover?.refused,
  ),
  pizza_checkpoints_total: ofCheckpoints('counter', 'Checkpoints written', ({ written }) => written),
  pizza_checkpoint_seconds_total: ofCheckpoints(
    'counter',
    'Time that cutting and writing checkpoints took',
    ({ busyMs }) => busyMs / 1_000,
  ),
  pizza_checkpoint_failures_total: ofCheckpoints(
    'counter',
    'Checkpoints that the disk refused and that are tried again',
    ({ failures }) => failures,
  ),
  pizza_checkpoint_age_seconds: ofCheckpoints(
    'gauge',
    'Age of the oldest change that no checkpoint holds; 0 when all is written',
    ({ ageMs }) => ageMs / 1_000,
  ),
  pizza_checkpoint_snapshots_total: ofOrders('counter', 'Snapshots in these checkpoints', (orders) => orders.snapshots),
  pizza_checkpoint_snapshot_bytes_total: ofOrders(
    'counter',
    'Size of these snapshots',
    (orders) => orders.snapshotBytes,
  ),
  pizza_orders: {
    type: 'gauge',
    help: 'Orders in the state store: preparing or ready',
    labels: ['state'],
    read: ({ roles }) =>
      roles.flatMap(({ stats }) =>
        Object.entries(stats.orders?.byStatus ?? {}).map(([state, value]) => ({ labels: { state }, value })),
      ),
  },
  pizza_orders_aged_total: ofOrders(
    'counter',
    'Ready orders that have left the state store (--ready-orders-hours)',
    (orders) => orders.aged,
  ),
  pizza_live_actors: ofOrders(
    'gauge',
    'Actors in memory, orders and pizzas together (--live-actors-max)',
    (orders) => orders.live,
  ),
  pizza_dirty_orders: ofOrders('gauge', 'Orders that changed since the last checkpoint', (orders) => orders.dirty),
  pizza_hydrations_total: ofOrders('counter', 'Order actors brought back into memory', (orders) => orders.hydrations),
  pizza_passivations_total: ofOrders('counter', 'Order actors put out of memory', (orders) => orders.passivations),
  pizza_held_records: ofOrders(
    'gauge',
    'Toppings that wait for an order nobody has placed yet',
    (orders) => orders.held,
  ),
  pizza_machine_errors_total: ofOrders(
    'counter',
    'Times that an order machine threw and the order was repaired',
    (orders) => orders.repaired,
  ),
  pizza_behind_records: ofOrders(
    'gauge',
    'Records the order host has still to work off; above --behind-records-max it takes no order',
    (orders) => orders.behind,
  ),
  pizza_orders_refused_total: ofOrders('counter', 'Orders refused because of that', (orders) => orders.refused),
  pizza_http_requests_total: {
    type: 'counter',
    help: 'Requests answered; route is none where no route fits, status none where the caller left first',
    labels: ['method', 'route', 'status'],
    read: ({ traffic }) => sum(traffic.flatMap(({ answered }) => [...answered])).map(toRequestSample),
  },
  pizza_http_requests_in_flight: {
    type: 'gauge',
    help: 'Requests being answered, event streams and waits included',
    labels: [],
    read: ({ traffic }) => [{ labels: {}, value: traffic.reduce((all, { inFlight }) => all + inFlight, 0) }],
  },
} as const satisfies Record<string, MetricDefinition>

function ofRole(
  type: MetricDefinition['type'],
  help: string,
  value: (role: RunningRole) => number | undefined,
): MetricDefinition {
  const read = ({ roles }: Reading) =>
    roles.flatMap((role) => {
      const found = value(role)
      return found === undefined ? [] : [{ labels: { role: role.role }, value: found }]
    })
  return { type, help, labels: ['role'], read }
}

function ofCheckpoints(
  type: MetricDefinition['type'],
  help: string,
  value: (checkpoints: CheckpointStats) => number,
): MetricDefinition {
  return ofRole(type, help, ({ stats }) => stats.checkpoints && value(stats.checkpoints))
}

/** Only one role has them, so they need no label. */
function ofOrders(
  type: MetricDefinition['type'],
  help: string,
  value: (orders: OrderStats) => number,
): MetricDefinition {
  const read = ({ roles }: Reading) =>
    roles.flatMap(({ stats }) => (stats.orders === undefined ? [] : [{ labels: {}, value: value(stats.orders) }]))
  return { type, help, labels: [], read }
}

function sum(counts: readonly (readonly [key: string, count: number])[]): [string, number][] {
  const sums = new Map<string, number>()
  for (const [key, count] of counts) sums.set(key, (sums.get(key) ?? 0) + count)
  return [...sums]
}

/** Keys are made by listen.ts. */
function toRequestSample([key, value]: readonly [string, number]): Sample {
  const [method = '', status = '', path = ''] = key.split(' ')
  return { labels: { method, route: toPathTemplate(path), status }, value }
}
