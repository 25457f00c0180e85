/** One record of the log, by its coordinates. */
import { LogError, type Coordinates, type EventLog, type LogRecord } from '../log/event-log.ts'

/** Reads the record at these coordinates. @returns `undefined` when the log has deleted it. @throws LogError */
export async function readRecord(
  log: Pick<EventLog, 'read'>,
  { topic, partition, offset }: Coordinates,
): Promise<LogRecord | undefined> {
  for await (const records of log.read({ topic, partition }, { from: offset, to: offset + 1 })) {
    const found = records.find((record) => record.offset === offset)
    if (found !== undefined) return found
  }
  return undefined
}

/** The same where the topic, too, may have been deleted. @throws LogError */
export async function findRecord(log: Pick<EventLog, 'read'>, at: Coordinates): Promise<LogRecord | undefined> {
  try {
    return await readRecord(log, at)
  } catch (error) {
    if (error instanceof LogError && error.code === 'unknown-topic') return undefined
    throw error
  }
}
