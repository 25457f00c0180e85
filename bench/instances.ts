/** Instances. How many processes of each role a shop on Kafka runs in. */
import { roles, type ProcessPlan } from './systems.ts'

/** By role; roles that are not named run once. */
export type Instances = ReadonlyMap<string, number>

/**
 * Reads `3` (of the role that owns orders), `orders=3,sauce=2` or `all=3`.
 * @throws Error that says what is wrong and what can be given.
 */
export function parseInstances(text: string): Instances {
  const instances = new Map<string, number>()
  for (const part of text.split(',')) {
    const [role, number] = part.includes('=') ? (part.split('=', 2) as [string, string]) : ['orders', part]
    const count = Number(number)
    if (!Number.isInteger(count) || count < 1) throw new Error(`"${part}": a whole number from 1 on is needed`)
    const named: readonly string[] = role === 'all' ? roles : [role]
    const unknown = named.find((name) => !roles.some((known) => known === name))
    if (unknown !== undefined) throw new Error(`no role is called "${unknown}"; there are ${roles.join(', ')}, and all`)
    for (const name of named) instances.set(name, count)
  }
  return instances
}

/** One process for each instance, named after its role; from the second on with a number. */
export function toProcesses(instances: Instances): ProcessPlan[] {
  return roles.flatMap((role) =>
    Array.from({ length: instances.get(role) ?? 1 }, (_, i) => ({
      name: i === 0 ? role : `${role} ${i + 1}`,
      roles: [role],
    })),
  )
}

/** For a table's head: `3 × orders`. */
export function describeInstances(instances: Instances): string {
  const counts = new Set(roles.map((role) => instances.get(role) ?? 1))
  if (counts.size === 1) return `${[...counts][0]} × every role`
  return [...instances].map(([role, count]) => `${count} × ${role}`).join(', ')
}

/** The role of a process by its name. */
export function toRole(name: string): string {
  return name.replace(/ \d+$/, '')
}
