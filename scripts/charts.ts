/** `npm run charts`: draws the machines' state charts into docs/. A test compares the files with a fresh drawing. */
import { writeFileSync } from 'node:fs'
import { toChart } from '../src/inspect/chart-model.ts'
import { draw } from '../src/inspect/draw.ts'
import { orderMachine } from '../src/machines/order.machine.ts'
import { pizzaMachine } from '../src/machines/pizza.machine.ts'

for (const machine of [orderMachine, pizzaMachine]) {
  const file = new URL(`../docs/${machine.id}.svg`, import.meta.url)
  const { svg } = await draw(toChart(machine), { standalone: true })
  writeFileSync(file, svg)
  console.log(`docs/${machine.id}.svg  ${svg.length} bytes`)
}
