/**
 * Command line and environment to typed values. Commander splits the words and lays out `--help`; checking is done here over
 * the whole line, because Commander stops at the first problem and reads the environment of the process by itself.
 */
import { Command, Option } from 'commander'
import { exitCodes, exitMeanings, type ExitName } from './exit-codes.ts'
import { didYouMean, SettingError } from './setting-kinds.ts'
import { environmentOnly, settings, type SettingName, type Values } from './settings.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** What can be asked beside starting roles: the words behind it, what these are, and the options that only such commands take. */
export const commands = {
  verify: { words: '', takes: 'options only, it looks at every order', options: [] },
  rehearse: { words: '', takes: 'options only, it tries every order', options: ['machine', 'json'] },
  'dead-letters': {
    words: '[list | show <id> | redrive <id...>]',
    takes: 'words',
    options: ['reason', 'role', 'limit', 'all', 'yes', 'json'],
  },
  doctor: { words: '[role...]', takes: 'roles', options: [] },
} as const satisfies Record<string, { words: string; takes: string; options: readonly SettingName[] }>

export type CommandName = keyof typeof commands

export interface CommandLine {
  readonly command: 'start' | CommandName | 'help' | 'version'
  /** The words behind the command. */
  readonly words: readonly string[]
  /** The roles named, each once, in the order of `roles`; every role when none was named. */
  readonly roles: readonly string[]
  /** Settings that have problems hold their default. */
  readonly values: Values
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
}

const all = Object.entries(settings) as Array<[SettingName, (typeof settings)[SettingName]]>

/** Reads the words after the program's name and the `PIZZA_…` variables. `roles` are those that exist. */
export function parseCommandLine(argv: readonly string[], env: Environment, roles: readonly string[]): CommandLine {
  const program = createProgram(roles)
  const { operands, unknown } = program.parseOptions([...argv])
  const given = program.opts<Record<string, string | true | undefined>>()
  if (given['help'] === true || given['version'] === true) {
    const command = given['help'] === true ? 'help' : 'version'
    return { command, words: [], roles, values: parseValues({}, {}).values, problems: [], warnings: [] }
  }
  const [first] = operands
  const command = isCommand(first) ? first : 'start'
  const takes = command === 'start' ? 'roles' : commands[command].takes
  const named = [...(command === 'start' ? operands : operands.slice(1)), ...namedAmong(unknown, roles)]
  const { values, problems } = parseValues(given, env)
  problems.unshift(
    ...unknownFlags(unknown),
    ...(takes === 'roles' ? unknownRoles(named, roles) : []),
    ...(takes === 'roles' || takes === 'words' ? [] : named.map((word) => `${word}: ${command} takes ${takes}`)),
  )
  return {
    command,
    words: named,
    roles: named.length === 0 || takes !== 'roles' ? roles : roles.filter((role) => named.includes(role)),
    values,
    problems,
    warnings: unknownVariables(env),
  }
}

function isCommand(word: string | undefined): word is CommandName {
  return word !== undefined && Object.hasOwn(commands, word)
}

/** The text of `--help`. */
export function printHelp(roles: readonly string[]): string {
  const variables = Object.entries(environmentOnly).map(([name, { help }]) => [name, help] as const)
  const codes = Object.entries(exitCodes).map(
    ([name, code]) => [`${code} ${name}`, exitMeanings[name as ExitName]] as const,
  )
  const lists = [printList('Only in the environment:', variables), printList('Exit codes:', codes)]
  return [createProgram(roles).helpInformation(), ...lists].join('\n')
}

function printList(heading: string, rows: ReadonlyArray<readonly [string, string]>): string {
  const width = Math.max(...rows.map(([term]) => term.length))
  return [heading, ...rows.map(([term, help]) => `  ${term.padEnd(width)}  ${help}`), ''].join('\n')
}

