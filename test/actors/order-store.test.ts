import { mkdtempSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createOrderStore, type DirtyOrder, type OrderStore } from '../../src/actors/order-store.ts'
import type { LogRecord, Positions } from '../../src/log/event-log.ts'

function createFile(): string {
  const dir = mkdtempSync(join(tmpdir(), 'pizza-actors-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return join(dir, 'state', 'orders.sqlite')
}

function open(file: string, options?: { readOnly: boolean }): OrderStore {
  const store = createOrderStore(file, options)
  onTestFinished(() => store.close())
  return store
}

const at = (position: number): Positions => new Map([['orders', new Map([[0, position]])]])
const placed = { topic: 'orders', partition: 0, offset: 0, at: 5, pizza: null, count: 2 }
const sauced = {
  topic: 'pizza-with-sauce',
  partition: 0,
  offset: 3,
  at: 6,
  pizza: { pizza_id: 1, topping: 'sauce', choice: 'bbq' },
  count: null,
}

function order(order_id: string, changed: Partial<DirtyOrder> = {}): DirtyOrder {
  const defaults = { partition: 0, count: 2, status: 'preparing' as const, placedAt: 5, readyAt: 0 }
  return { order_id, ...defaults, version: 1, envelope: '{}', entries: [placed], ...changed }
}

const checkpoint = (positions: Positions, orders: DirtyOrder[], held: LogRecord[] = []) => ({ positions, orders, held })

describe('The order store', () => {
  it('gives back what a checkpoint wrote, also to the next process', () => {
    const file = createFile()
    const first = open(file)
    const chunks = first.checkpoint(checkpoint(at(1), [order('7'), order('8')]))
    first.checkpoint(checkpoint(at(2), [order('7', { version: 2, status: 'ready', readyAt: 6, entries: [sauced] })]))
    first.close()
    const second = open(file)
    expect(second.epoch).toBe(first.epoch)
    expect(second.positions()).toEqual(at(2))
    expect(second.load('7')).toMatchObject({ version: 2, status: 'ready', readyAt: 6, placedAt: 5, count: 2 })
    expect(second.load('9')).toBeUndefined()
    expect(second.counts()).toEqual({ preparing: 1, ready: 1 })
    expect([...second.all()].map(({ order_id }) => order_id).toSorted()).toEqual(['7', '8'])
    expect(chunks.map(({ seq, order_id, firstVersion }) => [seq, order_id, firstVersion])).toEqual([
      [1, '7', 1],
      [2, '8', 1],
    ])
    expect(second.journal('7')).toEqual([
      { seq: 1, order_id: '7', firstVersion: 1, entries: [placed], status: 'preparing' },
      { seq: 3, order_id: '7', firstVersion: 2, entries: [sauced], status: 'ready' },
    ])
    expect(second.journalAfter(1, 10).map(({ seq }) => seq)).toEqual([2, 3])
    expect(second.journalAfter(0, 2).map(({ seq }) => seq)).toEqual([1, 2])
    expect(second.lastSeq()).toBe(3)
  })

  it('takes all of a checkpoint or nothing (S1)', () => {
    const store = open(createFile())
    const record: LogRecord = {
      topic: 't',
      partition: 0,
      offset: 4,
      key: null,
      value: Buffer.from('v'),
      timestampMs: 9,
    }
    store.checkpoint(checkpoint(at(1), [order('7')], [record]))
    const broken = order('8', { envelope: null as unknown as string })
    expect(() => store.checkpoint(checkpoint(at(9), [order('7', { version: 2 }), broken]))).toThrow('NOT NULL')
    expect(store.positions()).toEqual(at(1))
    expect(store.load('7')).toMatchObject({ version: 1 })
    expect(store.journal('7')).toHaveLength(1)
    expect(store.held()).toEqual([record])
    store.checkpoint(checkpoint(at(2), [order('8')]))
    expect([store.positions(), store.held()]).toEqual([at(2), []])
  })

  it('gives held records back byte for byte, in the order in which they were held (H1)', () => {
    const file = createFile()
    const records = [7, 3, 5].map((offset): LogRecord => {
      const bytes = offset === 3 ? null : Buffer.from([0, 255, offset])
      return { topic: 't', partition: 1, offset, key: bytes, value: bytes, timestampMs: offset }
    })
    const first = open(file)
    first.checkpoint(checkpoint(at(1), [], records))
    first.close()
    expect(open(file).held()).toEqual(records)
  })

  it('has one writer at a time, and any number of readers beside it (S2)', () => {
    const file = createFile()
    const writer = open(file)
    expect(() => createOrderStore(file)).toThrow('another process of the same role works on it')
    const reader = open(file, { readOnly: true })
    writer.checkpoint(checkpoint(at(1), [order('7')]))
    expect(reader.load('7')).toMatchObject({ version: 1 })
    expect(() => reader.checkpoint(checkpoint(at(2), []))).toThrow('readonly')
    writer.close()
    open(file).checkpoint(checkpoint(at(2), []))
  })

  it('holds a cut still for a reader while its writer goes on', () => {
    const file = createFile()
    const writer = open(file)
    writer.checkpoint(checkpoint(at(1), [order('7')]))
    const reader = open(file, { readOnly: true })
    const cut = reader.hold()
    expect(reader.positions()).toEqual(at(1))
    writer.checkpoint(checkpoint(at(2), [order('8')]))
    expect([reader.positions(), reader.load('8')]).toEqual([at(1), undefined])
    cut.release()
    expect([reader.positions(), reader.load('8')?.order_id]).toEqual([at(2), '8'])
  })

  it('of a newer version of the program is refused and not touched (P10)', () => {
    const file = createFile()
    open(file).close()
    const db = new DatabaseSync(file)
    db.exec('PRAGMA user_version=2')
    db.close()
    expect(() => createOrderStore(file)).toThrow(
      'a newer version of this program wrote it (schema 2, this one knows 1)',
    )
  })
})
