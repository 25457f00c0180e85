/**
 * Worlds: a place for one test to run a shop in, on the embedded log or on a real Kafka broker. Tests of whole shops are written once
 * and run in each.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, onTestFailed, onTestFinished } from 'vitest'
import { createKafkaLog } from '../../src/log/kafka-log.ts'
import { createSqliteLog } from '../../src/log/sqlite-log.ts'
import type { EventLog } from '../../src/log/event-log.ts'
import { recipe } from '../../src/menu.ts'
import { createTopics, type Topics } from '../../src/topics.ts'
import { kafkaAvailable, needsKafka, startTestBroker, type TestBroker } from '../kafka/broker.ts'
import { createFleet, type Fleet, type FleetOptions } from './fleet.ts'
import { makeFolder } from './lifecycle.ts'
import { runProgram, startShopProcess, type ShopProcess, type ShopProcessOptions } from './shop-process.ts'

export interface World {
  readonly log: 'embedded' | 'kafka'
  readonly dataDir: string
  readonly topics: Topics
  readonly groupId: string
  /** The shop as several processes; default: one for each role. */
  createFleet(options?: Pick<FleetOptions, 'processes' | 'args'>): Fleet
  start(options?: Pick<ShopProcessOptions, 'roles' | 'args'>): Promise<ShopProcess>
  /** A handle on the same log for this test, closed at its end. */
  openLog(): EventLog
  /** Runs the program with another command to its end. */
  run(command: string, args: readonly string[]): Promise<{ code: number | NodeJS.Signals; output: string }>
  /** Runs `verify` on a data folder (default: the world's). */
  verify(dataDir?: string): Promise<{ code: number | NodeJS.Signals; output: string }>
}

/** What makes a world, for the running test. */
export type OpenWorld = () => Promise<World>

const partitions = 6

/** Defines tests on the embedded log, and the same on Kafka where a broker can run. */
export async function onEachLog(define: (openWorld: OpenWorld, log: World['log']) => void): Promise<void> {
  describe('on the embedded log', () => {
    define(openEmbeddedWorld, 'embedded')
  })
  const canRun = await kafkaAvailable()
  describe.skipIf(!canRun)(`on Kafka (${needsKafka})`, () => {
    let broker: TestBroker | undefined
    let worlds = 0
    beforeAll(async () => {
      broker = await startTestBroker()
    }, 300_000)
    afterAll(() => broker?.close())
    define(() => openKafkaWorld(broker!.bootstrapServers, `w${++worlds}`), 'kafka')
  })
}

/** A fresh embedded log. */
export async function openEmbeddedWorld(): Promise<World> {
  const dataDir = await makeFolder()
  const topics = createTopics(recipe, { prefix: '', partitions })
  const common = { dataDir, args: [] }
  const openLog = () => createSqliteLog({ file: join(dataDir, 'log.sqlite') })
  return toWorld({ log: 'embedded', common, topics, groupId: 'pizza-actors', openLog })
}

/** Fresh topics on a broker. */
export async function openKafkaWorld(bootstrapServers: string, name: string): Promise<World> {
  const dataDir = await makeFolder()
  const configFile = join(dataDir, 'config.properties')
  const groupId = `${name}-group`
  await writeFile(configFile, `bootstrap.servers=${bootstrapServers}\ngroup.id=${groupId}\n`)
  const prefix = `${name}-`
  const common = { dataDir, configFile, args: ['--topic-prefix', prefix] }
  const connection = { brokers: [bootstrapServers], clientId: 'test', ssl: false }
  const openLog = () => createKafkaLog({ connection })
  const topics = createTopics(recipe, { prefix, partitions, hasSnapshots: true })
  return toWorld({ log: 'kafka', common, topics, groupId, openLog })
}

interface WorldParts extends Pick<World, 'log' | 'topics' | 'groupId'> {
  readonly common: { readonly dataDir: string; readonly configFile?: string; readonly args: readonly string[] }
  readonly openLog: () => EventLog
}

function toWorld({ log, common, topics, groupId, openLog }: WorldParts): World {
  const withArgs = (args: readonly string[] = []) => ({ ...common, args: [...common.args, ...args] })
  return {
    log,
    dataDir: common.dataDir,
    topics,
    groupId,
    createFleet({ processes, args } = {}) {
      const fleet = createFleet({ ...withArgs(args), ...(processes && { processes }) })
      onTestFailed(() => console.log(`${fleet.crashes.join('\n')}\n${fleet.output()}`))
      return fleet
    },
    async start({ roles, args } = {}) {
      const shop = await startShopProcess({ ...withArgs(args), ...(roles && { roles }) })
      onTestFailed(() => console.log(shop.output().slice(-4_000)))
      return shop
    },
    openLog() {
      const opened = openLog()
      onTestFinished(() => opened.close())
      return opened
    },
    run: (command, args) => runProgram(command, withArgs(args)),
    verify: (dataDir = common.dataDir) => runProgram('verify', { ...common, dataDir }),
  }
}
