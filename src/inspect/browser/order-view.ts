/**
 * Order view: an order's charts, its pizzas and its history. Without `event` in the address it follows the order live; with it,
 * everything shows the order as it was after that event.
 */
import { html } from 'htm/preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { HistoryEntry } from '../../actors/orders.ts'
import type { DrawnChart } from '../draw.ts'
import { getHistory, getOrder, useCharts, type OrderAnswer } from './api.ts'
import { ChartView, NextEvents } from './chart-view.ts'
import { between, formatCount, formatMs, formatTime } from './format.ts'
import { describe, HistoryList } from './history-list.ts'
import { toMoment } from './moment.ts'
import { LiveMark, Problem, StatusPill } from './parts.ts'
import { PizzaChips } from './pizza-chips.ts'
import { go, toHash, type Place } from './router.ts'
import { StepDetail } from './step-detail.ts'

/** Pizza charts side by side. */
const pizzasMax = 4

export function OrderView({ id, query }: Place) {
  const { order, history, problem, isConnected } = useOrder(id)
  const charts = useCharts()
  if (problem !== undefined)
    return html`<h1>Order</h1>
      <${Problem} text=${problem} />`
  if (order === undefined || charts.length === 0) return html`<p class="empty">Loading…</p>`
  const pinned = toNumber(query.get('event'), history.length)
  return html`<${Loaded}
    order=${order}
    history=${history}
    charts=${charts}
    pinned=${pinned}
    pizzas=${parsePizzas(query.get('pizza'), order.count)}
    isConnected=${isConnected}
  />`
}

interface LoadedProps {
  readonly order: OrderAnswer
  readonly history: readonly HistoryEntry[]
  readonly charts: readonly DrawnChart[]
  readonly pinned: number | undefined
  /** Those the address names. */
  readonly pizzas: readonly number[]
  readonly isConnected: boolean
}

function Loaded({ order, history, charts, pinned, pizzas, isConnected }: LoadedProps) {
  const [orderChart, pizzaChart] = [charts.find(({ id }) => id === 'order')!, charts.find(({ id }) => id === 'pizza')!]
  const version = pinned ?? history.length
  const entry = history[version - 1]
  const { count } = order
  const names = pizzaChart.states.map(({ name }) => name)
  const firstState = names[0] ?? ''
  const { orderState, pizzaStates } = useMemo(
    () => toMoment(history, { version, count, firstState }),
    [history, version, count],
  )
  // Without a choice the chart follows the pizza that the event is about.
  const chosen = pizzas.length > 0 ? pizzas : [entry?.pizza_id ?? 1]
  const show = (event: number | undefined, named = pizzas) =>
    go(toHash(`order/${order.id}`, { event, pizza: named.length > 0 ? named.join() : undefined }), { replace: true })
  useArrowKeys(version, history.length, show)
  const title = `${chosen.length > 1 ? 'Pizzas' : 'Pizza'} ${chosen.join(', ')}`
  return html`<section aria-labelledby="order-title">
    <${Heading} order=${order} isConnected=${isConnected} isPinned=${pinned !== undefined} />
    <${Stepper} history=${history} version=${version} isPinned=${pinned !== undefined} show=${show} />
    <div class="order-grid">
      <div class="card panel">
        <h2>Order</h2>
        <${NextEvents} chart=${orderChart} active=${orderState} />
        <${ChartView}
          chart=${orderChart}
          active=${orderState}
          label=${`State chart of the order; it is in ${orderState}`}
        />
      </div>
      <div class=${chosen.length > 1 ? 'card panel many' : 'card panel'}>
        <h2>${title} <span class="muted">${`of ${formatCount(count)}`}</span></h2>
        <${PizzaChips}
          states=${pizzaStates}
          names=${names}
          chosen=${chosen}
          onChoose=${(id: number, isMore: boolean) => show(pinned, choosePizza(pizzas, chosen, { id, isMore }))}
        />
        <div class="pizzas">
          ${chosen.map((id) => html`<${PizzaChart} key=${id} chart=${pizzaChart} id=${id} state=${pizzaStates[id - 1]} />`)}
        </div>
      </div>
      <div class="card panel history">
        <h2>History</h2>
        <${HistoryList} history=${history} version=${version} onChoose=${(chosen: number) => show(chosen)} />
        ${entry && html`<${StepDetail} orderId=${order.id} entry=${entry} />`}
      </div>
    </div>
  </section>`
}

function PizzaChart({ chart, id, state }: { chart: DrawnChart; id: number; state: string | undefined }) {
  return html`<div>
    <${NextEvents} chart=${chart} active=${state} />
    <${ChartView}
      chart=${chart}
      active=${state}
      label=${`State chart of pizza ${id}; it is in ${state ?? 'no state'}`}
    />
  </div>`
}

