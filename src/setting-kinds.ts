/**
 * Setting kinds: what a setting is, and the functions that make one of each kind. Pure.
 *
 * S1: `parse` returns the typed value or throws SettingError with what it expected; it never repairs a value.
 */
import { closestMatch } from 'leven'

/** A value that cannot be taken. The message says what was expected and what was given. */
export class SettingError extends Error {
  override readonly name = 'SettingError'
}

export interface Setting<T> {
  /** Long flag without dashes. */
  readonly flag: string
  /** What stands for the value in `--help`; empty for a flag that takes none. */
  readonly value: string
  /** Empty for what only the command line gives. */
  readonly env: string
  /** Taken when the flag is given without a value; a flag without this needs one. */
  readonly bare?: string
  readonly fallback: T
  /** How the default reads in `--help` and in the docs. */
  readonly fallbackText: string
  readonly help: string
  readonly group: 'Serving' | 'Storage' | 'Topics' | 'Limits' | 'Dead letters' | 'Other'
  readonly parse: (text: string) => T
}

type Base<T> = Pick<Setting<T>, 'flag' | 'value' | 'help' | 'group' | 'fallback'> & {
  fallbackText?: string
  bare?: string
}

/** `, did you mean …?` with the nearest candidate, or nothing when none is near. */
export function didYouMean(given: string, candidates: readonly string[]): string {
  const maxDistance = Math.max(1, Math.min(3, Math.floor(given.length / 2)))
  const lowered = candidates.map((candidate) => candidate.toLowerCase())
  const nearest = closestMatch(given.toLowerCase(), lowered, { maxDistance })
  return nearest === undefined ? '' : `, did you mean ${candidates[lowered.indexOf(nearest)]}?`
}

function define<T>({ fallbackText, ...base }: Base<T>, parse: (text: string) => T): Setting<T> {
  const env = `PIZZA_${base.flag.toUpperCase().replaceAll('-', '_')}`
  return { ...base, env, fallbackText: fallbackText ?? String(base.fallback), parse }
}

/** A setting that no variable gives: one that is left in an environment must not decide what a later command does. */
export function onLine<T>(setting: Setting<T>): Setting<T> {
  return { ...setting, env: '' }
}

/** A whole number, in plain digits. */
export function integer({ min, max, ...base }: Base<number> & { min: number; max: number }): Setting<number> {
  return define(base, (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new SettingError(`expected an integer from ${min} to ${max}, got ${JSON.stringify(text)}`)
  })
}

/** A number with or without decimals. */
export function number({ min, max, ...base }: Base<number> & { min: number; max: number }): Setting<number> {
  return define(base, (text) => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new SettingError(`expected a number from ${min} to ${max}, got ${JSON.stringify(text)}`)
  })
}

/** A text that fits a pattern. */
export function text({
  pattern,
  expected,
  ...base
}: Base<string> & { pattern: RegExp; expected: string }): Setting<string> {
  return define(base, (text) => {
    if (pattern.test(text)) return text
    throw new SettingError(`expected ${expected}, got ${JSON.stringify(text)}`)
  })
}

/** One of a few words. */
export function choice<const C extends string>({
  choices,
  ...base
}: Base<NoInfer<C>> & { choices: readonly C[] }): Setting<C> {
  return define(base, (text) => {
    const found = choices.find((choice) => choice === text)
    if (found !== undefined) return found
    throw new SettingError(
      `expected one of ${choices.join(', ')}, got ${JSON.stringify(text)}${didYouMean(text, choices)}`,
    )
  })
}
