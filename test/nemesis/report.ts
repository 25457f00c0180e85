/** What a nemesis run is told as. */
import { createSamples } from '../../bench/samples.ts'
import { faultKinds } from './faults.ts'
import { printFault, type Fault, type NemesisResult } from './nemesis.ts'

/** The whole report; with a finding it ends with the list of faults and where the files are. */
export function printReport(result: NemesisResult): string {
  const { mode, seed, faults, accepted, checkedPizzas, looks, findings, folder, diskMeans } = result
  const kinds = [...new Set(faults.map(({ kind }) => kind))].toSorted()
  const rows = kinds.map((kind) => {
    const ofKind = faults.filter((fault) => fault.kind === kind)
    const { p50, max } = timeToNext(ofKind)
    return `  ${String(ofKind.length).padStart(5)}  ${kind.padEnd(16)} next order ready after ${print(p50)}, at most ${print(max)}`
  })
  const killKinds = new Set(faultKinds.flatMap(({ name, isKill }) => (isKill === true ? [name] : [])))
  const kills = faults.filter(({ kind }) => killKinds.has(kind))
  const [all, alone] = [timeToNext(kills), timeToNext(kills.filter((kill) => isAlone(kill, faults)))]
  const refusedStarts = [...result.refusedStarts].map(([reason, times]) => `${times} (${reason})`).join(', ')
  const counts = countFindings(findings)
  const lines = [
    `${mode}, seed ${seed}: ${faults.length} faults`,
    ...rows,
    ...(kinds.includes('disk-full') ? [`  the disk was filled by a ${diskMeans}`] : []),
    `from kill -9 to the next order placed and ready: p50 ${print(all.p50)}, p99 ${print(all.p99)} (${all.count} kills); ` +
      `with no other fault at work p50 ${print(alone.p50)}, p99 ${print(alone.p99)} (${alone.count})`,
    `${accepted} orders accepted, ${checkedPizzas} pizzas checked, ${looks} answers compared: ` +
      `${counts.lost} lost, ${counts.doubled} doubled, ${counts.changed} changed`,
    `${result.brokenRequests} requests broken off, ${result.refusedRequests} refused; starts refused: ${refusedStarts || 'none'}`,
  ]
  if (findings.length > 0) {
    lines.push('', `${findings.length} findings (--mode ${mode} --seed ${seed} has the same faults):`)
    lines.push(...findings.slice(0, 20), '', 'faults:', ...faults.map(printFault))
  }
  if (folder !== undefined) lines.push(`The files are in ${folder}`)
  if (findings.length === 0) lines.push('no finding')
  return lines.join('\n')
}

function timeToNext(faults: NemesisResult['faults']) {
  const samples = createSamples()
  for (const { nextFinishedMs } of faults) if (nextFinishedMs !== undefined) samples.add(nextFinishedMs)
  return samples.percentiles()
}

/** Whether no other fault was at work between this one and the order after it. */
function isAlone({ number, atMs, nextFinishedMs = 0 }: Fault, faults: readonly Fault[]): boolean {
  return faults.every(
    (other) => other.number === number || other.atMs > atMs + nextFinishedMs || (other.healedMs ?? Infinity) < atMs,
  )
}

/** By what witness and checker say; other findings are counted with none of them. */
function countFindings(findings: readonly string[]) {
  const count = (pattern: RegExp): number => findings.filter((finding) => pattern.test(finding)).length
  return {
    lost: count(/^P1: .*(does not know it|not in the list|not ready|GET of order)/),
    doubled: count(/^P1: .*twice|^P7/),
    changed: count(/^P[23]|^P1: .*(was accepted for|shows \d|GET says|has \w+ ")/),
  }
}

function print(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`
}
