/**
 * Batcher. Turns overlapping calls into few writes (group commit); does no I/O itself. Owns the queue of calls, not the records.
 *
 * B1: one write is in flight at a time, and items are written in the order of the calls.
 * B2: a write holds at most `recordsMax` items; a larger call goes out in several writes, and resolves after the last.
 * B3: a write that fails rejects exactly the calls that had items in it; later calls are still written.
 */

export interface BatcherOptions<Item, Result> {
  /** Writes the items in order; gives one result an item, in the same order. */
  readonly write: (items: readonly Item[]) => readonly Result[] | Promise<readonly Result[]>
  /** At most this many items in one write (default 1,000). */
  readonly recordsMax?: number
  /** Starts a write a little later, so that calls of one turn share it (default setImmediate). */
  readonly schedule?: (run: () => void) => void
}

export interface Batcher<Item, Result> {
  /** Queues items; resolves with their results once all are written. An empty call resolves at once. */
  add(items: readonly Item[]): Promise<Result[]>
  /** Resolves when nothing is queued or in flight. */
  idle(): Promise<void>
}

interface Call<Item, Result> {
  readonly items: readonly Item[]
  readonly results: Result[]
  readonly resolve: (results: Result[]) => void
  readonly reject: (error: unknown) => void
  taken: number
}

/** Creates a batcher around `write`. */
export function createBatcher<Item, Result>(options: BatcherOptions<Item, Result>): Batcher<Item, Result> {
  const { write, recordsMax = 1_000, schedule = (run) => void setImmediate(run) } = options
  let queue: Call<Item, Result>[] = []
  let running = false
  let waiters: (() => void)[] = []

  /** Takes calls off the queue up to `recordsMax` items; a call that does not fit whole stays at its head. */
  function take(): { items: readonly Item[]; parts: { call: Call<Item, Result>; count: number }[] } {
    const items: Item[] = []
    const parts = []
    let whole = 0
    for (const call of queue) {
      const count = Math.min(call.items.length - call.taken, recordsMax - items.length)
      if (count === 0) break
      for (let i = 0; i < count; i++) items.push(call.items[call.taken + i]!)
      call.taken += count
      parts.push({ call, count })
      if (call.taken === call.items.length) whole++
    }
    queue = queue.slice(whole)
    return { items, parts }
  }

  async function writeNext(): Promise<void> {
    const { items, parts } = take()
    try {
      const results = await write(items)
      let next = 0
      for (const { call, count } of parts) {
        for (let i = 0; i < count; i++) call.results.push(results[next++]!)
        if (call.results.length === call.items.length) call.resolve(call.results)
      }
    } catch (error) {
      for (const { call } of parts) call.reject(error)
      // The rest of a call that was cut in two is not written: its caller has been told that it failed.
      const last = parts.at(-1)?.call
      if (last && queue[0] === last) queue = queue.slice(1)
    }
    if (queue.length > 0) return schedule(() => void writeNext())
    running = false
    for (const resolve of waiters) resolve()
    waiters = []
  }

  return {
    add(items) {
      if (items.length === 0) return Promise.resolve([])
      return new Promise((resolve, reject) => {
        queue.push({ items, results: [], resolve, reject, taken: 0 })
        if (running) return
        running = true
        schedule(() => void writeNext())
      })
    },
    idle() {
      return running ? new Promise((resolve) => waiters.push(resolve)) : Promise.resolve()
    },
  }
}
