/** Seeded randomness for tests: the same seed gives the same run, and the seed is printed. */

export interface Random {
  /** An integer from 0 to n-1. */
  below(n: number): number
  pick<T>(from: readonly T[]): T
  /** True once in `n` on average. */
  oneIn(n: number): boolean
}

/** Creates a generator (SplitMix32). */
export function createRandom(seed: number): Random {
  let state = seed | 0
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0
    let z = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    return (z ^ (z >>> 16)) >>> 0
  }
  const below = (n: number): number => Math.floor((next() / 0x1_0000_0000) * n)
  return { below, pick: (from) => from[below(from.length)]!, oneIn: (n) => below(n) === 0 }
}

/** The seed of a run: `CHAOS_SEED`, or another one each time. Printed, so that a failing run can be repeated. */
export function chooseSeed(what: string): number {
  const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000)
  console.log(`${what}: seed ${seed} (CHAOS_SEED=${seed} repeats it)`)
  return seed
}
