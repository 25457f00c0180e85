/** Pizza chips: every pizza of an order with its state, small enough for a thousand of them. */
import { html } from 'htm/preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { formatCount } from './format.ts'
import { scrollInto } from './scroll.ts'

export interface PizzaChipsProps {
  readonly states: readonly string[]
  /** Every state a pizza can be in, in the order of the chart. */
  readonly names: readonly string[]
  readonly chosen: readonly number[]
  /** `isMore`: beside those that are chosen. */
  readonly onChoose: (pizzaId: number, isMore: boolean) => void
}

/** One chip is in the tab order; arrow keys go from chip to chip. */
export function PizzaChips({ states, names, chosen, onChoose }: PizzaChipsProps) {
  const [wanted, setWanted] = useState<string>()
  const shown = states.flatMap((state, index) =>
    wanted === undefined || wanted === state ? [{ id: index + 1, state }] : [],
  )
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => scrollInto(box.current, '[aria-pressed="true"]'), [chosen.join(), wanted])
  const first = (shown.find(({ id }) => chosen.includes(id)) ?? shown[0])?.id
  return html`<div class="chips-panel">
    <div class="tallies" role="group" aria-label="Show only pizzas in one state">
      ${names.map((name, index) => {
        const count = states.filter((state) => state === name).length
        return html`<button
          class=${`tally hue-${index}`}
          aria-pressed=${wanted === name}
          onClick=${() => setWanted(wanted === name ? undefined : name)}
        >
          ${name} <b>${formatCount(count)}</b>
        </button>`
      })}
    </div>
    <div class="chips" ref=${box} role="group" aria-label="Pizzas" onKeyDown=${moveFocus}>
      ${shown.map(
        ({ id, state }) =>
          html`<button
            key=${id}
            class=${`chip hue-${names.indexOf(state)}`}
            aria-pressed=${chosen.includes(id)}
            tabindex=${id === first ? 0 : -1}
            title=${`Pizza ${id}: ${state} (Shift-click shows it beside others)`}
            aria-label=${`Pizza ${id}: ${state}`}
            onClick=${(event: MouseEvent) => onChoose(id, event.ctrlKey || event.metaKey || event.shiftKey)}
          >
            ${id}
          </button>`,
      )}
      ${shown.length === 0 && html`<span class="muted">No pizza is in this state.</span>`}
    </div>
  </div>`
}

function moveFocus(event: KeyboardEvent): void {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key]
  if (step === undefined) return
  // Arrows step through the events elsewhere on the page.
  event.stopPropagation()
  event.preventDefault()
  const chip = event.target as HTMLElement
  const next = step > 0 ? chip.nextElementSibling : chip.previousElementSibling
  if (next instanceof HTMLElement) next.focus()
}
