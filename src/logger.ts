/** The process's logger: JSON lines for machines, one readable line each for a person at a terminal. */
import { pino, type DestinationStream, type Logger } from 'pino'
import type { LogLevel } from './settings.ts'

export type { Logger }

export interface LoggerOptions {
  readonly level: LogLevel
  /** Where lines go. Written at once, so that the last words of a crash are not lost. */
  readonly destination: DestinationStream
  /** `pretty` for a terminal. */
  readonly format: 'json' | 'pretty'
}

/** Second net under config, which hides the password by itself: whatever is logged, these never show. */
const secrets = ['password', 'secret', 'authorization', 'cookie', 'sasl']
const paths = secrets.flatMap((path) => [path, `*.${path}`, `*.*.${path}`])

/** Creates a logger. The printer for terminals is loaded only when it is wanted: it costs a start some 40 ms. */
export async function createLogger({ level, destination, format }: LoggerOptions): Promise<Logger> {
  const options = { level, base: null, redact: { paths, censor: '[redacted]' } }
  if (format === 'json') return pino({ ...options, timestamp: pino.stdTimeFunctions.isoTime }, destination)
  const { prettyFactory } = await import('pino-pretty')
  // The stream that pino-pretty offers writes later, and would lose what is said just before the process ends.
  const print = prettyFactory({ colorize: true, translateTime: 'HH:MM:ss.l', singleLine: true })
  return pino(options, { write: (line: string) => destination.write(print(line)) })
}
