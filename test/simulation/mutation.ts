/** What a mutation may put between a role and what it stands on (mutations.ts). The program itself stays as it is. */
import type { OrderHost } from '../../src/actors/order-host.ts'
import type { OrderStore } from '../../src/actors/order-store.ts'
import type { ReportStore } from '../../src/actors/report-store.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import type { SimProcess } from './scheduler.ts'

export interface Mutation {
  /** What is wrong with the program it makes. */
  readonly name: string
  readonly log?: (log: EventLog, role: string, process: SimProcess) => EventLog
  readonly orderStore?: (store: OrderStore, process: SimProcess) => OrderStore
  readonly reportStore?: (store: ReportStore, process: SimProcess) => ReportStore
  /** The host as the order service sees it. */
  readonly host?: (host: OrderHost) => OrderHost
}