function createProgram(roles: readonly string[]): Command {
  const usages = Object.entries(commands).map(([name, { words }]) =>
    [name, words, '[options]'].filter(Boolean).join(' '),
  )
  const program = new Command('npm start --')
    .usage(['[role...] [options]', ...usages].join('\n       npm start -- '))
    .description(
      'Orders random pizzas; every order is a durable actor. Without a role, every role runs in this process on an embedded ' +
        `log, with nothing to install. Roles: ${roles.join(', ')}.\n\n` +
        'verify rebuilds every order from the log and compares it with the stored snapshot. rehearse tries every ' +
        'stored order under other machines, and says what would become of it. dead-letters tells of the records ' +
        'that could not be taken, and redrives them. doctor says what keeps these roles from working, and how to mend ' +
        'it. None of them changes anything, except dead-letters redrive --yes.\n\n' +
        'Each option can be given in the environment, too; the command line wins. Square brackets hold name and default.',
    )
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .configureHelp({ helpWidth: 110, optionTerm })
    .configureOutput({ getOutHasColors: () => false, getOutHelpWidth: () => 110 })
  for (const [, setting] of all) {
    // Optional for Commander even where a value is needed: a required one would swallow the next flag as its value.
    const flags = `--${setting.flag}${setting.value && ` [${setting.value}]`}`
    const help = `${setting.help} [${[setting.env, setting.fallbackText].filter(Boolean).join(', ')}]`
    program.addOption(new Option(flags, help).helpGroup(`${setting.group}:`))
  }
  program.addOption(new Option('-h, --help', 'show this').helpGroup('Other:'))
  program.addOption(new Option('-v, --version', 'show the version').helpGroup('Other:'))
  return program
}

function optionTerm(option: Option): string {
  const setting = all.find(([, { flag }]) => flag === option.name())?.[1]
  return setting === undefined || setting.bare !== undefined ? option.flags : `--${setting.flag} <${setting.value}>`
}

/** The command line's value, else the environment's, else the default. An empty variable counts as none. */
function parseValues(
  given: Readonly<Record<string, string | true | undefined>>,
  env: Environment,
): { values: Values; problems: string[] } {
  const problems: string[] = []
  const values: Partial<Record<SettingName, unknown>> = {}
  for (const [name, setting] of all) {
    values[name] = setting.fallback
    const onLine = given[toAttribute(setting.flag)]
    const source = onLine === undefined ? setting.env : `--${setting.flag}`
    const text = onLine === true ? setting.bare : (onLine ?? (env[setting.env] || undefined))
    if (text === undefined && onLine === undefined) continue
    try {
      if (text === undefined) throw new SettingError(`expected a value: --${setting.flag} <${setting.value}>`)
      values[name] = setting.parse(text)
    } catch (error) {
      if (!(error instanceof SettingError)) throw error
      problems.push(`${source}: ${error.message}`)
    }
  }
  return { values: values as Values, problems }
}

/** The name under which Commander keeps a flag's value. */
function toAttribute(flag: string): string {
  return flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())
}

/**
 * After an unknown flag Commander keeps every word apart. The word right behind such a flag may be its value, so it counts as a
 * role only when it is one.
 */
function namedAmong(unknown: readonly string[], roles: readonly string[]): string[] {
  const isFlag = (word = '') => word.startsWith('-') && !word.includes('=')
  return unknown.filter((word, i) => !word.startsWith('-') && (roles.includes(word) || !isFlag(unknown[i - 1])))
}

function unknownFlags(unknown: readonly string[]): string[] {
  const flags = [...all.map(([, { flag }]) => `--${flag}`), '--help', '--version']
  return unknown
    .filter((word) => word.startsWith('-') && word.length > 1)
    .map((word) => word.split('=')[0]!)
    .map((flag) => `${flag}: there is no such option${didYouMean(flag, flags)}`)
}

function unknownRoles(named: readonly string[], roles: readonly string[]): string[] {
  return named
    .filter((role) => !roles.includes(role))
    .map(
      (role) =>
        `${role}: there is no such role${didYouMean(role, [...roles, ...Object.keys(commands)]) || `; the roles are ${roles.join(', ')}`}`,
    )
}

/** Mistyped variables are worth a word, but other programs' names are their own: only `PIZZA_…` is looked at. */
function unknownVariables(env: Environment): string[] {
  const known = [...all.map(([, setting]) => setting.env).filter(Boolean), ...Object.keys(environmentOnly)]
  return Object.keys(env)
    .filter((name) => name.startsWith('PIZZA_') && !known.includes(name))
    .map((name) => `${name}: there is no such setting, it is ignored${didYouMean(name, known)}`)
}
