import { describe, expect, it } from 'vitest'
import type { LogRecord } from '../../src/log/event-log.ts'
import { createTail } from '../../src/log/sqlite-tail.ts'

const at = (offset: number): LogRecord => ({
  topic: 't',
  partition: 0,
  offset,
  key: null,
  value: null,
  timestampMs: 0,
})
const offsets = (page: LogRecord[] | undefined) => page?.map(({ offset }) => offset)

describe('A tail', () => {
  it('gives pages of what was added, and nothing where it does not reach', () => {
    const tail = createTail()
    for (const offset of [5, 6, 7]) tail.add(at(offset))
    expect(offsets(tail.page(5, 10))).toEqual([5, 6, 7])
    expect(offsets(tail.page(6, 1))).toEqual([6])
    expect(tail.page(4, 10)).toBeUndefined()
    expect(tail.page(8, 10)).toBeUndefined()
  })

  it('begins anew after a gap, because another process wrote what is missing', () => {
    const tail = createTail()
    for (const offset of [1, 2, 4]) tail.add(at(offset))
    expect(tail.page(2, 10)).toBeUndefined()
    expect(offsets(tail.page(4, 10))).toEqual([4])
  })

  it('keeps the newest ones only, and none once it was told to forget', () => {
    const tail = createTail({ recordsMax: 6 })
    for (let offset = 0; offset < 10; offset++) tail.add(at(offset))
    expect(tail.page(2, 10)).toBeUndefined()
    expect(offsets(tail.page(7, 10))).toEqual([7, 8, 9])
    tail.forget()
    expect(tail.page(9, 10)).toBeUndefined()
  })

  it('keeps few large records, and the newest one however large (T3)', () => {
    const tail = createTail({ bytesMax: 1_000 })
    const large = (offset: number, bytes: number) => ({ ...at(offset), value: Buffer.alloc(bytes) })
    for (let offset = 0; offset < 10; offset++) tail.add(large(offset, 300))
    expect(tail.page(6, 10)).toBeUndefined()
    expect(offsets(tail.page(8, 10))).toEqual([8, 9])
    tail.add(large(10, 5_000))
    expect(tail.page(9, 10)).toBeUndefined()
    expect(offsets(tail.page(10, 10))).toEqual([10])
  })

  it('drops what the log has deleted', () => {
    const tail = createTail()
    for (const offset of [5, 6, 7]) tail.add(at(offset))
    tail.dropBelow(6)
    expect(tail.page(5, 10)).toBeUndefined()
    expect(offsets(tail.page(6, 10))).toEqual([6, 7])
    tail.dropBelow(9)
    expect(tail.page(7, 10)).toBeUndefined()
  })
})
