/** Chart view: a machine's chart with its active state marked and, in the Shop, a count in each state. */
import { html } from 'htm/preact'
import { useEffect, useRef } from 'preact/hooks'
import type { ChartState } from '../chart-model.ts'
import type { DrawnChart } from '../draw.ts'

export interface ChartViewProps {
  readonly chart: DrawnChart
  readonly active?: string | undefined
  /** By state: the count in its corner and what is written beside it. */
  readonly marks?: Readonly<Record<string, { readonly count: string; readonly note: string }>>
  /** What the chart says about itself to those who cannot see it. */
  readonly label: string
}

/** The chart comes from this server as text; it becomes nodes without ever being markup of this page. */
export function ChartView({ chart, active, marks, label }: ChartViewProps) {
  const frame = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const parsed = new DOMParser().parseFromString(chart.svg, 'image/svg+xml').documentElement
    frame.current?.replaceChildren(document.importNode(parsed, true))
  }, [chart.svg])
  useEffect(() => {
    const svg = frame.current?.firstElementChild
    svg?.setAttribute('aria-label', label)
    for (const state of frame.current?.querySelectorAll<SVGGElement>('.state') ?? []) {
      const name = state.dataset['state'] ?? ''
      state.classList.toggle('active', name === active)
      const { count = '', note = '' } = marks?.[name] ?? {}
      state.classList.toggle('counted', count !== '' && count !== '0')
      setText(state.querySelector('.badge'), count)
      setText(state.querySelector('.note'), note)
    }
  })
  return html`<div class="chart-frame" ref=${frame}></div>`
}

function setText(element: Element | null, text: string): void {
  if (element) element.textContent = text
}

/** What may happen next in a state, as a list: the chart's truth for everyone. */
export function NextEvents({ chart, active }: { chart: DrawnChart; active: string | undefined }) {
  const state = chart.states.find(({ name }) => name === active)
  if (state === undefined) return null
  const events = state.events.filter(({ event }) => event !== '')
  return html`<div class="next">
    <p><strong class="state-name">${state.name}</strong> <span class="muted">${state.description}</span></p>
    ${
      events.length === 0
        ? html`<p class="muted">Nothing changes it any more.</p>`
        : html`<ul aria-label="Possible next events">
            ${events.map(
              ({ event, description }: ChartState['events'][number]) =>
                html`<li><code>${event}</code> <span class="muted">${description}</span></li>`,
            )}
          </ul>`
    }
  </div>`
}
