/**
 * Composition root: flags to configuration, configuration to a log and a shop, signals to an orderly stop. The only file that
 * touches the process, and the only one that decides how it ends (exit-codes.ts).
 *
 * The first SIGTERM, SIGINT or SIGHUP stops the shop within `--drain-ms`; a further one ends the process at once, as does any
 * during the start: whatever is unfinished then is repeated from the log.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, readFileSync, readlinkSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { constants as os, hostname } from 'node:os'
import { join } from 'node:path'
import packageJson from '../package.json' with { type: 'json' }
import { printBanner } from './banner.ts'
import { keepsState, parseConfig, type Config } from './config.ts'
import { startDemo } from './demo.ts'
import { exitCodes, exitNames, type ExitName } from './exit-codes.ts'
import type { InspectedLog } from './doctor-log.ts'
import type { EventLog } from './log/event-log.ts'
import { createLogger, type Logger } from './logger.ts'
import { explain } from './start-errors.ts'
import type { Shop } from './shop.ts'

/** npm passes on the Ctrl-C that the terminal has sent to this process already: the same signal this soon is no second one. */
const echoMs = 250

/** The shop ends its drain by itself; this much later something hangs. */
const graceMs = 2000

const { version } = packageJson
process.stdout.on('error', () => {}) // `npm start | head` closes it; the shop goes on.
process.exit(exitCodes[await main()])

async function main(): Promise<ExitName> {
  const readFile = (path: string) => readFileSync(path, 'utf8')
  const parsed = parseConfig({ argv: process.argv.slice(2), env: process.env, readFile, version })
  if (parsed.kind === 'print') {
    say(parsed.text)
    return 'ok'
  }
  if (parsed.kind === 'problems') {
    return complain([...parsed.problems, 'Every option: npm start -- --help'], 'usage')
  }
  const { config, kind, warnings } = parsed
  const format = process.stderr.isTTY ? 'pretty' : 'json'
  const logger = await createLogger({ level: config.logLevel, destination: process.stderr, format })
  process.on('uncaughtException', (error, origin) => {
    logger.fatal(
      { err: error, origin },
      'Nobody expected this error; the process ends and the log repeats what was unfinished',
    )
    process.exit(exitCodes.crashed)
  })
  for (const warning of warnings) logger.warn(warning)
  if (kind === 'start') return start(config, logger)
  const work = { verify, rehearse, doctor: examine, 'dead-letters': tellDeadLetters }[kind]
  const exit = await work(config, logger)
  await isSaid()
  return exit
}

/** A pipe takes what was said in its own time, and the end of the process would cut off the rest. */
function isSaid(): Promise<void> {
  return new Promise((resolve) => process.stdout.write('', () => resolve()))
}

async function start(config: Config, logger: Logger): Promise<ExitName> {
  const signals = listenForSignals(logger)
  let log: EventLog | undefined
  let shop: Shop
  try {
    if (keepsState(config)) prepareDataDir(config.dataDir)
    const [opened, { startShop }] = await Promise.all([openLog(config, logger), import('./shop.ts')])
    log = opened
    shop = await startShop(config, { log, logger })
  } catch (error) {
    await within(config.drainMs, log?.close())
    return refuse(error, config, logger)
  }
  signals.isStarting = false
  return run(config, { log, logger, shop, stopAsked: signals.promise })
}

/** Reads beside a running shop, so the default answer to signals, the end of the process, is right here. */
async function verify(config: Config, logger: Logger): Promise<ExitName> {
  if (config.log.kind === 'sqlite' && !existsSync(toLogFile(config.dataDir))) {
    return complain([`Cannot verify ${config.dataDir}: it holds no log. Name the shop's folder with --data.`], 'usage')
  }
  const output = createOutput()
  let log: EventLog | undefined
  try {
    const [opened, { runVerify }] = await Promise.all([openLog(config, logger), import('./verify-command.ts')])
    log = opened
    return (await runVerify(config, log, output)) ? 'ok' : 'failed'
  } catch (error) {
    output.progress?.('')
    return refuse(error, config, logger)
  } finally {
    await within(config.drainMs, log?.close())
  }
}

/**
 * Reads the order store beside a running shop, and needs no log. Other machines than our own are code that nobody has tried: they run
 * in a process that may write no file and start no program.
 */
async function rehearse(config: Config, logger: Logger): Promise<ExitName> {
  if (config.machine !== undefined && process.permission === undefined) {
    const args = ['--permission', '--allow-fs-read=*', ...process.execArgv, ...process.argv.slice(1)]
    const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
    return exitNames.find((name) => exitCodes[name] === status) ?? 'crashed'
  }
  const output = createOutput()
  try {
    const { runRehearse } = await import('./rehearse-command.ts')
    return (await runRehearse(config, output)) ? 'ok' : 'failed'
  } catch (error) {
    output.progress?.('')
    return refuse(error, config, logger)
  }
}

/** Reads beside a running shop; what it appends on request is finished before it ends. */
async function tellDeadLetters(config: Config, logger: Logger): Promise<ExitName> {
  const { deadLetters: request, dataDir } = config
  if (request === undefined) throw new Error('Expected what to do with dead letters')
  if (config.log.kind === 'sqlite' && !existsSync(toLogFile(dataDir))) {
    return complain([`No dead letters in ${dataDir}: it holds no log. Name the shop's folder with --data.`], 'usage')
  }
  let log: EventLog | undefined
  try {
    const [opened, { runDeadLetters }] = await Promise.all([
      openLog(config, logger),
      import('./dead-letters-command.ts'),
    ])
    log = opened
    const output = { print: say, complain: (line: string) => void complain([line], 'failed') }
    return (await runDeadLetters(config, log, request, output)) ? 'ok' : 'failed'
  } catch (error) {
    return refuse(error, config, logger)
  } finally {
    await within(config.drainMs, log?.close())
  }
}

