import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openStateStore, StoreUnusableError } from '../../src/actors/state-store.ts'

let folder: string
let file: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pizza-store-'))
  file = join(folder, 'deeper', 'orders.sqlite')
  const { db, close } = openStateStore(file, { readOnly: false })
  db.exec('CREATE TABLE things (name TEXT PRIMARY KEY, what TEXT); CREATE INDEX by_what ON things (what)')
  const add = db.prepare('INSERT INTO things VALUES (?, ?)')
  for (let i = 0; i < 500; i++) add.run(`thing ${i}`, 'x'.repeat(300))
  close()
})

afterEach(() => rm(folder, { recursive: true }))

const pageBytes = 4_096

const damages: Record<string, () => Promise<void>> = {
  'replaced by something else': () => writeFile(file, 'not a database, but long enough to be one '.repeat(400)),
  'that lost its head': () => overwrite(0, Buffer.alloc(100)),
  'that lost its end': async () => truncate(file, (await readFile(file)).length - 3 * pageBytes),
  'with a page of zeros': async () => overwrite(await findLeaf(), Buffer.alloc(pageBytes)),
}

describe('The file of a state store', () => {
  it.each(Object.entries(damages))('%s is refused with what to do, and left alone', async (_, damage) => {
    await damage()
    const before = await readFile(file)
    for (const readOnly of [false, true, false]) {
      // The third time: a refusal must not keep the file locked.
      expect(() => openStateStore(file, { readOnly })).toThrow(StoreUnusableError)
      expect(() => openStateStore(file, { readOnly })).toThrow(
        /^Cannot use the state store .*orders\.sqlite: it is damaged \([^\n]+\)\. Delete it and orders\.sqlite-wal: the next start rebuilds it from the log\.$/,
      )
    }
    expect(await readFile(file)).toEqual(before)
  })

  it('that is whole opens with everything in it', () => {
    const { db, close } = openStateStore(file, { readOnly: false })
    expect(db.prepare('SELECT count(*) AS things FROM things').get()).toEqual({ things: 500 })
    close()
  })
})

/** Where a page with rows begins. */
async function findLeaf(): Promise<number> {
  const bytes = await readFile(file)
  return pageBytes * bytes.filter((_, at) => at % pageBytes === 0).lastIndexOf(13)
}

async function overwrite(at: number, bytes: Buffer): Promise<void> {
  const handle = await open(file, 'r+')
  await handle.write(bytes, 0, bytes.length, at)
  await handle.close()
}
