/** Retention: how the configuration's words on old records become what the embedded log must know of this shop to heed them. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { topicsOfRoles } from './actors/lag.ts'
import type { Config } from './config.ts'
import type { RetentionOptions } from './log/sqlite-retention.ts'
import { recipe } from './menu.ts'
import { createTopics } from './topics.ts'

/**
 * What the embedded log may delete. Every role counts as a reader of its topics, whether it has ever run or not; dead letters have none and
 * stay.
 */
export function toRetention({ retention, topics, groupId, dataDir }: Config): RetentionOptions {
  const readers = new Map<string, string[]>()
  for (const [role, read] of topicsOfRoles(createTopics(recipe, topics))) {
    for (const topic of read) readers.set(topic, [...(readers.get(topic) ?? []), `${groupId}.${role}`])
  }
  return {
    ...(retention.hours !== undefined && { ageMsMax: retention.hours * 3_600_000 }),
    ...(retention.mb !== undefined && { bytesMax: retention.mb * 1_048_576 }),
    readers,
    settle: async () => {
      for (const store of ['orders.sqlite', 'report.sqlite']) await syncWal(join(dataDir, `${store}-wal`))
    },
  }
}

/**
 * Brings a state store's last checkpoints to the disk, whichever process wrote them. What is not in the WAL any more is there already:
 * SQLite syncs the store itself before it begins the WAL anew. The store must not be opened here, because closing it again would
 * drop this process's locks on it.
 */
async function syncWal(file: string): Promise<void> {
  try {
    await using wal = await open(file, 'r+')
    await wal.datasync()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
