/** Waiting for what nobody announces: looks until it is so. For what is announced, wait on the announcement instead. */
import { setTimeout as sleep } from 'node:timers/promises'

const lookEveryMs = 15

/**
 * Looks until `look` gives something other than undefined or false.
 * @throws Error that names `what` and the last look, when time is up.
 */
export async function until<T>(what: string, look: () => T | Promise<T>, timeoutMs = 30_000): Promise<T & {}> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false && found !== null) return found
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs / 1_000} s for ${what}`)
    await sleep(lookEveryMs)
  }
}
