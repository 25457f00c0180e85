/** Draw: a laid-out chart as what the page and the documents show. Takes 100 to 500 ms of CPU. */
import { layOut } from './chart-layout.ts'
import type { Chart } from './chart-model.ts'
import { printSvg } from './chart-svg.ts'

/** A chart drawn for the page, with what it shows as data for those who cannot see it. */
export interface DrawnChart extends Chart {
  readonly svg: string
}

/** Draws a chart. `standalone` brings its own colours; without it the page around it gives them. */
export async function draw(chart: Chart, { standalone = false } = {}): Promise<DrawnChart> {
  const title = `State chart of ${/^[aeiou]/.test(chart.id) ? 'an' : 'a'} ${chart.id}`
  return { ...chart, svg: printSvg(await layOut(chart), { title, standalone }) }
}
