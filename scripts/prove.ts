/**
 * `npm run prove`: crashes our machines at every step of every path and compares with the run that never crashed.
 * `npm run prove -- file.ts` does it with the proofs that a module exports (docs/proof.md). Ends with 1 when something differs.
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { recipe } from '../src/menu.ts'
import { describeProof } from '../src/proof/crashes.ts'
import { createShopProofs, type Proof } from '../src/proof/shop-proofs.ts'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { long: { type: 'boolean' } } })
const proofs =
  positionals.length > 0
    ? (await Promise.all(positionals.map(loadProofs))).flat()
    : createShopProofs({ recipe, isLong: values.long ?? false })

let differing = 0
for (const proof of proofs) {
  const startedAt = performance.now()
  const proved = await proof.run()
  const seconds = (performance.now() - startedAt) / 1_000
  console.log(`${describeProof(proved)} (${seconds.toFixed(1)} s)`)
  for (const { path, crashAfter, when, expected, found } of proved.differences.slice(0, 3)) {
    console.log(`  ${path}\n  crash after ${crashAfter} events, ${when}: expected ${expected}\n  found ${found}`)
  }
  if (proved.differences.length > 0) differing++
}
console.log(`${proofs.length} proofs, ${differing} with differences`)
process.exitCode = differing > 0 || proofs.length === 0 ? 1 : 0

/** Everything in the module that can be run as a proof. */
async function loadProofs(file: string): Promise<Proof[]> {
  const exported = (await import(pathToFileURL(resolve(file)).href)) as Record<string, unknown>
  return Object.values(exported).filter(
    (value): value is Proof => typeof value === 'object' && value !== null && 'run' in value && 'name' in value,
  )
}
