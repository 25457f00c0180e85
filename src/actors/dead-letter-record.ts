/** Dead letter record: the bytes of the record behind a dead letter, for JSON and for people. Pure mappings. */
import { isUtf8 } from 'node:buffer'
import { parseExactly } from '../records.ts'
import type { Original } from './dead-letter-desk.ts'
import type { DeadLetter } from './dead-letters.ts'

/** The record as JSON shows it: the whole one where it is still on the log, else the dead letter's copy. */
export interface RecordJson {
  /** Whether it is the record on the log, the whole copy, or what is left of it. */
  readonly state: Original['state'] | 'copy'
  readonly key: string | null
  readonly key_encoding: Encoding
  readonly value: string | null
  readonly value_encoding: Encoding
  readonly value_bytes: number
  /** How long the value was before the dead letter's copy was cut; `null` when it was not. */
  readonly cut_from_bytes: number | null
  readonly headers: Readonly<Record<string, string>>
}

type Encoding = 'utf-8' | 'base64'

/** Maps the record behind a dead letter to JSON. */
export function toRecordJson(letter: DeadLetter, original: Original | undefined): RecordJson {
  const { key, value } = original?.record ?? letter
  return {
    state: original?.state ?? 'copy',
    key: toText(key),
    key_encoding: encodingOf(key),
    value: toText(value),
    value_encoding: encodingOf(value),
    value_bytes: value?.length ?? 0,
    cut_from_bytes: letter.cutFromBytes ?? null,
    headers: original?.record.headers ?? {},
  }
}

function encodingOf(bytes: Buffer | null): Encoding {
  return bytes === null || isUtf8(bytes) ? 'utf-8' : 'base64'
}

function toText(bytes: Buffer | null): string | null {
  return bytes?.toString(encodingOf(bytes) === 'utf-8' ? 'utf8' : 'base64') ?? null
}

const dumpedBytesMax = 512
const bytesALine = 16

/** A value as lines for a terminal: JSON indented, other text as it is, and bytes that are no text in hexadecimal. */
export function toValueLines(text: string | null, encoding: Encoding): string[] {
  if (text === null) return ['(none: a tombstone)']
  if (encoding === 'base64') return toDump(Buffer.from(text, 'base64'))
  return (indent(text) ?? text).split('\n').map(toSafe)
}

function indent(text: string): string | undefined {
  try {
    return JSON.stringify(parseExactly(text), null, 2)
  } catch {
    // Not JSON, or nested too deep to be printed.
    return undefined
  }
}

function toDump(bytes: Buffer): string[] {
  const lines: string[] = []
  for (let at = 0; at < Math.min(bytes.length, dumpedBytesMax); at += bytesALine) {
    const part = bytes.subarray(at, Math.min(at + bytesALine, dumpedBytesMax))
    const hex = [...part].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const text = part.toString('latin1').replaceAll(/[^ -~]/g, '.')
    lines.push(`${at.toString(16).padStart(4, '0')}  ${hex.padEnd(3 * bytesALine)} ${text}`)
  }
  const left = bytes.length - dumpedBytesMax
  return left > 0 ? [...lines, `… and ${left} bytes more`] : lines
}

/** Text that others wrote, without what a terminal would obey: control characters, and those that change the direction of writing. */
export function toSafe(text: string): string {
  return text.replaceAll(
    // oxlint-disable-next-line no-control-regex -- These are what it is about.
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
