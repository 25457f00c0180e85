/** Chart: a machine as an SVG picture. Slow; the shop asks for it through page-worker.ts. */
import type { AnyStateMachine } from 'xstate'
import { layOut } from './chart-layout.ts'
import { toChart, type Chart } from './chart-model.ts'
import { printSvg } from './chart-svg.ts'

/** A chart drawn for the page, with what it shows as data for those who cannot see it. */
export interface DrawnChart extends Chart {
  readonly svg: string
}

/** Draws a machine's chart. `standalone` brings its own colours. */
export async function drawChart(machine: AnyStateMachine, { standalone = false } = {}): Promise<DrawnChart> {
  const chart = toChart(machine)
  const title = `State chart of ${/^[aeiou]/.test(chart.id) ? 'an' : 'a'} ${chart.id}`
  return { ...chart, svg: printSvg(await layOut(chart), { title, standalone }) }
}
