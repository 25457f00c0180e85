/**
 * Why a start failed, for the person who started it: one message that says what to do, and the exit code. Errors that are not
 * listed here are nobody's expectation; main logs those with their stack.
 */
import type { Config } from './config.ts'
import type { ExitName } from './exit-codes.ts'
import type { ListenErrorCode } from './http/listen.ts'
import type { LogErrorCode } from './log/event-log.ts'

export interface StartProblem {
  readonly exit: ExitName
  readonly message: string
}

/** What node:fs, node:sqlite, the log port, the doors and the order store put on their errors. */
interface Details extends Error {
  readonly code?: string
  readonly errcode?: number
}

/** @returns `undefined` for an error that is not one of the environment's usual ones. */
export function explain(error: unknown, config: Config): StartProblem | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const problem = explainOne(cause, config)
    if (problem !== undefined) return problem
  }
  return undefined
}

function explainOne(details: Details, config: Config): StartProblem | undefined {
  const { code = '', errcode = 0, message } = details
  const listening = listenExits[code as ListenErrorCode]
  if (listening !== undefined) return { exit: listening, message }
  const ofLog = logProblems[code as LogErrorCode]
  if (ofLog !== undefined) return { exit: ofLog.exit, message: `${toSentence(message)} ${ofLog.fix(config)}` }
  if (usageErrors.has(code)) return { exit: 'usage', message }
  if (code === 'store-unusable') return { exit: 'storeUnusable', message }
  if (code === 'data-in-use') {
    const fix = 'Stop that process, or choose another folder with --data.'
    return { exit: 'dataInUse', message: `${toSentence(message)} ${fix}` }
  }
  if (!fileRefusals.has(code) && !sqliteRefusals.has(errcode)) return undefined
  const fix = 'Choose a folder that this user can write with --data.'
  return {
    exit: 'dataNotWritable',
    message: `Cannot write the data folder ${config.dataDir}: ${toSentence(message)} ${fix}`,
  }
}

/** The messages of these and of the listen errors say what to do already. */
const usageErrors = new Set(['nothing-to-verify', 'nothing-to-rehearse', 'bad-candidate'])

const listenExits: Partial<Record<ListenErrorCode, ExitName>> = {
  'port-taken': 'portTaken',
  'port-forbidden': 'usage',
  'bad-host': 'usage',
}

const fileRefusals = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOSPC', 'EDQUOT', 'ENAMETOOLONG'])

/** SQLITE_READONLY, SQLITE_FULL, SQLITE_CANTOPEN. Source: sqlite.org/rescode.html */
const sqliteRefusals = new Set([8, 13, 14])

const logProblems: Partial<Record<LogErrorCode, { exit: ExitName; fix: (config: Config) => string }>> = {
  unavailable: {
    exit: 'logUnavailable',
    fix: ({ log, dataDir }) =>
      log.kind === 'kafka'
        ? `Check that the brokers run and that bootstrap.servers (${log.connection.brokers.join(', ')}) and security.protocol are right.`
        : `Check the disk and the files in ${dataDir}.`,
  },
  authentication: {
    exit: 'logUnavailable',
    fix: () =>
      'Check sasl.mechanisms, sasl.username and sasl.password (or PIZZA_SASL_USERNAME and PIZZA_SASL_PASSWORD).',
  },
  'partition-count': {
    exit: 'usage',
    fix: () => 'Start with the --partitions the topics have, or give the shop topics of its own with --topic-prefix.',
  },
}

function toSentence(message: string): string {
  return /[.!?]$/.test(message) ? message : `${message}.`
}