/** Lines for the terminal, with one below them that says how far it is. */
function createOutput(): { print(line: string): void; progress?: (line: string) => void } {
  if (!process.stderr.isTTY) return { print: say }
  const progress = (line: string) => void process.stderr.write(`\r\u001b[K${line}`)
  const print = (line: string) => {
    progress('')
    say(line)
  }
  return { print, progress }
}

/** Looks at everything a shop needs, beside a running one or before the first start. */
async function examine(config: Config, logger: Logger): Promise<ExitName> {
  const isThere = config.log.kind === 'kafka' || existsSync(toLogFile(config.dataDir))
  try {
    const { runDoctor } = await import('./doctor.ts')
    const open = async () => (isThere ? openLog(config, logger) : undefined)
    const isWell = await runDoctor(config, { nodeVersion: process.versions.node, openLog: open, print: say })
    return isWell ? 'ok' : 'failed'
  } catch (error) {
    return refuse(error, config, logger)
  }
}

function refuse(error: unknown, config: Config, logger: Logger): ExitName {
  const problem = explain(error, config)
  if (problem !== undefined) return complain([problem.message], problem.exit)
  logger.fatal({ err: error }, 'Nobody expected this error')
  return 'crashed'
}

interface Running {
  readonly log: EventLog
  readonly logger: Logger
  readonly shop: Shop
  readonly stopAsked: Promise<void>
}

/** From the banner to the end. */
async function run(config: Config, { log, logger, shop, stopAsked }: Running): Promise<ExitName> {
  // A process that is killed never writes it, and the start after a kill is the one that hurries.
  flushCompileCache()
  say(printBanner({ version, config, urls: shop.urls, tookMs: performance.now() }))
  const { demoOrdersPerSecond: ordersPerSecond } = config
  const url = shop.urls.orders
  const demo =
    ordersPerSecond > 0 && url !== undefined
      ? startDemo({
          url,
          ordersPerSecond,
          onError: (error) => logger.warn({ err: error }, 'An order of the demo failed'),
          ...(process.stdout.isTTY && { onReady: say }),
        })
      : undefined

  await stopAsked
  const stop = async () => {
    await demo?.stop()
    await shop.stop()
    await log.close()
  }
  let isClean = true
  const stopped = stop().catch((error: unknown) => {
    logger.error({ err: error }, 'Stopping failed; the log repeats what was unfinished at the next start')
    isClean = false
  })
  const isStopped = await within(config.drainMs + graceMs, stopped)
  if (!isClean) return 'crashed'
  if (isStopped) return 'ok'
  logger.error(`Stopping took longer than ${config.drainMs} ms; the log repeats what was unfinished at the next start`)
  return 'drainTimedOut'
}

/** Kafka is loaded only when it is asked for: its client costs every start that much. */
async function openLog(config: Config, logger: Logger): Promise<InspectedLog> {
  const { log, dataDir } = config
  if (log.kind === 'kafka') {
    const { createKafkaLog } = await import('./log/kafka-log.ts')
    const onWarning = (message: string) => logger.warn(message)
    const processes = { own: { host: hostIdentity(), pid: process.pid }, isAlive }
    const { replicationFactor } = config.topics
    return createKafkaLog({
      connection: log.connection,
      onWarning,
      processes,
      ...(replicationFactor && { replicationFactor }),
    })
  }
  const [{ createSqliteLog }, { toRetention }] = await Promise.all([
    import('./log/sqlite-log.ts'),
    import('./retention.ts'),
  ])
  const onError = (error: unknown) => logger.error({ err: error }, 'The embedded log has trouble')
  return createSqliteLog({ file: toLogFile(dataDir), retention: toRetention(config), onError })
}

function toLogFile(dataDir: string): string {
  return join(dataDir, 'log.sqlite')
}

function prepareDataDir(dir: string): void {
  mkdirSync(dir, { recursive: true })
  accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK)
}

/** `promise` resolves at the first signal after the start; every other one ends the process. */
function listenForSignals(logger: Logger): { readonly promise: Promise<void>; isStarting: boolean } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const state = { promise, isStarting: true }
  let first: { signal: string; at: number } | undefined
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      const at = performance.now()
      if (state.isStarting) process.exit(128 + os.signals[signal])
      if (first === undefined) {
        first = { signal, at }
        logger.info(`${signal}: finishing what is under way; once more to stop at once`)
        resolve()
      } else if (first.signal !== signal || at - first.at > echoMs) {
        process.exit(128 + os.signals[signal])
      }
    })
  }
  return state
}

/** @returns whether the work ended in time; work that fails has ended. */
async function within(ms: number, work: Promise<void> | undefined): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(resolve, ms, false)
  const ended = Promise.resolve(work).then(
    () => true,
    () => true,
  )
  const isInTime = await Promise.race([late, ended])
  clearTimeout(timer)
  return isInTime
}

function say(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

function complain(lines: readonly string[], exit: ExitName): ExitName {
  process.stderr.write(lines.map((line) => `pizza-actors: ${line}\n`).join(''))
  return exit
}

/** This host as far as process numbers mean the same: containers share a host name now and then, but not their process numbers. */
function hostIdentity(): string {
  let namespace = ''
  try {
    namespace = readlinkSync('/proc/self/ns/pid')
  } catch {
    // Only Linux has it.
  }
  return `${hostname()} ${namespace}`
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
