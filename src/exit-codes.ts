/** What the process says with its exit code. `--help` and docs/config.md list them. */

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  portTaken: 3,
  logUnavailable: 4,
  dataInUse: 5,
  dataNotWritable: 6,
  drainTimedOut: 7,
  storeUnusable: 8,
  crashed: 70,
} as const

export type ExitName = keyof typeof exitCodes

export const exitNames = Object.keys(exitCodes) as ExitName[]

export const exitMeanings: Readonly<Record<ExitName, string>> = {
  ok: 'stopped as asked; verify found no difference, rehearse no order that is in danger, doctor nothing that must be mended; dead-letters did what was asked',
  failed:
    'verify found differences, rehearse orders that would be lost or must be rebuilt, or doctor something that must be mended; dead-letters refused something',
  usage: 'options, environment or configuration file are wrong',
  portTaken: 'another program listens on the port',
  logUnavailable: 'the log (Kafka brokers, or the log file) cannot be reached or refuses the login',
  dataInUse: 'another process works on the same data folder',
  dataNotWritable: 'the data folder cannot be created or written',
  drainTimedOut: 'stopping took longer than --drain-ms; nothing is lost, unfinished work is repeated at the next start',
  storeUnusable: 'orders.sqlite or report.sqlite is damaged, or of a newer version; the message says what to do',
  crashed: 'an error nobody expected; the log names it',
}