function Heading({ order, isConnected, isPinned }: { order: OrderAnswer; isConnected: boolean; isPinned: boolean }) {
  const { id, count, status, placed_at, ready_at } = order
  return html`<div class="head">
      <h1 id="order-title">Order <span class="long-id">${id}</span></h1>
      <${StatusPill} status=${status} />
      ${!isPinned && status !== 'ready' && html`<${LiveMark} isConnected=${isConnected} />`}
    </div>
    <p class="summary muted">
      ${formatCount(count)} ${count === 1 ? 'pizza' : 'pizzas'}, placed ${formatTime(placed_at)}
      ${ready_at === null ? '' : `, ready after ${formatMs(between(placed_at, ready_at))}`}
    </p>`
}

interface StepperProps {
  readonly history: readonly HistoryEntry[]
  readonly version: number
  readonly isPinned: boolean
  readonly show: (version: number | undefined) => void
}

function Stepper({ history, version, isPinned, show }: StepperProps) {
  const entry = history[version - 1]
  const text = entry === undefined ? '' : `Event ${version} of ${history.length}: ${describe(entry)}`
  const slide = (event: InputEvent) => show(Number((event.currentTarget as HTMLInputElement).value))
  return html`<div class="card stepper" role="group" aria-label="Step through the events">
    <button title="Event before (arrow left)" disabled=${version <= 1} onClick=${() => show(version - 1)}>
      ‹<span class="sr">Event before</span>
    </button>
    <input
      type="range"
      min="1"
      max=${Math.max(1, history.length)}
      value=${version}
      aria-label="Event"
      aria-valuetext=${text}
      onInput=${slide}
    />
    <button title="Event after (arrow right)" disabled=${version >= history.length} onClick=${() => show(version + 1)}>
      ›<span class="sr">Event after</span>
    </button>
    <output class="where-now">${text}</output>
    <button class=${isPinned ? 'primary' : ''} aria-pressed=${!isPinned} onClick=${() => show(undefined)}>Now</button>
  </div>`
}

/** Left and right step through the events, wherever they mean nothing else. */
function useArrowKeys(version: number, last: number, show: (version: number) => void): void {
  // Keys may come faster than the page is drawn: each step is taken from the last one and not from what is shown.
  const at = useRef(version)
  at.current = version
  useEffect(() => {
    const step = (event: KeyboardEvent) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
      const isTaken = event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey
      if (by === undefined || isTaken) return
      const next = at.current + by
      if (next < 1 || next > last) return
      at.current = next
      show(next)
    }
    addEventListener('keydown', step)
    return () => removeEventListener('keydown', step)
  })
}

/** A large order is not asked for more often than it can be looked at. */
const askAgainMs = 200

interface OrderState {
  readonly order?: OrderAnswer
  readonly history: readonly HistoryEntry[]
  readonly problem?: string
  readonly isConnected: boolean
}

/** An order and its history, asked for again when its stream says that something happened. */
function useOrder(id: string): OrderState {
  const [state, setState] = useState<OrderState & { id?: string }>({ history: [], isConnected: false })
  useEffect(() => {
    let isLeft = false
    let asking: Promise<void> | undefined
    let isStale = false
    const ask = async () => {
      do {
        isStale = false
        try {
          const [order, history] = await Promise.all([getOrder(id), getHistory(id)])
          if (!isLeft) setState((last) => ({ id, order, history, isConnected: last.isConnected }))
          if (order.status === 'ready') source.close()
        } catch (error) {
          if (!isLeft) setState({ id, history: [], isConnected: false, problem: (error as Error).message })
          source.close()
        }
        if (isStale) await new Promise((resolve) => setTimeout(resolve, askAgainMs))
      } while (isStale && !isLeft)
      asking = undefined
    }
    // Events come in bursts, and an answer holds all that came before it was asked for.
    const refresh = () => {
      isStale = true
      asking ??= ask()
    }
    const source = new EventSource(`/order/${encodeURIComponent(id)}/events`)
    for (const type of ['order.placed', 'pizza.topped', 'order.ready']) source.addEventListener(type, refresh)
    const setConnected = (isConnected: boolean) => setState((last) => ({ ...last, isConnected }))
    source.addEventListener('open', () => setConnected(true))
    source.addEventListener('error', () => setConnected(false))
    refresh()
    return () => {
      isLeft = true
      source.close()
    }
  }, [id])
  return state.id === id ? state : { history: [], isConnected: false }
}

/** Reads `3` or `3,7,12`: at most as many pizzas as there is room for, each once. */
function parsePizzas(text: string | null, count: number): number[] {
  const numbers = (text ?? '').split(',').flatMap((part) => toNumber(part, count) ?? [])
  return [...new Set(numbers)].slice(0, pizzasMax)
}

/** One pizza instead of those before, or one more or less beside them. The only one chosen once more: none, so that events decide. */
function choosePizza(
  named: readonly number[],
  shown: readonly number[],
  { id, isMore }: { id: number; isMore: boolean },
): readonly number[] {
  if (!isMore) return named.length === 1 && named[0] === id ? [] : [id]
  return shown.includes(id) ? shown.filter((other) => other !== id) : [...shown, id].slice(-pizzasMax)
}

/** A whole number from 1 to `max`; anything else is no number. */
function toNumber(text: string | null, max: number): number | undefined {
  const number = Number(text)
  return text !== null && Number.isInteger(number) && number >= 1 && number <= max ? number : undefined
}
