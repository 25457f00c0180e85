/**
 * Chart SVG: a laid-out chart as an SVG document. States carry `data-state`, edges `data-from` and `data-to`: whoever shows the
 * chart only sets classes. For the page colours come from its style sheet; a `standalone` picture brings its own, light and dark.
 */
import { metrics, type Arrow, type Box, type Layout, type Line, type Point } from './chart-layout.ts'

/** The colours of the page, for pictures that stand alone (docs/*.svg). */
const standaloneStyle = `
  svg { --ink: #1f2328; --muted: #59636e; --line: #8b949e; --card: #ffffff; --edge: #d1d9e0; --soft: #f6f8fa;
    font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6edf3; --muted: #9198a1; --line: #6e7681; --card: #161b22; --edge: #3d444d; --soft: #0d1117 }
  }
  .box { fill: var(--card); stroke: var(--edge) } .composite > .box { fill: var(--soft) }
  .name { fill: var(--ink); font-size: 15px; font-weight: 600 } .description { fill: var(--muted); font-size: 12px }
  .detail { fill: var(--ink); font-size: 12px } .rule { stroke: var(--edge) }
  .edge path { fill: none; stroke: var(--line); stroke-width: 1.5 } .edge .head, .dot { fill: var(--line) }
  .edge text { fill: var(--muted); font-size: 12px }
`

export interface SvgOptions {
  readonly title: string
  /** With its own colours, to be shown as an image (default: coloured by the page around it). */
  readonly standalone?: boolean
}

/** Prints a layout as SVG. */
export function printSvg({ width, height, boxes, dots, arrows }: Layout, { title, standalone }: SvgOptions): string {
  const head = `<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" viewBox="0 0 ${round(width)} ${round(height)}"`
  return [
    `${head} width="${round(width)}" height="${round(height)}">`,
    `<title>${escape(title)}</title>`,
    ...(standalone ? [`<style>${standaloneStyle}</style>`] : []),
    ...boxes.map(printBox),
    ...arrows.map(printArrow),
    ...dots.map(({ x, y }) => `<circle class="dot" cx="${round(x)}" cy="${round(y)}" r="${metrics.dotRadius}"/>`),
    '</svg>\n',
  ].join('\n')
}

function printBox({ x, y, width, height, state, lines }: Box): string {
  const { padding } = metrics
  const kind = state.states.length > 0 ? 'state composite' : 'state'
  let bottom = y + padding - 4
  const texts = lines.map((line, index) => {
    bottom += metrics[line.kind]
    const rule = line.kind === 'detail' && lines[index - 1]?.kind !== 'detail' ? printRule(x, bottom - 13, width) : ''
    return rule + printLine(line, { x: x + padding, y: line.kind === 'detail' ? bottom + 2 : bottom - 4 })
  })
  const box = `<rect class="box" x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" rx="8"/>`
  // Empty here; the page writes a count into the corner and a note beside the box.
  const badge = `<text class="badge" x="${round(x + width - padding)}" y="${round(y + padding + 14)}" text-anchor="end"></text>`
  const note = `<text class="note" x="${round(x + width + 10)}" y="${round(y + height / 2 + 4)}"></text>`
  return `<g class="${kind}" data-state="${escape(state.name)}">\n${[box, ...texts, badge, note].join('\n')}\n</g>`
}

function printRule(x: number, y: number, width: number): string {
  return `<line class="rule" x1="${round(x)}" x2="${round(x + width)}" y1="${round(y)}" y2="${round(y)}"/>\n`
}

function printLine({ text, kind }: Line, { x, y }: Point): string {
  return `<text class="${kind}" x="${round(x)}" y="${round(y)}">${escape(text)}</text>`
}

function printArrow({ from, to, points, label }: Arrow): string {
  const path = points.map(({ x, y }, index) => `${index === 0 ? 'M' : 'L'}${round(x)} ${round(y)}`).join(' ')
  const tip = points.at(-1)!
  const before = points.at(-2)!
  const degrees = Math.round((Math.atan2(tip.y - before.y, tip.x - before.x) * 180) / Math.PI)
  const head = `<path class="head" d="M0 0 L-8 -4 L-8 4 Z" transform="translate(${round(tip.x)} ${round(tip.y)}) rotate(${degrees})"/>`
  const text = label ? `<text x="${round(label.x)}" y="${round(label.y + 12)}">${escape(label.text)}</text>` : ''
  return `<g class="edge" data-from="${escape(toName(from))}" data-to="${escape(toName(to))}"><path d="${path}"/>${head}${text}</g>`
}

/** `pizza.sauce` → `sauce`. */
function toName(id: string): string {
  return id.slice(id.lastIndexOf('.') + 1)
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
