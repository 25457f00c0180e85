/**
 * Disk that can be filled. Where the user may mount one, a tmpfs that shrinks to what is on it: every write then fails with ENOSPC, of
 * every program. Elsewhere a limit on the size of files that running processes may write (prlimit), which makes the same writes
 * of these processes fail with EFBIG, in the same place of SQLite.
 */
import { execFile, execFileSync } from 'node:child_process'
import { cp, rename, statfs } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Disk {
  /** How it is filled; `undefined` where it cannot be. */
  readonly means: 'tmpfs' | 'file size limit' | undefined
  /** Leaves room for so many bytes: on the disk, or in each file of these processes. @returns what gives the room back. */
  fill(pids: readonly number[], roomBytes: number): Promise<() => Promise<void>>
  /** `keep`: leaves the files where they were. */
  close(options: { keep: boolean }): Promise<void>
}

const sizeBytes = 2 ** 30

/** Prepares an empty folder. `mayMount`: whether to try a tmpfs. */
export async function openDisk(folder: string, { mayMount }: { mayMount: boolean }): Promise<Disk> {
  if (mayMount && (await works('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs', folder])))
    return createTmpfs(folder)
  const canLimit = await works('prlimit', ['--version'])
  return {
    means: canLimit ? 'file size limit' : undefined,
    async fill(pids, roomBytes) {
      await Promise.all(pids.map((pid) => limitFiles(pid, String(roomBytes))))
      return async () => {
        await Promise.all(pids.map((pid) => limitFiles(pid, 'unlimited')))
      }
    },
    close: () => Promise.resolve(),
  }
}

function createTmpfs(folder: string): Disk {
  const resize = (bytes: number) => run('mount', ['-o', `remount,size=${bytes}`, folder])
  // The last resort: a mount outlives the process that made it.
  const unmount = (): void => void execFileSync('umount', ['-l', folder])
  process.once('exit', unmount)
  return {
    means: 'tmpfs',
    async fill(_pids, roomBytes) {
      for (let attempt = 1; ; attempt++) {
        const { blocks, bfree, bsize } = await statfs(folder)
        // Refused when the shop has written more than the room since the look.
        const isSmall = await resize((blocks - bfree) * bsize + attempt * roomBytes).then(
          () => true,
          () => false,
        )
        if (isSmall) break
        if (attempt === 10) throw new Error(`Cannot make the tmpfs at ${folder} smaller`)
      }
      return async () => {
        await resize(sizeBytes)
      }
    },
    async close({ keep }) {
      const copy = `${folder}.copy`
      if (keep) await cp(folder, copy, { recursive: true })
      process.off('exit', unmount)
      unmount()
      if (keep) await rename(copy, folder)
    },
  }
}

/** The soft limit only, so that it can be raised again. A process that has ended needs none. */
async function limitFiles(pid: number, bytes: string): Promise<void> {
  await works('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`])
}

function works(command: string, args: readonly string[]): Promise<boolean> {
  return run(command, args).then(
    () => true,
    () => false,
  )
}
