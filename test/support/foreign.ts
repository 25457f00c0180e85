/**
 * Foreign programs: what other people's programs, in any language, do on the topics. They know the log and plain JSON, and nothing of
 * this project's records.
 */
import { onTestFinished } from 'vitest'
import type { Coordinates, EventLog } from '../../src/log/event-log.ts'
import type { World } from './worlds.ts'

/** Appends one value as a foreign producer would. `null` is a tombstone. */
export async function append(
  log: EventLog,
  topic: string,
  key: string | null,
  value: string | null,
): Promise<Coordinates> {
  const [at] = await log.append([{ topic, key, value }])
  return at!
}

/**
 * Runs a topping service that is not ours: `serve` turns each value into the values it writes. Stopped when the test ends.
 * With another `name` it begins at the first record again, as one that lost its position does.
 */
export async function startForeignTopping(
  world: World,
  log: EventLog,
  { topping, name, serve }: { topping: string; name: string; serve: (value: string) => string[] },
): Promise<void> {
  const { from, to } = world.topics.stages.get(topping)!
  const consumer = await log.consume({
    groupId: `${world.groupId}-${name}`,
    topics: [from],
    startFrom: 'earliest',
    positions: 'group',
    async onBatch(records) {
      const outputs = records.flatMap((record) =>
        serve(record.value!.toString()).map((value) => ({ topic: to, key: record.key, value })),
      )
      if (outputs.length > 0) await log.append(outputs)
    },
  })
  onTestFinished(() => consumer.stop())
}
