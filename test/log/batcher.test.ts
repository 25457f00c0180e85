import { describe, expect, it } from 'vitest'
import { createBatcher } from '../../src/log/batcher.ts'

/** A writer whose writes finish when the test says so. */
function createHeldWriter() {
  const writes: { items: readonly number[]; finish: () => void; fail: (error: Error) => void }[] = []
  let announce: (() => void) | undefined
  return {
    writes,
    write(items: readonly number[]): Promise<number[]> {
      return new Promise((resolve, reject) => {
        writes.push({ items, finish: () => resolve(items.map((item) => item * 10)), fail: reject })
        announce?.()
      })
    },
    async started(count: number): Promise<void> {
      while (writes.length < count) await new Promise<void>((resolve) => (announce = resolve))
    },
  }
}

describe('A batcher', () => {
  it('shares one write among the calls of one turn and gives each caller its own results', async () => {
    const sizes: number[] = []
    const batcher = createBatcher<number, number>({
      write: (items) => {
        sizes.push(items.length)
        return items.map((item) => item * 10)
      },
    })
    const results = await Promise.all([batcher.add([1, 2]), batcher.add([3]), batcher.add([]), batcher.add([4])])
    expect(results).toEqual([[10, 20], [30], [], [40]])
    expect(sizes).toEqual([4])
  })

  it('keeps one write in flight and gathers what comes meanwhile, in order', async () => {
    const writer = createHeldWriter()
    const batcher = createBatcher({ write: writer.write })
    const first = batcher.add([1])
    await writer.started(1)
    const later = [batcher.add([2]), batcher.add([3, 4])]
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect(writer.writes).toHaveLength(1)
    writer.writes[0]!.finish()
    expect(await first).toEqual([10])
    await writer.started(2)
    expect(writer.writes[1]!.items).toEqual([2, 3, 4])
    writer.writes[1]!.finish()
    expect(await Promise.all(later)).toEqual([[20], [30, 40]])
  })

  it('cuts calls at recordsMax and resolves a large call after its last write', async () => {
    const writes: (readonly number[])[] = []
    const batcher = createBatcher<number, number>({
      recordsMax: 3,
      write: (items) => {
        writes.push(items)
        return items
      },
    })
    const results = await Promise.all([batcher.add([1, 2]), batcher.add([3, 4, 5, 6, 7]), batcher.add([8])])
    expect(results).toEqual([[1, 2], [3, 4, 5, 6, 7], [8]])
    expect(writes).toEqual([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8],
    ])
  })

  it('rejects exactly the callers of a write that fails, and drops the rest of a call cut in two', async () => {
    const writer = createHeldWriter()
    const batcher = createBatcher({ write: writer.write, recordsMax: 2 })
    const settled = Promise.allSettled([batcher.add([1]), batcher.add([2, 3, 4]), batcher.add([5])])
    await writer.started(1)
    writer.writes[0]!.fail(new Error('disk on fire'))
    await writer.started(2)
    expect(writer.writes[1]!.items).toEqual([5])
    writer.writes[1]!.finish()
    expect((await settled).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
    expect(writer.writes).toHaveLength(2)
  })

  it('treats a write that throws at once like one that rejects', async () => {
    const batcher = createBatcher<number, number>({
      write: () => {
        throw new TypeError('x is not a function')
      },
    })
    await expect(batcher.add([1])).rejects.toThrow(TypeError)
    await batcher.idle()
  })

  it('is idle once everything is settled', async () => {
    const writer = createHeldWriter()
    const batcher = createBatcher({ write: writer.write })
    await batcher.idle()
    let isIdle = false
    const call = batcher.add([1])
    const idle = batcher.idle().then(() => (isIdle = true))
    await writer.started(1)
    expect(isIdle).toBe(false)
    writer.writes[0]!.finish()
    await Promise.all([call, idle])
  })
})
