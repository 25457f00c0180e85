/**
 * Claim. What every claim on one partition keeps to, whatever writes its records; kafka-claim and memory-log write them.
 *
 * O1: one append at a time.
 * O2: the first append that fails ends the claim. What it left behind is the next claim's to settle, so nothing may follow it.
 */
import { LogError, type Claim, type ClaimRecord, type TopicPartition } from './event-log.ts'

/** @param write appends the records in one transaction and gives the position after them. */
export function createClaim(
  { topic, partition }: TopicPartition,
  write: (records: readonly ClaimRecord[]) => Promise<number>,
): Claim {
  const action = `append to ${topic}/${partition}`
  let over: { readonly error: unknown } | undefined
  let isWriting = false
  return {
    topic,
    partition,
    async append(records) {
      if (over) throw over.error
      if (isWriting) throw new TypeError(`Cannot ${action}: the append before it has not settled`)
      isWriting = true
      try {
        return await write(records)
      } catch (error) {
        over = { error }
        throw error
      } finally {
        isWriting = false
      }
    },
    release() {
      over ??= { error: new LogError('closed', `Cannot ${action}: the claim was released. Claim the partition again`) }
    },
  }
}

/** The error of an append whose claim is not the newest any more. */
export function claimedSince({ topic, partition }: TopicPartition): LogError {
  return new LogError('fenced', `Cannot append to ${topic}/${partition}: another claim of it was made since`)
}
