/** What stands on a topic, read past every group. */
import type { EventLog, LogRecord } from '../../src/log/event-log.ts'

/** Reads everything a topic holds, partition by partition. */
export async function readTopic(log: EventLog, topic: string): Promise<LogRecord[]> {
  const ends = (await log.ends([topic])).get(topic)!
  const records: LogRecord[] = []
  for (const [partition, to] of ends.entries()) {
    for await (const page of log.read({ topic, partition }, { from: 0, to })) records.push(...page)
  }
  return records
}

/** How many records a topic holds. */
export async function countRecords(log: EventLog, topic: string): Promise<number> {
  return (await log.ends([topic])).get(topic)!.reduce((sum, end) => sum + end, 0)
}
