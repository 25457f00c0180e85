/** Samples. Keeps every measured time and gives exact percentiles: no buckets, no sampling. */

export interface Percentiles {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

export interface Samples {
  add(value: number): void
  /** The nearest-rank percentiles of everything added so far; all 0 without samples. */
  percentiles(): Percentiles
}

export function createSamples(): Samples {
  let values = new Float64Array(4_096)
  let count = 0
  return {
    add(value) {
      if (count === values.length) {
        const wider = new Float64Array(count * 2)
        wider.set(values)
        values = wider
      }
      values[count++] = value
    },
    percentiles() {
      const sorted = values.slice(0, count).sort()
      const at = (share: number) => round(sorted[Math.max(0, Math.ceil(share * count) - 1)] ?? 0)
      const sum = sorted.reduce((total, value) => total + value, 0)
      return {
        count,
        mean: round(count === 0 ? 0 : sum / count),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max: at(1),
      }
    },
  }
}

/** To three decimals, which for milliseconds is as fine as the clock's use here. */
export function round(value: number): number {
  return Math.round(value * 1_000) / 1_000
}
