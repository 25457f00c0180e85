/** Lag: how far each role is behind on each partition it reads, as the log tells it: where topics end, and what groups committed. */
import type { EventLog } from '../log/event-log.ts'
import type { Topics } from '../topics.ts'

export interface PartitionLag {
  readonly role: string
  readonly topic: string
  readonly partition: number
  /** The next offset the role takes: what its group committed, or else where the partition starts. */
  readonly position: number
  /** Records it has not taken yet. */
  readonly lag: number
}

/** The topics each role reads. */
export function topicsOfRoles(topics: Topics): Map<string, readonly string[]> {
  const reads = new Map<string, readonly string[]>([['orders', [topics.orders, ...topics.toppingOf.keys()]]])
  for (const [topping, { from }] of topics.stages) reads.set(topping, [from])
  const cheese = topics.stages.get('cheese')
  if (cheese) reads.set('cheese-reporter', [cheese.to])
  return reads
}

/** Reads the lag of every role, or of those named. Groups are called `${groupId}.${role}`. @throws LogError */
export async function readLags(
  log: EventLog,
  topics: Topics,
  groupId: string,
  roles?: readonly string[],
): Promise<PartitionLag[]> {
  const reads = [...topicsOfRoles(topics)].filter(([role]) => roles?.includes(role) ?? true)
  const names = [...new Set(reads.flatMap(([, read]) => read))]
  const [starts, ends, ...committed] = await Promise.all([
    log.starts(names),
    log.ends(names),
    ...reads.map(([role, read]) => log.committed(`${groupId}.${role}`, read)),
  ])
  return reads.flatMap(([role, read], index) =>
    read.flatMap((topic) =>
      (ends.get(topic) ?? []).map((end, partition) => {
        const position = committed[index]?.get(topic)?.get(partition) ?? starts.get(topic)?.[partition] ?? 0
        return { role, topic, partition, position, lag: Math.max(0, end - position) }
      }),
    ),
  )
}
