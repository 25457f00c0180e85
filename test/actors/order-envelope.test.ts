import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createActor } from 'xstate'
import {
  parseEntries,
  parseEnvelope,
  printEntries,
  printEnvelope,
  toMachineEvent,
  toSnapshot,
  toXStateSnapshot,
  type JournalEntry,
} from '../../src/actors/order-envelope.ts'
import { machineVersion, type OldSnapshot } from '../../src/machines/migrations.ts'
import { orderMachine } from '../../src/machines/order.machine.ts'

const coordinates = { topic: fc.string(), partition: fc.nat(), offset: fc.nat(), at: fc.nat() }
const placed: fc.Arbitrary<JournalEntry> = fc.record({ ...coordinates, pizza: fc.constant(null), count: fc.nat() })
const topped: fc.Arbitrary<JournalEntry> = fc.record({
  ...coordinates,
  pizza: fc.record({ pizza_id: fc.nat(), topping: fc.string(), choice: fc.string() }),
  count: fc.constant(null),
})

describe('A journal entry', () => {
  it('is read as it was printed (E2)', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(placed, topped)), (entries) => {
        expect(parseEntries(printEntries(entries))).toEqual(entries)
      }),
    )
  })
})

describe('An envelope', () => {
  const order = createActor(orderMachine, { input: { order_id: '7' } })
  order.start()
  order.send(toMachineEvent({ topic: 'orders', partition: 0, offset: 0, at: 5, pizza: null, count: 2 }))
  const text = printEnvelope('7', 3, toSnapshot(order))

  it('leads back to the same actor (E1)', () => {
    const { snapshot, ...rest } = parseEnvelope(text, '7')
    expect(rest).toEqual({ schema: 1, machine: 'order', version: machineVersion, order_id: '7', partition: 3 })
    const restored = createActor(orderMachine, { snapshot: toXStateSnapshot(snapshot), input: { order_id: '7' } })
    restored.start()
    expect(printEnvelope('7', 3, toSnapshot(restored))).toBe(text)
  })

  it('of older machines passes each migration up to these, once (E1, P10)', () => {
    const old = JSON.stringify({ ...(JSON.parse(text) as object), version: 0 })
    const note = (step: string) => (order: OldSnapshot) => ({
      ...order,
      context: { ...order.context, steps: [...((order.context['steps'] as string[] | undefined) ?? []), step] },
    })
    const machines = { machineVersion: 2, migrations: { 0: note('0 to 1'), 1: note('1 to 2'), 2: note('too far') } }
    const { version, snapshot } = parseEnvelope(old, '7', machines)
    expect(version).toBe(2)
    expect(snapshot.context).toMatchObject({ order_id: '7', count: 2, steps: ['0 to 1', '1 to 2'] })
    expect(snapshot.children).toEqual(parseEnvelope(text, '7').snapshot.children)
  })

  it.each([
    ['is missing', {}, 'there is no such migration'],
    [
      'throws',
      {
        0: () => {
          throw new TypeError('boom')
        },
      },
      'boom',
    ],
  ])('whose migration %s is refused with the order it is of (P10)', (_, migrations, why) => {
    const old = JSON.stringify({ ...(JSON.parse(text) as object), version: 0 })
    expect(() => parseEnvelope(old, '7', { machineVersion: 1, migrations })).toThrow(
      `Cannot migrate the snapshot of order 7 from version 0 to 1: ${why}.`,
    )
  })

  it('that is no JSON is refused with the order it is of (P10)', () => {
    expect(() => parseEnvelope(text.slice(0, -5), '7')).toThrow('Cannot read the snapshot of order 7: it is not JSON')
  })

  it.each([
    ['a newer machine', { version: machineVersion + 1 }],
    ['no version', { version: undefined }],
    ['another machine', { machine: 'pizza' }],
    ['another schema', { schema: 2 }],
  ])('of %s is refused with the order it is of and what to do (E1, P10)', (_, changed) => {
    const other = JSON.stringify({ ...(JSON.parse(text) as object), ...changed })
    expect(() => parseEnvelope(other, '7')).toThrow('Cannot read the snapshot of order 7')
    expect(() => parseEnvelope(other, '7')).toThrow('Run a newer version, or rebuild the orders from the log')
  })
})
