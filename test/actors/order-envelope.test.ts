import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createActor } from 'xstate'
import {
  machineVersion,
  parseEntries,
  parseEnvelope,
  printEntries,
  printEnvelope,
  toMachineEvent,
  toSnapshot,
  toXStateSnapshot,
  type JournalEntry,
} from '../../src/actors/order-envelope.ts'
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

  it.each([
    ['a newer machine', { version: machineVersion + 1 }],
    ['no version', { version: undefined }],
    ['another machine', { machine: 'pizza' }],
    ['another schema', { schema: 2 }],
  ])('of %s is refused with the order it is of and what to do (E1, P10)', (_, changed) => {
    const other = JSON.stringify({ ...(JSON.parse(text) as object), ...changed })
    expect(() => parseEnvelope(other, '7')).toThrow('Cannot read the snapshot of order 7')
    expect(() => parseEnvelope(other, '7')).toThrow('Run a newer version, or delete the state store to rebuild it')
  })
})
