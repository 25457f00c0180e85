/**
 * The `rehearse` command: loads other machines, tries them on the stored orders beside a running shop, and says what would become of
 * each group of orders. Changes nothing, and gives the candidate nothing to change something with.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createOrderStore } from './actors/order-store.ts'
import { rehearse, type Group, type Report } from './actors/rehearse.ts'
import type { Fate } from './actors/rehearse-order.ts'
import type { Candidate } from './actors/rehearse-walk.ts'
import type { Config } from './config.ts'
import { loadCandidate, ownCandidate } from './rehearse-candidate.ts'
import type { VerifyOutput } from './verify-command.ts'

/** Groups listed on the terminal; the rest is counted. */
const listedMax = 40

/**
 * Tries the machines at `--machine` (default: this program's own) on every order in the data directory.
 * @returns whether each of them can go on as it is stored.
 * @throws Error with code `bad-candidate` or `nothing-to-rehearse`.
 */
export async function runRehearse(config: Config, output: VerifyOutput): Promise<boolean> {
  const { machine: place = '', dataDir } = config
  const file = join(dataDir, 'orders.sqlite')
  if (!existsSync(file)) {
    const message = `Nothing to rehearse in ${dataDir}: it holds no orders.sqlite. Name the shop's folder with --data.`
    throw Object.assign(new Error(message), { code: 'nothing-to-rehearse' })
  }
  const candidate = place === '' ? ownCandidate : await loadCandidate(place)
  const store = createOrderStore(file, { readOnly: true })
  try {
    const onProgress = (tried: number, total: number) => output.progress?.(`Tried ${tried} of ${total} orders`)
    const report = rehearse({ store, candidate, onProgress })
    output.progress?.('')
    if (config.json) output.print(JSON.stringify({ machineVersion: candidate.machineVersion, ...report }))
    else printReport(report, { candidate, output })
    return report.fates.lost + report.fates.rebuild === 0
  } finally {
    store.close()
  }
}

const fateTexts: Record<Fate, string> = { lost: 'LOST   ', rebuild: 'REBUILD', changed: 'changed', same: 'same   ' }

interface Printing {
  readonly candidate: Candidate
  readonly output: VerifyOutput
}

function printReport(report: Report, { candidate, output }: Printing): void {
  const { orders, fates, groups, ungrouped } = report
  const listed = groups.slice(0, listedMax)
  for (const group of listed) printGroup(group, output)
  const unlisted = ungrouped + groups.slice(listedMax).reduce((sum, group) => sum + group.orders, 0)
  if (unlisted > 0) output.print(`… and ${unlisted} orders in smaller groups`)
  const parts = (['same', 'changed', 'rebuild', 'lost'] as const)
    .filter((fate) => fates[fate] > 0)
    .map((fate) => `${fates[fate]} ${fate}`)
  const tried = `Tried ${count(orders, 'order')} under machines of version ${candidate.machineVersion}`
  output.print(`${tried}: ${parts.join(', ') || 'there are none'}. ${adviceOf(report)}`)
}

function printGroup({ fate, restored, replayed, ...group }: Group, output: VerifyOutput): void {
  const { orders, status, pizzasMin, pizzasMax, machineVersion: version, example } = group
  const pizzas = pizzasMin === pizzasMax ? count(pizzasMax, 'pizza') : `${pizzasMin} to ${count(pizzasMax, 'pizza')}`
  const of = `of ${pizzas}, machine version ${version ?? 'unknown'}`
  output.print(`${fateTexts[fate]} ${count(orders, `${status} order`)} ${of}, for example ${example}`)
  for (const { text } of restored) output.print(`          restored: ${text}`)
  for (const { text } of replayed) output.print(`          replayed: ${text}`)
}

function count(n: number, thing: string): string {
  return `${n} ${thing}${n === 1 ? '' : 's'}`
}

function adviceOf({ fates, groups }: Report): string {
  if (fates.lost > 0) return 'These machines would lose orders: do not start them on this folder.'
  if (fates.rebuild > 0) {
    return 'Their snapshots cannot be read, so each is rebuilt from its journal when it is next needed; a migration spares them that.'
  }
  if (fates.changed === 0) return 'Nothing changes.'
  const isApart = groups.some(({ replayed }) => replayed.some(({ kind }) => kind !== 'no-journal'))
  return isApart
    ? 'Nothing is lost, but verify will find snapshots that are not what their journals lead to: add a migration.'
    : 'Nothing is lost; see whether what changed is what you want.'
}
