import { describe, expect, test } from 'vitest'
import type { Clock } from '../../src/actors/clock.ts'
import { createPeers } from '../../src/actors/peers.ts'
import { createMemoryLog } from '../../src/log/memory-log.ts'

/** A clock that stands still until it is moved. What is due then runs at once, however late. */
function createManualClock() {
  let at = 0
  const due = new Set<{ run: () => void; atMs: number }>()
  const clock: Clock = {
    now: () => at,
    elapsed: () => at,
    later(run, delayMs) {
      const one = { run, atMs: at + delayMs }
      due.add(one)
      return () => void due.delete(one)
    },
  }
  const move = (ms: number): void => {
    at += ms
    for (const one of due) if (one.atMs <= at && due.delete(one)) one.run()
  }
  return { clock, move }
}

function openPeers(owners: () => Promise<Map<number, string>>) {
  const { clock, move } = createManualClock()
  const log = { ...createMemoryLog(), owners }
  return { move, peers: createPeers({ log, groupId: 'g', self: 'me', partitions: 2, isHere: () => false, clock }) }
}

describe('Peers, when the log does not answer', () => {
  test('go on after a second with what was known, and then without waiting', async () => {
    let answer: () => Promise<Map<number, string>> = async () => new Map([[1, 'other']])
    const { peers, move } = openPeers(() => answer())
    expect(await peers.others()).toEqual(new Map([['other', [1]]]))
    expect(peers.isAway()).toBe(false)
    const late = Promise.withResolvers<Map<number, string>>()
    answer = () => late.promise
    move(600)
    const asked = peers.others()
    move(1_000)
    expect([await asked, peers.isAway()]).toEqual([new Map([['other', [1]]]), true])
    move(5_000)
    expect(await peers.others()).toEqual(new Map([['other', [1]]]))
    late.resolve(new Map([[1, 'third']]))
    await late.promise
    expect([await peers.others(), peers.isAway()]).toEqual([new Map([['third', [1]]]), false])
  })

  test('do not take a pause of their own process for that: others may have taken over meanwhile', async () => {
    const { peers, move } = openPeers(() => new Promise(() => {}))
    const asked = peers.others()
    move(30_000)
    await asked
    expect(peers.isAway()).toBe(false)
  })
})
