/** Orders view: the newest orders as they happen, older ones page by page, and the way to place one. */
import { html } from 'htm/preact'
import { useEffect, useState } from 'preact/hooks'
import type { OrderPage, OrderStatus, OrderSummary } from '../../actors/orders.ts'
import { countMax, controls, getOrders, post, useStream } from './api.ts'
import { between, formatCount, formatMs, formatTime } from './format.ts'
import { LiveMark, Problem, StatusPill, TokenField } from './parts.ts'
import { go, toHash, type Place } from './router.ts'

const pageRows = 50

export function OrdersView({ query }: Place) {
  const status = toStatus(query.get('status'))
  const after = query.get('after') ?? undefined
  const path = status ? `/live/orders?status=${status}` : '/live/orders'
  const live = useStream<OrderPage>(after === undefined ? path : undefined)
  const page = usePage(status, after)
  const [placed, setPlaced] = useState<string>()
  const shown = after === undefined ? live.data : page.data
  return html`<section aria-labelledby="orders-title">
    <div class="head">
      <h1 id="orders-title">Orders</h1>
      ${
        after === undefined
          ? html`<${LiveMark} isConnected=${live.isConnected} />`
          : html`<a class="button quiet" href=${toHash('orders', { status })}>Back to the newest</a>`
      }
      <${PlaceForm} onPlaced=${setPlaced} />
    </div>
    <div class="toolbar">
      <${StatusFilter} status=${status} />
      <${SearchForm} />
    </div>
    ${page.problem && html`<${Problem} text=${page.problem} />`}
    <${OrderTable} orders=${shown?.orders} placed=${placed} />
    ${
      shown?.next &&
      html`<p class="more">
        <a class="button" href=${toHash('orders', { status, after: shown.next })}>Older orders</a>
      </p>`
    }
  </section>`
}

function toStatus(text: string | null): OrderStatus | undefined {
  return text === 'preparing' || text === 'ready' ? text : undefined
}

/** A page of older orders; it stands still. */
function usePage(status: OrderStatus | undefined, after: string | undefined) {
  const [page, setPage] = useState<{ data?: OrderPage; problem?: string }>({})
  useEffect(() => {
    setPage({})
    if (after === undefined) return
    const query = new URLSearchParams({ after, limit: String(pageRows), ...(status && { status }) })
    getOrders(query.toString()).then(
      (data) => setPage({ data }),
      (error: Error) => setPage({ problem: error.message }),
    )
  }, [status, after])
  return page
}

function StatusFilter({ status }: { status: OrderStatus | undefined }) {
  const choices = [undefined, 'preparing', 'ready'] as const
  return html`<nav class="segments" aria-label="Status">
    ${choices.map(
      (choice) =>
        html`<a href=${toHash('orders', { status: choice })} aria-current=${choice === status ? 'true' : undefined}
          >${choice === undefined ? 'All' : `${choice[0]!.toUpperCase()}${choice.slice(1)}`}</a
        >`,
    )}
  </nav>`
}

function SearchForm() {
  const search = (event: SubmitEvent) => {
    event.preventDefault()
    const id = new FormData(event.currentTarget as HTMLFormElement).get('id') as string
    if (id.trim() !== '') go(toHash(`order/${encodeURIComponent(id.trim())}`))
  }
  return html`<form class="search" role="search" onSubmit=${search}>
    <input name="id" type="search" placeholder="Find an order by its id" aria-label="Order id" autocomplete="off" />
    <button>Find</button>
  </form>`
}

function PlaceForm({ onPlaced }: { onPlaced: (id: string) => void }) {
  const [outcome, setOutcome] = useState<{ id?: string; problem?: string }>({})
  if (controls === 'off') return html`<p class="muted place">This page may only look.</p>`
  const place = async (event: SubmitEvent) => {
    event.preventDefault()
    const count = new FormData(event.currentTarget as HTMLFormElement).get('count') as string
    try {
      const { order_id: id } = await post<{ order_id: string }>(`/order/${encodeURIComponent(count)}`)
      setOutcome({ id })
      onPlaced(id)
    } catch (error) {
      setOutcome({ problem: (error as Error).message })
    }
  }
  return html`<form class="place" onSubmit=${place}>
    ${controls === 'token' && html`<${TokenField} />`}
    <span class="outcome" role="status">
      ${outcome.id && html`Placed <a href=${toHash(`order/${outcome.id}`)}>…${outcome.id.slice(-6)}</a>`}
      ${outcome.problem && html`<span class="bad">${outcome.problem}</span>`}
    </span>
    <label>Pizzas <input name="count" type="number" min="1" max=${countMax} defaultValue="3" required /></label>
    <button class="primary">Order</button>
  </form>`
}

function OrderTable({ orders, placed }: { orders: readonly OrderSummary[] | undefined; placed: string | undefined }) {
  if (orders === undefined) return html`<p class="empty">Loading…</p>`
  if (orders.length === 0) return html`<p class="empty">No orders here yet.</p>`
  return html`<div class="card">
    <table class="orders">
      <thead>
        <tr>
          <th scope="col">Order</th>
          <th scope="col" class="number">Pizzas</th>
          <th scope="col">Status</th>
          <th scope="col" class="wide">Placed</th>
          <th scope="col" class="number">Ready after</th>
        </tr>
      </thead>
      <tbody>
        ${orders.map(
          ({ id, count, status, placed_at, ready_at }) =>
            html`<tr key=${id} class=${id === placed ? 'fresh' : ''}>
              <td class="id"><a href=${toHash(`order/${id}`)}>${id}</a></td>
              <td class="number">${formatCount(count)}</td>
              <td><${StatusPill} status=${status} /></td>
              <td class="wide muted"><time datetime=${placed_at}>${formatTime(placed_at)}</time></td>
              <td class="number">${ready_at === null ? '–' : formatMs(between(placed_at, ready_at))}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`
}
