import { createPlan } from './test/simulation/plan.ts'
import { simulate } from './test/simulation/simulate.ts'
const from = Number(process.argv[2] ?? 1), n = Number(process.argv[3] ?? 1), tr = process.argv[4] === 't'
const t = performance.now(); let steps = 0, bad = 0
for (let s = from; s < from + n; s++) { const o = await simulate(createPlan(s), { hasTrace: tr }); steps += o.steps
 if (tr) console.log(o.trace.join('\n'), o); if (o.violations.length) { bad++; if (bad < 15) console.log(s, o.steps, Math.round(o.simulatedMs), o.violations.slice(0,3)) } }
console.log(n, 'seeds', bad, 'bad', steps / n, 'steps', (n / (performance.now() - t) * 1000).toFixed(1), '/s')
