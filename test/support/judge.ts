/**
 * Judge of the topic of snapshots (P9): reads it as it is on the log, and says where an owner that had lost a partition has written.
 * Knows nothing of who wrote what: the records of a partition must tell one story.
 *
 * J1: the positions of a partition never go back from one checkpoint to the next.
 * J2: nor does the version of an order.
 */
import { parseCheckpoints } from '../../src/actors/snapshot-records.ts'
import type { EventLog } from '../../src/log/event-log.ts'

export interface Judgement {
  readonly checkpoints: number
  readonly snapshots: number
  readonly violations: readonly string[]
}

/** Reads every partition of the topic to its end. */
export async function judgeSnapshots(log: EventLog, topic: string): Promise<Judgement> {
  const ends = (await log.ends([topic])).get(topic) ?? []
  const parts = await Promise.all(ends.map((to, partition) => judgePartition(log, { topic, partition, to })))
  return {
    checkpoints: parts.reduce((sum, { checkpoints }) => sum + checkpoints, 0),
    snapshots: parts.reduce((sum, { snapshots }) => sum + snapshots, 0),
    violations: parts.flatMap(({ violations }) => violations),
  }
}

async function judgePartition(
  log: EventLog,
  { topic, partition, to }: { topic: string; partition: number; to: number },
): Promise<Judgement> {
  const violations: string[] = []
  const newest = new Map<string, number>()
  let checkpoints = 0
  let snapshots = 0
  const goOn = (where: string, what: string, value: number): void => {
    const before = newest.get(what) ?? 0
    if (value < before) violations.push(`P9: ${where} takes ${what} back from ${before} to ${value}`)
    newest.set(what, value)
  }
  for await (const page of log.read({ topic, partition }, { from: 0, to })) {
    for (const record of page) {
      const where = `${topic}/${partition}/${record.offset}`
      const { orders, positions, unreadable } = parseCheckpoints(partition, [record])
      for (const { error } of unreadable) violations.push(`P9: ${where} cannot be read: ${String(error)}`)
      for (const { order_id, version } of orders) {
        snapshots++
        goOn(where, `order ${order_id}`, version)
      }
      if (positions.size > 0) checkpoints++
      for (const [read, byPartition] of positions) goOn(where, read, byPartition.get(partition)!)
    }
  }
  return { checkpoints, snapshots, violations }
}
