/** History list: the events of an order around the chosen one, with where each stands in the log. Idle times are one line each. */
import { html } from 'htm/preact'
import { useEffect, useRef } from 'preact/hooks'
import type { HistoryEntry } from '../../actors/orders.ts'
import { between, formatMs } from './format.ts'
import { scrollInto } from './scroll.ts'

/** Events in the document at once: an order of a thousand pizzas has four thousand. */
const windowRows = 200
const idleMs = 1_000

export interface HistoryListProps {
  readonly history: readonly HistoryEntry[]
  readonly version: number
  readonly onChoose: (version: number) => void
}

export function HistoryList({ history, version, onChoose }: HistoryListProps) {
  const list = useRef<HTMLOListElement>(null)
  useEffect(() => scrollInto(list.current, '[aria-current]'), [version, history.length])
  const start = Math.max(0, Math.min(version - windowRows / 2, history.length - windowRows))
  return html`<ol class="events" ref=${list} start=${start + 1} aria-label="Events" tabindex="0">
    ${history.slice(start, start + windowRows).map((entry, index) => {
      const before = history[start + index - 1]
      const gapMs = before ? between(before.at, entry.at) : 0
      return html`<li key=${entry.version} class=${gapMs >= idleMs ? 'after-idle' : ''}>
        ${gapMs >= idleMs && html`<span class="idle">${formatMs(gapMs)} idle</span>`}
        <button aria-current=${entry.version === version ? 'step' : undefined} onClick=${() => onChoose(entry.version)}>
          <span class="at">${entry.version}</span>
          <span class="what">${describe(entry)}</span>
          <span class="gap muted">${before && gapMs < idleMs ? `+${formatMs(gapMs)}` : ''}</span>
          <span class="where">${entry.topic} / ${entry.partition} / ${entry.offset}</span>
        </button>
      </li>`
    })}
  </ol>`
}

/** An event in a few words. */
export function describe({ event, pizza_id, topping, choice }: HistoryEntry): string {
  if (event === 'order.placed') return 'order placed'
  return `pizza ${pizza_id}: ${topping} = ${choice}`
}
