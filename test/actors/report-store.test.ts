import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createReportStore } from '../../src/actors/report-store.ts'

const at = (partition: number, position: number) => new Map([['pizza-with-cheese', new Map([[partition, position]])]])

function createFile(): string {
  const dir = mkdtempSync(join(tmpdir(), 'pizza-actors-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return join(dir, 'report.sqlite')
}

function open(file: string, options = {}) {
  const store = createReportStore(file, options)
  onTestFinished(() => store.close())
  return store
}

describe('The report store', () => {
  it('takes all of a checkpoint or nothing (P7)', () => {
    const store = open(createFile())
    const counted = new Map([[0, new Map([['7', new Uint8Array([1, 128])]])]])
    store.checkpoint({ counts: new Map([[0, new Map([['none', 1]])]]), counted, positions: at(0, 1) })
    const torn = {
      counts: new Map([[0, new Map([['none', 2]])]]),
      counted: new Map([[0, new Map([['8', null as unknown as Uint8Array]])]]),
      positions: at(0, 2),
    }
    expect(() => store.checkpoint(torn)).toThrow('NOT NULL')
    expect([...store.counts()]).toEqual([['none', 1]])
    expect([store.counted(0, '7'), store.counted(0, '8')]).toEqual([new Uint8Array([1, 128]), undefined])
    expect(store.positions()).toEqual(at(0, 1))
  })

  it('keeps partitions apart, and adds them up', () => {
    const store = open(createFile())
    const counts = new Map([
      [0, new Map([['none', 1]])],
      [4, new Map(Object.entries({ none: 2, extra: 3 }))],
    ])
    const counted = new Map([[4, new Map([['7', new Uint8Array([1])]])]])
    store.checkpoint({ counts, counted, positions: at(4, 5) })
    expect([...store.counts(0)]).toEqual([['none', 1]])
    expect([...store.counts(4)]).toEqual([
      ['extra', 3],
      ['none', 2],
    ])
    expect([...store.counts(1)]).toEqual([])
    expect([...store.counts()]).toEqual([
      ['extra', 3],
      ['none', 3],
    ])
    expect([store.counted(4, '7'), store.counted(0, '7')]).toEqual([new Uint8Array([1]), undefined])
  })

  it('drops what a version wrote that counted all partitions together, positions included, so that it is counted again', () => {
    const file = createFile()
    const db = new DatabaseSync(file)
    db.exec(`CREATE TABLE counts (choice TEXT PRIMARY KEY, pizzas INTEGER NOT NULL);
      CREATE TABLE counted (order_id TEXT PRIMARY KEY, pizzas BLOB NOT NULL);
      CREATE TABLE positions (topic TEXT, partition INTEGER, position INTEGER NOT NULL, PRIMARY KEY (topic, partition));
      INSERT INTO counts VALUES ('none', 9); INSERT INTO counted VALUES ('7', x'01');
      INSERT INTO positions VALUES ('pizza-with-cheese', 0, 9)`)
    db.close()
    expect(() => open(file, { readOnly: true })).toThrow('Start the cheese reporter of this one')
    const store = open(file)
    expect([store.counts(), store.positions(), store.counted(0, '7')]).toEqual([new Map(), new Map(), undefined])
    store.checkpoint({ counts: new Map([[0, new Map([['none', 1]])]]), counted: new Map(), positions: at(0, 1) })
    store.close()
    expect([...open(file).counts()]).toEqual([['none', 1]])
  })

  it('of a newer version of the program is refused and not touched', () => {
    const file = createFile()
    open(file).close()
    const db = new DatabaseSync(file)
    db.exec('PRAGMA user_version=3')
    db.close()
    for (const readOnly of [true, false]) {
      expect(() => open(file, { readOnly })).toThrow(
        'a newer version of this program wrote it (schema 3, this one knows 2)',
      )
    }
  })
})
