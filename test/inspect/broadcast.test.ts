import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createBroadcast } from '../../src/inspect/broadcast.ts'

/** A reader whose socket takes what the test lets it take. */
function createReader() {
  const written: string[] = []
  const res = Object.assign(new EventEmitter(), {
    writableNeedDrain: false,
    destroyed: false,
    write: (text: string) => written.push(text),
    end: () => res.emit('close'),
    destroy() {
      res.destroyed = true
      res.emit('close')
    },
  })
  return { res: res as typeof res & ServerResponse, written }
}

const message = (view: unknown) => `data: ${JSON.stringify(view)}\n\n`

describe('A broadcast', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const open = (view: () => unknown) => {
    const calls = { first: 0, last: 0, views: 0, errors: [] as unknown[] }
    const broadcast = createBroadcast({
      tickMs: 100,
      view: async () => {
        calls.views++
        return view()
      },
      onError: (error) => calls.errors.push(error),
      onFirst: () => calls.first++,
      onLast: () => calls.last++,
    })
    return { broadcast, calls }
  }

  test('makes the view once a tick for all readers, and not at all without any (B1)', async () => {
    let n = 0
    const { broadcast, calls } = open(() => ++n)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(calls.views).toBe(0)
    const readers = [createReader(), createReader(), createReader()]
    for (const { res } of readers) broadcast.join(res)
    await vi.advanceTimersByTimeAsync(350)
    expect(calls.views).toBe(4)
    for (const { written } of readers) expect(written).toEqual([1, 2, 3, 4].map(message))
    for (const { res } of readers) res.end()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(calls).toMatchObject({ views: 4, first: 1, last: 1 })
  })

  test('keeps nothing for a slow reader: it misses messages and then gets the newest (B2)', async () => {
    let n = 0
    const { broadcast } = open(() => ++n)
    const [slow, fast] = [createReader(), createReader()]
    broadcast.join(slow.res)
    broadcast.join(fast.res)
    await vi.advanceTimersByTimeAsync(50)
    slow.res.writableNeedDrain = true
    await vi.advanceTimersByTimeAsync(500)
    expect(slow.written).toEqual([message(1)])
    expect(fast.written).toHaveLength(6)
    slow.res.writableNeedDrain = false
    await vi.advanceTimersByTimeAsync(100)
    expect(slow.written).toEqual([message(1), message(7)])
  })

  test('cuts off a reader that takes nothing for half a minute (B2)', async () => {
    const { broadcast } = open(() => 1)
    const { res } = createReader()
    broadcast.join(res)
    await vi.advanceTimersByTimeAsync(50)
    res.writableNeedDrain = true
    await vi.advanceTimersByTimeAsync(29_000)
    expect(res.destroyed).toBe(false)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(res.destroyed).toBe(true)
    expect(broadcast.size).toBe(0)
  })

  test('sends nothing new when nothing changed, save a comment that shows it lives (B3)', async () => {
    const { broadcast } = open(() => 'same')
    const { res, written } = createReader()
    broadcast.join(res)
    await vi.advanceTimersByTimeAsync(31_000)
    expect(written.filter((text) => text === message('same'))).toHaveLength(1)
    expect(written.filter((text) => text === ':\n\n').length).toBeGreaterThanOrEqual(2)
  })

  test('gives a reader that joins later the view at once, and goes on after a failure', async () => {
    let isBroken = false
    const { broadcast, calls } = open(() => {
      if (isBroken) throw new Error('log away')
      return 'view'
    })
    const first = createReader()
    broadcast.join(first.res)
    await vi.advanceTimersByTimeAsync(50)
    isBroken = true
    await vi.advanceTimersByTimeAsync(200)
    expect(calls.errors).toHaveLength(2)
    const second = createReader()
    broadcast.join(second.res)
    expect(second.written).toEqual([message('view')])
    isBroken = false
    await vi.advanceTimersByTimeAsync(100)
    expect(calls.errors).toHaveLength(2)
  })

  test('starts anew when somebody comes back, and tells what is true then', async () => {
    let n = 0
    const { broadcast, calls } = open(() => ++n)
    const first = createReader()
    broadcast.join(first.res)
    await vi.advanceTimersByTimeAsync(50)
    first.res.end()
    const second = createReader()
    broadcast.join(second.res)
    await vi.advanceTimersByTimeAsync(50)
    expect(second.written).toEqual([message(2)])
    expect(calls).toMatchObject({ first: 2, last: 1 })
  })
})
