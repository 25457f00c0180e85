/** Damage to the files of a state store, done while its process is down: what bad disks, bad copies and hasty hands leave behind. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Random } from '../support/random.ts'

/** What SQLite can find. Bits that flip inside a row are not among it: `verify` finds those, and nothing before (docs/proof.md). */
const damages = ['flip bits of the write-ahead log', 'zero a page', 'break the head', 'truncate', 'replace'] as const

export type Damage = (typeof damages)[number]

export function chooseDamage(random: Random): Damage {
  return random.pick(damages)
}

/** Damages the store's file or its write-ahead log. @returns what was done. */
export async function damage(store: string, how: Damage, random: Random): Promise<string> {
  const wal = `${store}-wal`
  const hasWal = existsSync(wal) && (await stat(wal)).size > 0
  const isOfWal = hasWal && (how === 'flip bits of the write-ahead log' || random.oneIn(3))
  const file = isOfWal ? wal : store
  const { size } = await stat(file)
  const name = basename(file)
  switch (how) {
    case 'truncate': {
      const bytes = random.below(size)
      await truncate(file, bytes)
      return `${name} truncated from ${size} to ${bytes} bytes`
    }
    case 'replace':
      await writeFile(file, randomBytes(Math.min(size, 65_536)))
      return `${name} replaced by random bytes`
    case 'zero a page': {
      const at = isOfWal ? pageBytes * random.below(size / pageBytes) : await chooseTreePage(file, random)
      await overwrite(file, at, () => Buffer.alloc(pageBytes))
      return `${name}: page at ${at} of ${size} zeroed`
    }
    case 'break the head':
      return `${name}: ${await flipBits(file, Math.min(100, size), random)} of its head flipped`
    case 'flip bits of the write-ahead log':
      if (!isOfWal) return `${name} has no write-ahead log, nothing done`
      return `${name}: ${await flipBits(file, size, random)} flipped`
  }
}

const pageBytes = 4_096

/** A page that is a node of a tree. The others hold the rest of long rows, where zeros are a row with other contents. */
async function chooseTreePage(file: string, random: Random): Promise<number> {
  const bytes = await readFile(file)
  const pages = Array.from({ length: Math.floor(bytes.length / pageBytes) }, (_, page) => page * pageBytes)
  const nodes = new Set([2, 5, 10, 13])
  return random.pick(pages.filter((at) => nodes.has(bytes[at === 0 ? 100 : at]!)))
}

/** Deletes a store, as the documents tell to: the file with what SQLite keeps beside it, or the file alone. */
export async function deleteStore(store: string, { alone = false } = {}): Promise<void> {
  for (const file of alone ? [store] : [store, `${store}-wal`, `${store}-shm`]) await rm(file, { force: true })
}

/** Flips up to 64 bits of the first bytes of a file. @returns how many. */
async function flipBits(file: string, firstBytes: number, random: Random): Promise<string> {
  const places = new Set(Array.from({ length: 1 + random.below(64) }, () => random.below(firstBytes * 8)))
  for (const place of places) {
    await overwrite(file, place >> 3, (byte) => Buffer.of(byte ^ (1 << (place & 7))))
  }
  return `${places.size} bits`
}

async function overwrite(file: string, at: number, change: (byte: number) => Buffer): Promise<void> {
  const handle = await open(file, 'r+')
  try {
    const byte = Buffer.alloc(1)
    await handle.read(byte, 0, 1, at)
    const bytes = change(byte[0]!)
    await handle.write(bytes, 0, bytes.length, at)
  } finally {
    await handle.close()
  }
}
