import { describe, expect, it } from 'vitest'
import { createApplied } from '../../src/actors/applied.ts'
import { createStartGate } from '../../src/actors/start-gate.ts'
import type { Consumer } from '../../src/log/event-log.ts'
import { placeKey } from '../../src/log/placement.ts'
import { openMemoryShop, orderRecord, toppedRecord } from '../support/memory-shop.ts'

const sauce = 'pizza-with-sauce'

/** A gate on a log with two orders and one topping on its only partition, or of several on some. */
async function openGate({ partitions = 1 } = {}) {
  const { topics, log, append, logger } = await openMemoryShop({ partitions })
  // Of two partitions each gets an order.
  const other = ['2', '3', '4', '5'].find((id) => partitions === 1 || placeKey(id, 2) !== placeKey('1', 2))!
  await append(orderRecord(topics, '1', 1), orderRecord(topics, other, 1))
  await append(toppedRecord(topics, 'sauce', { order_id: '1', pizza_id: 1, choice: 'bbq' }))
  const applied = createApplied()
  const resumed: (readonly string[])[] = []
  const consumer = { resume: (names) => void resumed.push(names) } as Consumer
  const consumerRef: { consumer?: Consumer } = { consumer }
  const gate = createStartGate({ log, logger, topics, applied, consumerRef })
  /** As the host does with a batch. */
  const pass = (topic: string, offset: number, partition = 0) => {
    applied.pass(topic, partition, offset)
    applied.notify()
    gate.check()
  }
  const found = await log.ends(['orders', sauce])
  /** By partition: where orders and the sauces end. */
  const ends = found.get('orders')!.map((orders, partition) => [orders, found.get(sauce)![partition]!] as const)
  return { ends, gate, applied, resumed, consumer, consumerRef, pass, stages: [...topics.toppingOf.keys()] }
}

describe('The start gate', () => {
  it('lets toppings in when orders have been applied to where they ended (G1, O3)', async () => {
    const { gate, resumed, pass, stages } = await openGate()
    expect(gate.has(0)).toBe(false)
    expect(await gate.open([0])).toEqual(stages)
    pass('orders', 0)
    expect([gate.isCatchingUp, resumed]).toEqual([true, []])
    pass('orders', 1)
    pass('orders', 2)
    expect([gate.isCatchingUp, resumed]).toEqual([false, [stages]])
  })

  it('lets readers in when everything has been applied to where it ended (G2, P2)', async () => {
    const { gate, pass } = await openGate()
    await gate.open([0])
    const current = gate.whenCurrent([0], 60_000)
    pass('orders', 1)
    expect(gate.isCurrent([0])).toBe(false)
    pass(sauce, 0)
    expect(gate.isCurrent([0])).toBe(true)
    expect(await current).toBe(true)
    expect(await gate.whenCurrent([0], 60_000)).toBe(true)
  })

  it('is closed to readers before any partition was assigned, and tells those who cannot wait', async () => {
    const { gate } = await openGate()
    expect(gate.isCurrent([0])).toBe(false)
    expect(await gate.whenCurrent([0], 1)).toBe(false)
    expect(await gate.whenCurrent([0], 60_000, AbortSignal.abort())).toBe(false)
    const leaving = new AbortController()
    const waiting = gate.whenCurrent([0], 60_000, leaving.signal)
    leaving.abort()
    expect(await waiting).toBe(false)
  })

  it('keeps nobody waiting when everything was applied before', async () => {
    const { gate, applied } = await openGate()
    applied.load(
      new Map([
        ['orders', new Map([[0, 2]])],
        [sauce, new Map([[0, 1]])],
      ]),
    )
    expect(await gate.open([0])).toEqual([])
    expect([gate.isCurrent([0]), gate.isCatchingUp]).toEqual([true, false])
  })

  it('lets readers in partition by partition, however they come (G2)', async () => {
    const { gate, resumed, pass, stages, ends } = await openGate({ partitions: 2 })
    expect(await gate.open([])).toEqual([])
    expect([gate.partitions, gate.isCurrent([0])]).toEqual([[], false])
    expect(ends.map(([orders]) => orders)).toEqual([1, 1])
    const passAll = (partition: number): void => {
      const [orders, sauces] = ends[partition]!
      pass('orders', orders - 1, partition)
      if (sauces > 0) pass(sauce, sauces - 1, partition)
    }
    expect(await gate.open([0])).toEqual(stages)
    passAll(0)
    expect([gate.isCurrent([0]), gate.isCurrent([0, 1]), resumed]).toEqual([true, false, [stages]])
    expect(await gate.open([1])).toEqual(stages)
    expect([gate.partitions, gate.isCurrent([0]), gate.isCurrent([1])]).toEqual([[0, 1], true, false])
    passAll(1)
    expect([gate.isCurrent([0, 1]), resumed]).toEqual([true, [stages, stages]])
  })

  it('forgets partitions that went to another owner, and does not wait for them any more (P9)', async () => {
    const { gate, resumed, pass, stages, ends, applied } = await openGate({ partitions: 2 })
    await gate.open([0, 1])
    pass('orders', ends[0]![0] - 1)
    if (ends[0]![1] > 0) pass(sauce, ends[0]![1] - 1)
    expect([gate.isCatchingUp, resumed]).toEqual([true, []])
    gate.close([1])
    applied.drop([1])
    expect([gate.partitions, gate.isCatchingUp, resumed]).toEqual([[0], false, [stages]])
    expect([gate.isCurrent([0]), gate.isCurrent([1])]).toEqual([true, false])
  })

  it('forgets no partition that is still being read when another one comes (G1, G2)', async () => {
    const { gate, resumed, pass, applied, stages, ends } = await openGate({ partitions: 2 })
    applied.load(
      new Map([
        ['orders', new Map([[1, ends[1]![0]]])],
        [sauce, new Map([[1, ends[1]![1]]])],
      ]),
    )
    expect(await gate.open([0])).toEqual(stages)
    expect(await gate.open([1])).toEqual(stages)
    expect([gate.isCatchingUp, gate.isCurrent([0]), resumed]).toEqual([true, false, []])
    pass('orders', ends[0]![0] - 1)
    if (ends[0]![1] > 0) pass(sauce, ends[0]![1] - 1)
    expect([gate.isCatchingUp, gate.isCurrent([0, 1]), resumed]).toEqual([false, true, [stages]])
  })

  it('lets toppings in though another partition came before the consumer was there', async () => {
    const { gate, resumed, pass, applied, consumer, consumerRef, stages, ends } = await openGate({ partitions: 2 })
    delete consumerRef.consumer
    await gate.open([0])
    pass('orders', ends[0]![0] - 1)
    applied.load(new Map([['orders', new Map([[1, ends[1]![0]]])]]))
    expect(await gate.open([1])).toEqual(stages)
    consumerRef.consumer = consumer
    gate.check()
    expect([gate.isCatchingUp, resumed]).toEqual([false, [stages]])
  })

  it('lets toppings in though the last order was applied before the consumer was there', async () => {
    const { gate, resumed, pass, consumer, consumerRef, stages } = await openGate()
    delete consumerRef.consumer
    await gate.open([0])
    pass('orders', 1)
    expect(resumed).toEqual([])
    consumerRef.consumer = consumer
    gate.check()
    expect(resumed).toEqual([stages])
  })
})
