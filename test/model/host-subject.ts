/**
 * Host subject. The real order host on a memory-log as the subject of a crash proof: the model's events come as records of the
 * topping topics, and what is seen is the order and its history as GET shows them.
 */
import { startOrderHost, type OrderHost } from '../../src/actors/order-host.ts'
import { createOrderService } from '../../src/actors/order-service.ts'
import type { HistoryEntry, Orders } from '../../src/actors/orders.ts'
import type { AppendRecord } from '../../src/log/event-log.ts'
import { createMemoryLog, createMemoryStorage, type MemoryStorage } from '../../src/log/memory-log.ts'
import type { Logger } from '../../src/logger.ts'
import { recipe } from '../../src/menu.ts'
import type { Subject, Walk } from '../../src/proof/crashes.ts'
import type { ToppingCame } from '../../src/proof/order-model.ts'
import { createTopics, type Topics } from '../../src/topics.ts'
import { createOrderDisk, type Disk } from '../simulation/disks.ts'
import { createScheduler, type Scheduler } from '../simulation/scheduler.ts'
import type { OrderStore } from '../../src/actors/order-store.ts'
import { orderRecord, toppedRecord } from '../support/memory-shop.ts'

/**
 * What the crash leaves. `everything`: a checkpoint was written just before. `nothing`: none ever was, so all is replayed. `no file`:
 * the store is gone, and the group's positions say that pizzas were asked for.
 */
export type Left = 'everything' | 'nothing' | 'no file'

const orderId = '7'

/** A placed order of `count` pizzas in a running host. */
export function createHostSubject({ count, left }: { count: number; left: Left }): Subject<ToppingCame> {
  return { name: `host, order of ${count}, ${left} left`, start: () => startWalk(count, left) }
}

async function startWalk(count: number, left: Left): Promise<Walk<ToppingCame>> {
  const world = await openWorld()
  const { topics, scheduler } = world
  let running = await startHost(world, left)
  const take = async (record: AppendRecord): Promise<void> => {
    world.appends++
    await world.append(record)
    await scheduler.run(() => running.hasRead(record.topic))
  }
  await take(orderRecord(topics, orderId, count))
  return {
    async send({ pizza_id, topping }) {
      await take(toppedRecord(topics, topping, { order_id: orderId, pizza_id, choice: `some ${topping}` }))
    },
    async crash() {
      if (left !== 'nothing') await settle(scheduler, running.host.checkpointer.now())
      // Then the group's positions are committed too.
      await scheduler.run(() => left !== 'no file' || running.hasCommitted())
      running.kill()
      if (left === 'no file') world.disk.wipe()
      running = await startHost(world, left)
    },
    async observe() {
      const view = await settle(scheduler, running.orders.get(orderId))
      const history = await settle(scheduler, running.orders.history(orderId))
      return JSON.stringify([view, left === 'everything' ? history : history?.map(toFact).toSorted()])
    },
    end: () => running.kill(),
  }
}

/** What a replay repeats of an event: it reads the topics anew, so what they bring may come in another order. */
function toFact({ event, pizza_id, topping, choice, topic, partition, offset, at }: HistoryEntry): string {
  return JSON.stringify([event, pizza_id, topping, choice, topic, partition, offset, at])
}

interface World {
  readonly scheduler: Scheduler
  readonly storage: MemoryStorage
  readonly topics: Topics
  readonly disk: Disk<OrderStore>
  /** Counts the test's own appends: their time, so that every walk has the same times. */
  appends: number
  append(record: AppendRecord): Promise<void>
}

async function openWorld(): Promise<World> {
  const scheduler = createScheduler(1, 0.01)
  const storage = createMemoryStorage()
  const topics = createTopics(recipe, { prefix: '', partitions: 1 })
  const { schedule } = scheduler.createProcess('test')
  const log = createMemoryLog({ storage, schedule, now: () => 1_000 * world.appends })
  const world: World = {
    scheduler,
    storage,
    topics,
    disk: createOrderDisk(),
    appends: 0,
    append: async (record) => void (await settle(scheduler, log.append([record]))),
  }
  await log.ensureTopics(topics.specs)
  return world
}

interface RunningHost {
  readonly host: OrderHost
  readonly orders: Orders
  kill(): void
  hasRead(topic: string): boolean
  hasCommitted(): boolean
}

const groupId = 'model.orders'
const logger = { debug() {}, info() {}, warn() {}, error() {} } as unknown as Logger

async function startHost(world: World, left: Left): Promise<RunningHost> {
  const { scheduler, storage, topics, disk } = world
  const process = scheduler.createProcess('orders')
  const { clock, schedule } = process
  const log = createMemoryLog({ storage, schedule })
  const store = disk.open()
  const checkpointMs = left === 'nothing' ? 1_000_000 : 1
  const tuning = { liveActorsMax: 1, checkpointMs, checkpointOrdersMax: 1_000 }
  const common = { log, store, topics, clock }
  const host = await settle(scheduler, startOrderHost({ ...common, ...tuning, logger, recipe, groupId }))
  const endOf = (topic: string): number => storage.topics.get(topic)![0]!.records.length
  return {
    host,
    orders: createOrderService({ ...common, host }),
    hasRead: (topic) => host.applied.position(topic, 0) === endOf(topic),
    hasCommitted: () => storage.committed.get(groupId)?.get(topics.orders)?.get(0) === endOf(topics.orders),
    kill() {
      process.kill()
      log.crash()
    },
  }
}

/** Lets the simulated world run until the promise has its answer. */
async function settle<T>(scheduler: Scheduler, promise: Promise<T>): Promise<T> {
  let isSettled = false
  const mark = (): void => void (isSettled = true)
  promise.then(mark, mark)
  await scheduler.run(() => isSettled)
  return promise
}
