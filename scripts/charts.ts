/** `npm run charts`: draws the machines' state charts into docs/. A test compares the files with a fresh drawing. */
import { writeFileSync } from 'node:fs'
import { drawChart } from '../src/inspect/chart.ts'
import { orderMachine } from '../src/machines/order.machine.ts'
import { pizzaMachine } from '../src/machines/pizza.machine.ts'

for (const machine of [orderMachine, pizzaMachine]) {
  const file = new URL(`../docs/${machine.id}.svg`, import.meta.url)
  const { svg } = await drawChart(machine, { standalone: true })
  writeFileSync(file, svg)
  console.log(`docs/${machine.id}.svg  ${svg.length} bytes`)
}
