/**
 * Plan: which faults come when. Pure: the same seed and the same kinds give the same list, whatever the shop does meanwhile.
 *
 * Real processes do not repeat to the millisecond, so a fault also carries a seed of its own: whom it hits and how hard does not
 * depend on what the faults before it drew.
 */
import { createRandom } from '../support/random.ts'

export interface PlannedFault {
  readonly number: number
  readonly kind: string
  /** When it is due, in milliseconds from the start. */
  readonly dueMs: number
  /** How long it lasts before it is mended. */
  readonly forMs: number
  readonly seed: number
}

/** Endless. `weights`: how often a kind comes, beside the others. `hasLong`: whether some outlast every time-out. */
export function* planFaults(
  seed: number,
  weights: Readonly<Record<string, number>>,
  { hasLong = true } = {},
): Generator<PlannedFault> {
  const random = createRandom(seed)
  const kinds = Object.entries(weights).flatMap(([kind, weight]) => Array.from({ length: weight }, () => kind))
  let dueMs = 1_000
  for (let number = 1; ; number++) {
    // Mostly short ones; now and then one that outlasts every time-out of the shop and of its log.
    const isLong = random.oneIn(8) && hasLong
    const forMs = isLong ? 8_000 + random.below(8_000) : 100 + random.below(3_000)
    yield { number, kind: random.pick(kinds), dueMs, forMs, seed: random.below(0x1_0000_0000) }
    dueMs += random.oneIn(4) ? random.below(200) : 500 + random.below(4_000)
  }
}
