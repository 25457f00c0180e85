import { createPlan } from './test/simulation/plan.ts'
import { simulate } from './test/simulation/simulate.ts'
import { mutations } from './test/simulation/mutations.ts'
const max = Number(process.argv[2] ?? 100)
for (const mutation of mutations) {
  let found = 0; const t0 = performance.now()
  for (let s = 1; s <= max; s++) { const o = await simulate(createPlan(s), { mutation }); if (o.violations.length) { console.log(s, Math.round(performance.now()-t0), "<-", mutation.name, o.violations[0]); found = s; break } }
  if (!found) console.log('NOT FOUND', mutation.name)
}
