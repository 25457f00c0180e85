/**
 * Presence of processes on one log file. Each process with consumers holds an exclusive lock on a file of its own in
 * `<log>-members/` for as long as it lives; the system drops the lock with the process, so a death is noticed at the next look
 * and not after a time-out. Beats, the file's modification time, tell a process that hangs from one that works.
 *
 * P1: lock files are made and removed inside a write transaction of the log, so nobody removes one that is just being made.
 * P2: only silence that was watched counts: a watcher that slept itself takes nobody for dead because of it.
 */
import { mkdirSync, readdirSync, rmdirSync, rmSync, statSync, utimesSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isBusy } from './sqlite-file.ts'

export interface Presence {
  /** The name under which this process stands in the log. */
  readonly process: string
  /** Makes and locks this process's file once, and removes files of dead processes. Call it inside a transaction (P1). */
  enter(): void
  beat(): void
  /** Looks at other processes once. @returns those that are dead or silent for too long. */
  findGone(processes: readonly string[]): string[]
  /** Removes the lock file of a process if that process is dead. Call it inside a transaction (P1). */
  removeFile(name: string): void
  leave(): void
}

export interface PresenceOptions {
  readonly file: string
  readonly sessionTimeoutMs: number
  /** How often findGone is called; a longer gap between two looks counts as two of these (P2). */
  readonly lookMs: number
}

interface Peer {
  readonly probe: DatabaseSync
  beatAtMs: number
  silentMs: number
}

export function createPresence({ file, sessionTimeoutMs, lookMs }: PresenceOptions): Presence {
  const folder = `${file}-members`
  const own = randomUUID()
  const pathOf = (name: string) => join(folder, `${name}.lock`)
  const peers = new Map<string, Peer>()
  let held: DatabaseSync | undefined
  let lookedAtMs = performance.now()

  function forget(name: string): void {
    peers.get(name)?.probe.close()
    peers.delete(name)
  }

  function look(name: string, sinceMs: number): 'there' | 'gone' {
    const beatAtMs = statSync(pathOf(name), { throwIfNoEntry: false })?.mtimeMs
    if (beatAtMs === undefined) return 'gone'
    let peer = peers.get(name)
    if (!peer) peers.set(name, (peer = { probe: openLockFile(pathOf(name)), beatAtMs, silentMs: 0 }))
    if (!isLocked(peer.probe)) return 'gone'
    peer.silentMs = beatAtMs === peer.beatAtMs ? peer.silentMs + Math.min(sinceMs, 2 * lookMs) : 0
    peer.beatAtMs = beatAtMs
    return peer.silentMs > sessionTimeoutMs ? 'gone' : 'there'
  }

  function removeFile(name: string): void {
    forget(name)
    if (statSync(pathOf(name), { throwIfNoEntry: false }) === undefined) return
    const probe = openLockFile(pathOf(name))
    const isDead = !isLocked(probe)
    probe.close()
    if (isDead) rmSync(pathOf(name), { force: true })
  }

  return {
    process: own,
    enter() {
      if (held) return
      mkdirSync(folder, { recursive: true })
      for (const entry of readdirSync(folder)) if (entry.endsWith('.lock')) removeFile(entry.slice(0, -'.lock'.length))
      held = openLockFile(pathOf(own))
      // Nothing is ever written to it, so it needs no journal file beside it.
      held.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    },
    beat() {
      // By path: opening the file here and closing it again would drop the lock (POSIX locks belong to the process).
      if (held) utimesSync(pathOf(own), new Date(), new Date())
    },
    findGone(processes) {
      const sinceMs = performance.now() - lookedAtMs
      lookedAtMs = performance.now()
      for (const name of peers.keys()) if (!processes.includes(name)) forget(name)
      return processes.filter((name) => look(name, sinceMs) === 'gone')
    },
    removeFile,
    leave() {
      for (const name of peers.keys()) forget(name)
      if (!held) return
      rmSync(pathOf(own), { force: true })
      held.close()
      held = undefined
      try {
        rmdirSync(folder)
      } catch {
        // Others are still in it.
      }
    },
  }
}

function openLockFile(path: string): DatabaseSync {
  return new DatabaseSync(path, { timeout: 0 })
}

function isLocked(probe: DatabaseSync): boolean {
  try {
    probe.exec('BEGIN EXCLUSIVE')
    probe.exec('ROLLBACK')
    return false
  } catch (error) {
    if (isBusy(error)) return true
    throw error
  }
}
