/**
 * Page worker. Does for the page what would hold up the shop's events: draws the charts and turns the page's TypeScript into
 * JavaScript. Started for the first visitor, ended when it has answered.
 */
import { stripTypeScriptTypes } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import type { Chart } from './chart-model.ts'
import { draw, type DrawnChart } from './draw.ts'

export interface PageWork {
  readonly charts: readonly Chart[]
  /** TypeScript by file name. */
  readonly sources: Readonly<Record<string, string>>
}

export interface PageWorkDone {
  readonly charts: readonly DrawnChart[]
  /** JavaScript by file name, which ends in `.js` instead of `.ts`. */
  readonly scripts: Readonly<Record<string, string>>
}

// Nobody sends anything where this file is loaded without being a worker.
if (parentPort !== null && workerData !== null) parentPort.postMessage(await work(workerData as PageWork))

async function work({ charts, sources }: PageWork): Promise<PageWorkDone> {
  const scripts = Object.entries(sources).map(([name, source]) => [name.replace(/\.ts$/, '.js'), toScript(source)])
  return {
    charts: await Promise.all(charts.map((chart) => draw(chart))),
    scripts: Object.fromEntries(scripts) as Record<string, string>,
  }
}

/** Types become blanks, so lines and columns stay what they are in the sources; imports name the scripts. */
function toScript(source: string): string {
  return stripTypeScriptTypes(source).replaceAll(/(from '\.\/[\w-]+)\.ts'/g, "$1.js'")
}
