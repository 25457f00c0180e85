/**
 * The log port. Everything durable that roles say to each other passes through this interface; sqlite-log, kafka-log and
 * memory-log implement it, and test/contract/ holds one suite that all three pass.
 *
 * L1: `append` resolves only when every record is as durable as was asked for; records of one key keep the order of the calls.
 * L2: a batch is delivered again until its handler has resolved; a position never passes a record whose handler has not.
 * L3: within one partition records come in offset order, and to one member of a group at a time.
 * L4: a record's partition is murmur2(key) modulo the partition count, as the Java clients place it (placement.ts).
 * L5: a partition that is written through claims holds whole appends of its newest claim after those of older ones, never mixed.
 * L6: a consumer's positions come to the end of every partition it reads (`ends`), whatever stands there: `onBatch` and `onPassed`
 *     together tell of every offset.
 */

/** Where a record stands in the log. Offsets start at 0 in each partition. */
export interface Coordinates {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** One record as the log stores it. Key and value are the exact bytes that were appended; `null` value is a tombstone. */
export interface LogRecord extends Coordinates {
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** When the record was appended, in milliseconds since 1970. */
  readonly timestampMs: number
  /** Absent when the record has none: the hot path writes no headers. */
  readonly headers?: Readonly<Record<string, string>>
}

/** A record to append. Records without a key go to a partition of the log's choosing. */
export interface AppendRecord {
  readonly topic: string
  readonly key: string | Buffer | null
  readonly value: string | Buffer | null
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * What an append that has resolved survives.
 * `synced`: whatever the log survives, a power cut included.
 * `ordered`: the crash of every process. After a power cut it may be gone, but then so is everything that was appended, and every
 *   position of a group that was committed, after it. Enough for what is derived from records of the same log.
 * Kafka knows no difference: both are acks=all.
 */
export type Durability = 'synced' | 'ordered'

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** The next offset to read, per topic and partition: `positions.get(topic)?.get(partition)`. */
export type Positions = ReadonlyMap<string, ReadonlyMap<number, number>>

export interface TopicSpec {
  readonly name: string
  readonly partitions: number
  /** Keep the newest record of each key for ever (default: keep every record). */
  readonly compacted?: boolean
}

export interface ConsumeOptions {
  readonly groupId: string
  /** Topics with the same partition count. One member gets the same partition numbers of all of them. */
  readonly topics: readonly string[]
  /** Where to begin when neither the group nor `onAssigned` knows a position. */
  readonly startFrom: 'earliest' | 'latest'
  /**
   * `group`: the log keeps the position and moves it on a cadence past the records whose handler resolved, and what was passed.
   * `own`: the caller keeps positions, gives them in `onAssigned`, and calls `commit` itself.
   */
  readonly positions: 'group' | 'own'
  /** At most this many records in one batch (default 1,000). */
  readonly batchRecordsMax?: number
  /**
   * Called before the first record of newly assigned partitions is delivered. With `positions: 'own'` the returned positions
   * are where reading starts (a missing one falls back to the group's committed position, then to `startFrom`).
   * `pausedTopics` are not delivered until `resume`.
   */
  readonly onAssigned?: (partitions: readonly number[]) => Assignment | Promise<Assignment>
  /** Called when partitions were taken away, after the handler has settled where the log can wait for it. */
  readonly onRevoked?: (partitions: readonly number[]) => void | Promise<void>
  /**
   * Handles records of any assigned topics and partitions, in offset order within each partition; the next batch waits for
   * it. When it throws, the batch is delivered again after a back-off; the error goes to `onError`. It never ends the process.
   */
  readonly onBatch: (records: readonly LogRecord[]) => void | Promise<void>
  /**
   * Told that reading went past offsets that hold nothing for a handler, and to which positions: where a program ended a transaction,
   * aborted one, or where records were deleted. All records before these positions are handled. Called in turn with `onBatch`, and again
   * when it throws. Whoever waits for the end of a topic needs it, because the last thing there may be no record. A log that numbers
   * nothing but records never calls it.
   */
  readonly onPassed?: (positions: Positions) => void | Promise<void>
  /** Told of handler errors and of trouble with the log itself, for logging and counting. */
  readonly onError?: (error: unknown) => void
  /** Where this member can be reached, for `owners`. */
  readonly address?: string
}

export interface Assignment {
  readonly positions?: Positions
  readonly pausedTopics?: readonly string[]
}

export interface Consumer {
  /** Partition numbers this member owns, ascending. */
  assigned(): readonly number[]
  /**
   * Whether the log has confirmed the membership so recently that nobody else can own these partitions yet. False after a pause of the
   * process, or while the log does not answer.
   */
  isConfirmed(): boolean
  /** Makes positions durable in the group. Rejects with `fenced` when this member lost one of the partitions. */
  commit(positions: Positions): Promise<void>
  pause(topics: readonly string[]): void
  resume(topics: readonly string[]): void
  /**
   * Gives partitions back, as if they had been taken away: `onRevoked` is called for them, then the group assigns them anew, to
   * this member or another. Those it does not own are passed over.
   */
  renounce(partitions: readonly number[]): void
  /**
   * Leaves the group without waiting for the running handler or for a callback: nothing that they do counts any more, and whoever gets
   * the partitions is given their records again. For a supervisor whose handler hangs; resolves a `stop` that waits for it.
   */
  abandon(): void
  /** Delivers nothing more, waits for the running handler, commits (mode `group`), leaves the group. Safe to call twice. */
  stop(): Promise<void>
}

/** A record to append through a claim: its partition is the claim's, whatever the key. */
export interface ClaimRecord {
  readonly key: string
  /** `null` is a tombstone: compaction may drop the key. */
  readonly value: string | Buffer | null
}

/** The right to write one partition of a topic, alone. It ends with the first `append` that fails, and with `release`. */
export interface Claim extends TopicPartition {
  /**
   * Appends records in one transaction: readers see all of them or none, and may see them a few milliseconds after it has resolved; a
   * claim made then sees them. One call at a time.
   * @returns the position after them.
   * @throws LogError `fenced` when another claim was made since, `unavailable` (the outcome is then unknown until the next claim
   *   settles it), `record-too-large`, `closed`.
   */
  append(records: readonly ClaimRecord[]): Promise<number>
  /** Drops what the claim holds here. It stays the newest one on the log, until another is made. */
  release(): void
}

export interface EventLog {
  /** `sqlite`, `kafka` or `memory`: for messages and metrics. */
  readonly kind: string
  /**
   * Creates the topics that do not exist and resolves when they can be used.
   * @throws LogError `partition-count` when one exists with another number of partitions.
   */
  ensureTopics(topics: readonly TopicSpec[]): Promise<void>
  /**
   * Appends records durably (default `synced`). Calls that overlap may share one write (group commit).
   * @returns the coordinates, in the order given.
   * @throws LogError `unavailable` (the outcome is then unknown), `unknown-topic`, `record-too-large`, `closed`.
   */
  append(records: readonly AppendRecord[], options?: { durability?: Durability }): Promise<Coordinates[]>
  /**
   * Resolves when all that was appended before the call, by anyone, is `synced`. To be called before something outside the log
   * is written that must not be ahead of it. @throws LogError `unavailable`, `closed`.
   */
  sync(): Promise<void>
  /** Joins a group. Resolves when membership has been asked for; partitions arrive through `onAssigned`. */
  consume(options: ConsumeOptions): Promise<Consumer>
  /**
   * Reads one partition from offset `from` up to, not including, offset `to`, in pages, outside any group.
   * Offsets below the partition's start are skipped.
   */
  read(at: TopicPartition, range: { from: number; to: number }): AsyncIterable<readonly LogRecord[]>
  /** For each topic the first offset still stored, by partition number. */
  starts(topics: readonly string[]): Promise<Map<string, number[]>>
  /** For each topic the offset after the last record (its end), by partition number. */
  ends(topics: readonly string[]): Promise<Map<string, number[]>>
  /** Positions the group has made durable; partitions without one are missing. Lag is `ends` minus these. */
  committed(groupId: string, topics: readonly string[]): Promise<Positions>
  /**
   * Takes the right to write one partition from whoever has it. Once resolved, earlier claims are refused (`fenced`), and what they
   * have appended is between `starts` and `ends`. Absent where nothing is handed over from owner to owner.
   * @throws LogError `unavailable`, `unknown-topic`, `closed`.
   */
  readonly claim?: (at: TopicPartition) => Promise<Claim>
  /**
   * By partition number, the `address` of the member of the group that owns it. Partitions are missing that nobody owns, whose owner gave none, or
   * while the group is changing. @throws LogError `unavailable`.
   */
  owners(groupId: string): Promise<ReadonlyMap<number, string>>
  /** Stops every consumer that is left, flushes, releases files and sockets. Safe to call twice. */
  close(): Promise<void>
}

export type LogErrorCode =
  | 'unavailable'
  | 'unknown-topic'
  | 'partition-count'
  | 'record-too-large'
  | 'authentication'
  | 'fenced'
  | 'closed'

/** What went wrong in the log, with a message that says what to do. */
export class LogError extends Error {
  readonly code: LogErrorCode
  constructor(code: LogErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'LogError'
    this.code = code
  }
}
