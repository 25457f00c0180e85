/** Inject. Does the faults that a plan names. */
import type { Cluster } from './cluster.ts'
import type { Faults } from './faults.ts'
import { isHost, roleOf, type PlannedFault } from './plan.ts'

export interface World {
  readonly cluster: Cluster
  readonly storage: { isAway: boolean }
  readonly faults: Faults
  /** Whether order hosts can share the partitions. */
  readonly hasSnapshots: boolean
  readonly say: (line: string) => void
}

export function injectFault(fault: PlannedFault, world: World): void {
  const { kind, unit, ms } = fault
  const { cluster, storage, faults, say } = world
  faults.note(kind)
  say(`fault: ${kind} (${unit}, ${ms} ms)`)
  const later = (run: () => void): void => void cluster.world.schedule(run, ms)
  if (kind === 'crash') cluster.crash(unit, ms)
  else if (kind === 'stop') cluster.stop(unit, ms)
  else if (kind === 'eviction') cluster.evict(roleOf(unit))
  else if (kind === 'crash before a checkpoint') cluster.armCheckpoint(unit, 'before')
  else if (kind === 'crash after a checkpoint') cluster.armCheckpoint(unit, 'after')
  else if (kind === 'store deleted') {
    const disk = unit === 'cheese-reporter' ? cluster.reportDisk : cluster.orderDisks.get(unit)
    if (disk === undefined) return
    cluster.crash(unit, ms)
    disk.wipe()
  } else if (kind === 'pause') pause(fault, world)
  else if (kind === 'slow') {
    cluster.each(unit, ({ process }) => {
      process.slowDown(30)
      later(() => process.slowDown(1))
    })
  } else if (kind === 'one more member') {
    if (!isHost(unit) && unit !== 'cheese-reporter') cluster.start(unit)
  } else if (kind === 'outage') {
    storage.isAway = true
    later(() => (storage.isAway = false))
  } else if (kind === 'disk full') {
    cluster.fullDisks.add(unit)
    later(() => cluster.fullDisks.delete(unit))
  } else if (world.hasSnapshots) injectIntoHosts(fault, world)
}

function injectIntoHosts(fault: PlannedFault, world: World): void {
  const { kind, unit } = fault
  const { cluster } = world
  if (kind === 'one more host') cluster.join()
  else if (kind === 'host leaves') cluster.leave(unit)
  else {
    // Others take over meanwhile; it wakes up and believes that nothing happened.
    pause(fault, world)
    cluster.each(unit, (instance) => cluster.evict('orders', instance))
  }
}

function pause({ unit, ms }: PlannedFault, { cluster }: World): void {
  cluster.each(unit, ({ process }) => {
    process.pause()
    cluster.world.schedule(() => process.resume(), ms)
  })
}
