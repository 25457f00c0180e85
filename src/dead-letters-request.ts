/** What `npm start -- dead-letters …` asks for: its words and options as one typed request, or every problem at once. */
import { deadLetterReasons } from './records.ts'
import { didYouMean } from './setting-kinds.ts'
import type { Values } from './settings.ts'

const actions = ['list', 'show', 'redrive'] as const

export interface DeadLettersRequest {
  readonly action: (typeof actions)[number]
  /** Ids of dead letters, `3-17`; of one for `show`. */
  readonly ids: readonly string[]
  /** Only those with this reason, or of this role. */
  readonly reason?: string
  readonly role?: string
  /** Most dead letters in a list. */
  readonly limit: number
  /** Do it, and do not only say what would be done. */
  readonly yes: boolean
  readonly json: boolean
}

/** Reads the words behind `dead-letters`, and the options that go with them. `roles` are those that exist. */
export function parseDeadLettersRequest(
  words: readonly string[],
  values: Values,
  roles: readonly string[],
): { request: DeadLettersRequest; problems: string[] } {
  const { reason, role, limit, all, yes, json } = values
  const [action = 'list', ...ids] = words
  const isKnown = (actions as readonly string[]).includes(action)
  const request: DeadLettersRequest = {
    action: isKnown ? (action as DeadLettersRequest['action']) : 'list',
    ids,
    ...(reason !== '' && { reason }),
    ...(role !== '' && { role }),
    limit,
    yes: yes === 'on',
    json: json === 'on',
  }
  const problems = isKnown ? problemsOf(request, all === 'on') : [unknownAction(action)]
  if (role !== '' && !roles.includes(role)) {
    problems.push(`--role: expected one of ${roles.join(', ')}, got ${JSON.stringify(role)}${didYouMean(role, roles)}`)
  }
  if (reason !== '' && !(deadLetterReasons as readonly string[]).includes(reason)) {
    const expected = `expected one of ${deadLetterReasons.join(', ')}`
    problems.push(`--reason: ${expected}, got ${JSON.stringify(reason)}${didYouMean(reason, deadLetterReasons)}`)
  }
  return { request, problems }
}

function problemsOf({ action, ids, reason, role, yes }: DeadLettersRequest, isAll: boolean): string[] {
  const problems = ids
    .filter((id) => !/^\d{1,9}-\d{1,15}$/.test(id))
    .map((id) => `${id}: expected the id of a dead letter, for example 3-17`)
  const isSelected = reason !== undefined || role !== undefined
  if (action !== 'redrive' && isAll) problems.push(`--all: ${action} does not take it`)
  if (action !== 'redrive' && yes) problems.push(`--yes: ${action} changes nothing`)
  if (action === 'list')
    return [
      ...problems,
      ...ids.slice(0, 1).map((id) => `${id}: list takes no id; npm start -- dead-letters show ${id}`),
    ]
  if (action === 'show') {
    if (isSelected) problems.push('show takes an id and no --reason or --role')
    return ids.length === 1 ? problems : [...problems, `show: expected the id of one dead letter, got ${ids.length}`]
  }
  if (ids.length > 0 && (isAll || isSelected))
    problems.push('redrive: expected either ids, or --all, --reason or --role')
  if (ids.length === 0 && !isAll && !isSelected) {
    problems.push('redrive: expected the ids of dead letters, or --all, --reason or --role')
  }
  return problems
}

function unknownAction(word: string): string {
  if (/^\d+-\d+$/.test(word))
    return `${word}: expected show or redrive before it: npm start -- dead-letters show ${word}`
  return `${word}: expected list, show or redrive${didYouMean(word, actions)}`
}
