import { describe, expect, it } from 'vitest'
import { createKafkaHoldings } from '../../src/log/kafka-holdings.ts'
import { ascending } from '../contract/support.ts'

function holding(...partitions: number[]) {
  const holdings = createKafkaHoldings()
  holdings.assign(partitions)
  holdings.take(partitions)
  return holdings
}

describe('The holdings of a member', () => {
  it('claim what was assigned before it is taken, so that no other is given it (H1)', () => {
    const holdings = holding(1)
    expect(holdings.assign([0, 1])).toBe(false)
    expect(holdings.held()).toEqual([1])
    expect(holdings.missing()).toEqual([0])
    expect(holdings.claimed().toSorted(ascending)).toEqual([0, 1])
    holdings.take([0])
    expect(holdings.held()).toEqual([0, 1])
    expect(holdings.hasChanged()).toBe(false)
  })

  it('tell when something claimed and not taken is free: nobody else could be given it in that round', () => {
    const holdings = holding(1)
    holdings.assign([0, 1])
    expect(holdings.assign([1])).toBe(true)
    expect(holdings.hasChanged()).toBe(false)
  })

  it('give back what another round takes away, after the member has', () => {
    const holdings = holding(0, 1)
    expect(holdings.assign([1])).toBe(false)
    expect(holdings.surplus()).toEqual([0])
    expect(holdings.claimed().toSorted(ascending)).toEqual([0, 1])
    holdings.giveBack([0])
    expect(holdings.claimed()).toEqual([1])
  })

  it('keep what was renounced renounced over a round that leaves it here, and take it in the next (H2)', () => {
    const holdings = holding(0, 1)
    holdings.renounce([1, 7])
    expect(holdings.assign([0, 1])).toBe(false)
    expect(holdings.surplus()).toEqual([1])
    holdings.giveBack([1])
    expect([holdings.held(), holdings.claimed(), holdings.missing()]).toEqual([[0], [0], []])
    holdings.assign([0, 1])
    expect(holdings.missing()).toEqual([1])
    holdings.take([1])
    expect(holdings.hasChanged()).toBe(false)
  })

  it('are all surplus when the member is taken for dead', () => {
    const holdings = holding(0, 1)
    holdings.lose()
    expect(holdings.surplus()).toEqual([0, 1])
  })
})
