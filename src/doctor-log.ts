/** What the doctor finds in the log: its topics, how far each role is, and whether clocks agree. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createProgress } from './actors/progress.ts'
import type { Config } from './config.ts'
import { LogError, type EventLog, type TopicSpec } from './log/event-log.ts'
import type { KafkaLog } from './log/kafka-log.ts'
import type { TopicSettings } from './log/kafka-topics.ts'
import { recipe } from './menu.ts'
import { explain } from './start-errors.ts'
import { createTopics, type Topics } from './topics.ts'
import type { Finding } from './doctor.ts'

/** Between two looks at the positions of a group: they are committed several times a second. */
const lookMs = 1_500
/** Clocks that differ by less are as good as the same. */
const skewMsMax = 1_000
/** Kafka refuses records that are further ahead. */
const skewMsRefused = 3_600_000

/** A log that may be one of several programs' and set up by somebody else. */
export type InspectedLog = EventLog & Partial<Pick<KafkaLog, 'topicSettings'>>

/** @throws LogError when the log cannot be reached or refuses the login. */
export async function* inspectLog(config: Config, log: InspectedLog): AsyncGenerator<Finding> {
  const topics = createTopics(recipe, config.topics)
  const counts = await countPartitions(log, topics)
  const where = config.log.kind === 'kafka' ? `Kafka at ${config.log.connection.brokers.join(', ')}` : 'embedded'
  yield { level: 'ok', about: 'log', text: `${where}, answers` }
  const findings = topics.specs.map(({ name, partitions }) =>
    toTopicFinding(config, name, partitions, counts.get(name)),
  )
  const wrong = findings.filter(({ level }) => level !== 'ok')
  yield* wrong
  if (wrong.length === 0) {
    yield { level: 'ok', about: 'topics', text: `${findings.length}, each with ${config.topics.partitions} partitions` }
  }
  if (topics.specs.some(({ name }) => counts.get(name) === undefined)) return
  yield* inspectSettings(topics, log)
  yield* inspectRoles(config, log, topics)
  yield await inspectClock(log, topics)
}

/** Partitions by topic; topics that are not there are missing. */
async function countPartitions(log: EventLog, topics: Topics): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const { name } of topics.specs) {
    try {
      counts.set(name, (await log.starts([name])).get(name)!.length)
    } catch (error) {
      if (!(error instanceof LogError && error.code === 'unknown-topic')) throw error
    }
  }
  return counts
}

function toTopicFinding(config: Config, topic: string, wanted: number, found: number | undefined): Finding {
  const about = topic
  if (found === wanted) return { level: 'ok', about, text: `${found} partitions` }
  if (found === undefined) {
    const text =
      'is not there yet; the next start makes it. Where this program may not make topics, make it beforehand.'
    return { level: 'warn', about, text }
  }
  const message = `It has ${found} partitions, and ${wanted} are configured`
  return { level: 'FAIL', about, text: explain(new LogError('partition-count', message), config)!.message }
}

/** Whether the cluster keeps what the shop is rebuilt from. Says nothing of a log that is set up by this program alone. */
async function* inspectSettings({ specs }: Topics, log: InspectedLog): AsyncGenerator<Finding> {
  if (log.topicSettings === undefined) return
  try {
    const names = ['cleanup.policy', 'retention.ms', 'retention.bytes']
    const settings = await log.topicSettings(
      specs.map(({ name }) => name),
      names,
    )
    const findings = specs.flatMap((spec) => toSettingsFinding(spec, settings.get(spec.name)) ?? [])
    yield* findings
    if (findings.length === 0)
      yield { level: 'ok', about: 'kept records', text: 'the topics keep what a rebuild needs' }
  } catch (error) {
    if (!(error instanceof LogError && error.code === 'authentication')) throw error
    const text =
      'This user may not see the settings of topics (DescribeConfigs). See yourself that they keep their records: ' +
      'docs/operate.md, Old records.'
    yield { level: 'warn', about: 'kept records', text }
  }
}

function toSettingsFinding(
  { name, compacted = false }: TopicSpec,
  settings: TopicSettings = new Map(),
): Finding | undefined {
  const about = name
  const policies = (settings.get('cleanup.policy') ?? '').split(',')
  const limits = ['retention.ms', 'retention.bytes'].filter((limit) => Number(settings.get(limit) ?? -1) >= 0)
  const found = limits.map((limit) => `${limit}=${settings.get(limit)}`).join(', ')
  const fix = (entries: string): string => `Mend it with kafka-configs --alter --topic ${name} --add-config ${entries}`
  if (compacted) {
    if (policies.join() === 'compact') return undefined
    const what = policies.includes('compact') ? 'deletes records that are old, too' : 'is not compacted'
    const why = 'a host that takes orders over would read every snapshot there ever was, or miss some'
    return {
      level: 'warn',
      about,
      text: `${what} (cleanup.policy=${policies.join()}): ${why}. ${fix('cleanup.policy=compact')}`,
    }
  }
  if (policies.includes('compact')) {
    const what = `is compacted (cleanup.policy=${policies.join()}): of each order only the newest record stays`
    return { level: 'warn', about, text: `${what}. ${fix('cleanup.policy=delete')}` }
  }
  if (limits.length === 0) return undefined
  const why =
    'what it deletes, no rebuild brings back, and no role takes that was down meanwhile (docs/operate.md, Old records)'
  const entries = limits.map((limit) => `${limit}=-1`).join()
  return { level: 'warn', about, text: `deletes old records (${found}): ${why}. ${fix(entries)}` }
}

/** How far each role is behind, and whether it gets on. */
async function* inspectRoles(config: Config, log: EventLog, topics: Topics): AsyncGenerator<Finding> {
  const progress = createProgress(log, topics, config.groupId)
  const first = await progress.look()
  if (first.some(({ lag }) => lag > 0)) await sleep(lookMs)
  const before = new Map(first.map(({ role, lag }) => [role, lag]))
  for (const { role, lag, rate } of await progress.look()) {
    const about = `role ${role}`
    if (lag === 0 || before.get(role) === 0) yield { level: 'ok', about, text: 'has taken every record' }
    else if ((rate ?? 0) > 0) yield { level: 'ok', about, text: `${lag} records behind, takes ${rate} a second` }
    else {
      const fix = `Start it with npm start -- ${role}; if it runs, see what its log says.`
      yield { level: 'warn', about, text: `${lag} records behind, and took none in ${lookMs} ms. ${fix}` }
    }
  }
}

/** Whether the newest records are from the future: then this clock, or that of who appended them, is wrong. */
async function inspectClock(log: EventLog, topics: Topics): Promise<Finding> {
  const about = 'clock'
  let aheadMs = -Infinity
  for (const topic of [topics.orders, topics.pizza]) {
    for (const [partition, end] of ((await log.ends([topic])).get(topic) ?? []).entries()) {
      // The last offsets may be ends of transactions.
      for await (const records of log.read({ topic, partition }, { from: Math.max(0, end - 10), to: end })) {
        for (const { timestampMs } of records) aheadMs = Math.max(aheadMs, timestampMs - Date.now())
      }
    }
  }
  if (aheadMs === -Infinity) return { level: 'ok', about, text: 'no record to compare it with yet' }
  if (aheadMs <= skewMsMax) return { level: 'ok', about, text: 'no record is from the future' }
  const text = `The newest record is ${Math.round(aheadMs / 1_000)} s in the future. Set the clocks of this machine and of the others (NTP).`
  return { level: aheadMs > skewMsRefused ? 'FAIL' : 'warn', about, text }
}
