/** What the contract suite needs of a log under test, and helpers that wait on events instead of sleeping. */
import { randomUUID } from 'node:crypto'
import type {
  Assignment,
  Consumer,
  ConsumeOptions,
  EventLog,
  LogRecord,
  TopicPartition,
} from '../../src/log/event-log.ts'

export interface CrashableLog {
  readonly log: EventLog
  /** Ends it as kill -9 would: no clean stop, no commit. Its promises may never settle. */
  crash(): Promise<void>
}

/** One underlying log (a broker, a file, a piece of memory), shared by all tests of a suite. */
export interface LogHarness {
  /** Opens one more handle on the same underlying log, as another process would. */
  open(): Promise<EventLog>
  openCrashable(): Promise<CrashableLog>
  /** Takes the log away; resolves with the function that brings it back. Tests of outages run when it is there. */
  readonly beginOutage?: () => Promise<() => Promise<void>>
  /** Deletes the records of a partition below an offset, as retention would. */
  readonly deleteBelow?: (at: TopicPartition, offset: number) => Promise<void>
  close(): Promise<void>
}

/** What the tests of one suite share: the harness and the handles to close when a test ends. */
export interface ContractContext {
  readonly harness: LogHarness
  /** Opens a handle that is closed after the test. */
  open(): Promise<EventLog>
  openCrashable(): Promise<CrashableLog>
  closeOpened(): Promise<void>
}

export function createContext(harness: LogHarness): ContractContext {
  let closers: (() => Promise<void>)[] = []
  return {
    harness,
    async open() {
      const log = await harness.open()
      closers.push(() => log.close())
      return log
    },
    async openCrashable() {
      const crashable = await harness.openCrashable()
      let isCrashed = false
      const crash = async () => {
        if (isCrashed) return
        isCrashed = true
        await crashable.crash()
      }
      closers.push(crash)
      return { log: crashable.log, crash }
    },
    async closeOpened() {
      const mine = closers
      closers = []
      await Promise.all(mine.map((close) => close()))
    },
  }
}

/** A name that no other test and no other run uses. */
export function uniqueName(stem: string): string {
  return `${stem}-${randomUUID()}`
}

/** Orders numbers, for `toSorted`. */
export const ascending = (a: number, b: number) => a - b

/** Creates a topic of its own for a test. */
export async function createTopic(log: EventLog, partitions: number, stem = 'topic'): Promise<string> {
  const name = uniqueName(stem)
  await log.ensureTopics([{ name, partitions }])
  return name
}

export async function readAll(log: EventLog, at: TopicPartition, from = 0, to?: number): Promise<LogRecord[]> {
  const end = to ?? (await log.ends([at.topic])).get(at.topic)![at.partition]!
  const records: LogRecord[] = []
  for await (const page of log.read(at, { from, to: end })) records.push(...page)
  return records
}

/** Wakes waiters when something happened; `until` looks again only then, so a test hangs instead of racing. */
export interface Signal {
  raise(): void
  until(isTrue: () => boolean): Promise<void>
}

export function createSignal(): Signal {
  let waiting: (() => void)[] = []
  return {
    raise() {
      const woken = waiting
      waiting = []
      for (const wake of woken) wake()
    },
    async until(isTrue) {
      while (!isTrue()) await new Promise<void>((resolve) => waiting.push(resolve))
    },
  }
}

/** A gate that handlers wait at until the test opens it. */
export function createGate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

export interface Member {
  readonly consumer: Consumer
  /** Every record delivered, duplicates included, in the order of delivery. */
  readonly records: LogRecord[]
  /** Partition numbers as the callbacks told, ascending. */
  owned(): number[]
  readonly errors: unknown[]
  /** What broke a rule of the port while the member ran; a test expects it to be empty. */
  readonly violations: string[]
}

type MemberOptions = Partial<ConsumeOptions> & Pick<ConsumeOptions, 'groupId' | 'topics'> & { readonly signal: Signal }

/** Joins a group with a member that writes down everything it is told. */
export async function joinGroup(log: EventLog, options: MemberOptions): Promise<Member> {
  const { signal, onBatch, onAssigned, onRevoked, onPassed, ...rest } = options
  const owned = new Set<number>()
  const records: LogRecord[] = []
  const errors: unknown[] = []
  const violations: string[] = []
  let running = 0
  const consumer = await log.consume({
    startFrom: 'earliest',
    positions: 'group',
    ...rest,
    async onAssigned(partitions): Promise<Assignment> {
      const overlap = partitions.filter((partition) => owned.has(partition))
      if (overlap.length > 0) violations.push(`assigned again: ${overlap.join()}`)
      const assignment = (await onAssigned?.(partitions)) ?? {}
      for (const partition of partitions) owned.add(partition)
      signal.raise()
      return assignment
    },
    async onRevoked(partitions) {
      if (running > 0) violations.push('revoked while the handler ran')
      await onRevoked?.(partitions)
      for (const partition of partitions) owned.delete(partition)
      signal.raise()
    },
    async onBatch(batch) {
      if (++running > 1) violations.push('two batches at once')
      const foreign = batch.filter(({ partition }) => !owned.has(partition))
      if (foreign.length > 0) violations.push(`records of partitions not owned: ${describe(foreign)}`)
      if (batch.length === 0) violations.push('an empty batch')
      records.push(...batch)
      signal.raise()
      try {
        await onBatch?.(batch)
      } finally {
        running--
        signal.raise()
      }
    },
    async onPassed(positions) {
      if (++running > 1) violations.push('passed while the handler ran')
      const partitions = [...positions.values()].flatMap((byPartition) => [...byPartition.keys()])
      if (partitions.length === 0) violations.push('nothing passed')
      if (partitions.some((partition) => !owned.has(partition)))
        violations.push(`passed what is not owned: ${partitions}`)
      try {
        await onPassed?.(positions)
      } finally {
        running--
        signal.raise()
      }
    },
    onError(error) {
      errors.push(error)
      signal.raise()
    },
  })
  return { consumer, records, errors, violations, owned: () => [...owned].toSorted(ascending) }
}

function describe(records: readonly LogRecord[]): string {
  return records.map(({ topic, partition, offset }) => `${topic}/${partition}@${offset}`).join(', ')
}

export function valuesOf(records: readonly LogRecord[]): string[] {
  return records.map(({ value }) => String(value))
}

/** The values without duplicates, sorted: what at-least-once delivery must have brought. */
export function distinctValues(records: readonly LogRecord[]): string[] {
  return [...new Set(valuesOf(records))].toSorted()
}

/**
 * Whether each partition's records came in offset order. Going back (redelivery) is allowed only to a delivered offset, and a gap only
 * over records that another member took meanwhile.
 */
export function isInOrder(records: readonly LogRecord[], elsewhere: readonly LogRecord[] = []): boolean {
  const next = new Map<string, number>()
  const taken = new Set(elsewhere.map(({ topic, partition, offset }) => `${topic}/${partition}@${offset}`))
  return records.every(({ topic, partition, offset }) => {
    const at = `${topic}/${partition}`
    let expected = next.get(at) ?? offset
    while (expected < offset && taken.has(`${at}@${expected}`)) expected++
    next.set(at, Math.max(expected, offset + 1))
    return offset <= expected
  })
}
