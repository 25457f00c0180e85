import { describe, expect, it } from 'vitest'
import { createApplied } from '../../src/actors/applied.ts'
import { createStartGate } from '../../src/actors/start-gate.ts'
import type { Consumer } from '../../src/log/event-log.ts'
import { openMemoryShop, orderRecord, toppedRecord } from '../support/memory-shop.ts'

const sauce = 'pizza-with-sauce'

/** A gate on a log with two orders and one topping on its only partition. */
async function openGate() {
  const { topics, log, append, logger } = await openMemoryShop({ partitions: 1 })
  await append(orderRecord(topics, '1', 1), orderRecord(topics, '2', 1))
  await append(toppedRecord(topics, 'sauce', { order_id: '1', pizza_id: 1, choice: 'bbq' }))
  const applied = createApplied()
  const resumed: (readonly string[])[] = []
  const consumer = { resume: (names) => void resumed.push(names) } as Consumer
  const consumerRef: { consumer?: Consumer } = { consumer }
  const gate = createStartGate({ log, logger, topics, applied, consumerRef })
  /** As the host does with a batch. */
  const pass = (topic: string, offset: number) => {
    applied.pass(topic, 0, offset)
    applied.notify()
    gate.check()
  }
  return { gate, applied, resumed, consumer, consumerRef, pass, stages: [...topics.toppingOf.keys()] }
}

describe('The start gate', () => {
  it('lets toppings in when orders have been applied to where they ended (G1, O3)', async () => {
    const { gate, resumed, pass, stages } = await openGate()
    expect(gate.isAssigned).toBe(false)
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
    const current = gate.whenCurrent(60_000)
    pass('orders', 1)
    expect(gate.isCurrent).toBe(false)
    pass(sauce, 0)
    expect(gate.isCurrent).toBe(true)
    expect(await current).toBe(true)
    expect(await gate.whenCurrent(60_000)).toBe(true)
  })

  it('is closed to readers before any partition was assigned, and tells those who cannot wait', async () => {
    const { gate } = await openGate()
    expect(gate.isCurrent).toBe(false)
    expect(await gate.whenCurrent(1)).toBe(false)
    expect(await gate.whenCurrent(60_000, AbortSignal.abort())).toBe(false)
    const leaving = new AbortController()
    const waiting = gate.whenCurrent(60_000, leaving.signal)
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
    expect([gate.isCurrent, gate.isCatchingUp]).toEqual([true, false])
  })

  it('waits for its own partitions only', async () => {
    const { gate } = await openGate()
    expect(await gate.open([])).toEqual([])
    expect([gate.isCurrent, gate.isCatchingUp]).toEqual([true, false])
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
