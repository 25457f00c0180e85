/**
 * Shop view: what the page's Shop shows, gathered from whoever knows it. A part that cannot be told right now says why, and keeps
 * no other part from being shown.
 */
import type { Census, CensusView } from '../actors/census.ts'
import type { DeadLetterList, DeadLetterView } from '../actors/dead-letter-list.ts'
import type { Progress, RoleProgress } from '../actors/progress.ts'
import type { LocalRole, LocalRoles } from '../actors/role.ts'

export interface ShopRole {
  readonly role: string
  /** `elsewhere`: not in this process. */
  readonly state: LocalRole['state'] | 'elsewhere'
  readonly reasons: readonly string[]
  readonly can_stop: boolean
  readonly lag: number | null
  readonly rate: number | null
  readonly dead_letters: number
}

export interface ShopView {
  readonly roles: readonly ShopRole[]
  readonly census: CensusView
  readonly dead_letters: Pick<DeadLetterView, 'total'> & { readonly newest: DeadLetterView['rows'] }
  /** Pizzas by choice of cheese; `null` when the reporter does not answer. */
  readonly report: Readonly<Record<string, number>> | null
  /** What could not be asked. */
  readonly problems: readonly string[]
}

export interface ShopViewSources {
  readonly census: Census
  readonly progress: Progress
  readonly deadLetters: DeadLetterList
  readonly roles: LocalRoles
  readonly report: () => Promise<Readonly<Record<string, number>>>
}

/** Dead letters that the page shows; `GET /dead-letters` has the rest. */
const newestMax = 20

/** Creates the view; each call gathers it anew. */
export function createShopView(sources: ShopViewSources): () => Promise<ShopView> {
  const { census, progress, deadLetters, roles, report } = sources
  return async () => {
    const problems: string[] = []
    const ask = async <T>(what: string, question: Promise<T>): Promise<T | undefined> => {
      try {
        return await question
      } catch {
        problems.push(`${what} cannot be told right now`)
        return undefined
      }
    }
    const [seen, letters, counts] = await Promise.all([
      ask('How far the roles are', progress.look()),
      ask('The dead letters', deadLetters.look()),
      // A reporter that was stopped is no problem: the report's own place says that it does not answer.
      report().catch(() => null),
    ])
    return {
      roles: toRoles(seen ?? [], roles.list(), letters),
      census: census.view(),
      dead_letters: { total: letters?.total ?? 0, newest: letters?.rows.slice(0, newestMax) ?? [] },
      report: counts,
      problems,
    }
  }
}

function toRoles(seen: readonly RoleProgress[], local: readonly LocalRole[], letters?: DeadLetterView): ShopRole[] {
  const names = new Set([...seen.map(({ role }) => role), ...local.map(({ role }) => role)])
  return [...names].map((role) => {
    const here = local.find((candidate) => candidate.role === role)
    const { lag = null, rate = null } = seen.find((candidate) => candidate.role === role) ?? {}
    return {
      role,
      state: here?.state ?? 'elsewhere',
      reasons: here?.reasons ?? [],
      can_stop: here?.canStop ?? false,
      lag,
      rate,
      dead_letters: letters?.by_role[role] ?? 0,
    }
  })
}
