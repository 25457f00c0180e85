/** Shop view: how every role is doing, where the pizzas are right now, the cheese report, and what became dead letters. */
import { html } from 'htm/preact'
import { useState } from 'preact/hooks'
import type { StateCount } from '../../actors/census.ts'
import type { DeadLetterRow } from '../../actors/dead-letter-list.ts'
import type { ShopRole, ShopView as ShopData } from '../shop-view.ts'
import { controls, post, useCharts, useStream } from './api.ts'
import { ChartView } from './chart-view.ts'
import { formatCount, formatMs, formatTime } from './format.ts'
import { LiveMark, Problem, TokenField } from './parts.ts'

export function ShopView() {
  const { data, isConnected } = useStream<ShopData>('/live/shop')
  return html`<section aria-labelledby="shop-title">
    <div class="head">
      <h1 id="shop-title">Shop</h1>
      <${LiveMark} isConnected=${isConnected} />
      ${controls === 'token' && html`<span class="place"><${TokenField} /></span>`}
    </div>
    ${data?.problems.map((text) => html`<${Problem} key=${text} text=${`${text}.`} />`)}
    ${
      data === undefined
        ? html`<p class="empty">Loading…</p>`
        : html`<div class="shop-grid">
            <div class="column">
              <${Roles} roles=${data.roles} />
              <${TimeInState} states=${data.census.states} />
              <${CheeseReport} report=${data.report} />
              <${DeadLetters} letters=${data.dead_letters.newest} total=${data.dead_letters.total} />
            </div>
            <${Pizzas} census=${data.census} />
          </div>`
    }
  </section>`
}

function Roles({ roles }: { roles: readonly ShopRole[] }) {
  const [problem, setProblem] = useState<string>()
  const change = async (role: string, action: 'stop' | 'start') => {
    try {
      await post(`/roles/${role}/${action}`)
      setProblem(undefined)
    } catch (error) {
      setProblem((error as Error).message)
    }
  }
  return html`<div class="card panel">
    <h2>Roles</h2>
    ${problem && html`<${Problem} text=${problem} />`}
    <table class="roles">
      <thead>
        <tr>
          <th scope="col">Role</th>
          <th scope="col">Status</th>
          <th scope="col" class="number">Lag</th>
          <th scope="col" class="number">Records/s</th>
          <th scope="col" class="number wide">Dead letters</th>
          <th scope="col"><span class="sr">Action</span></th>
        </tr>
      </thead>
      <tbody>
        ${roles.map((role) => html`<${RoleRow} key=${role.role} ...${role} onChange=${change} />`)}
      </tbody>
    </table>
  </div>`
}

type RoleRowProps = ShopRole & { onChange: (role: string, action: 'stop' | 'start') => void }

function RoleRow({ role, state, reasons, can_stop, lag, rate, dead_letters, onChange }: RoleRowProps) {
  const action = state === 'stopped' ? 'start' : 'stop'
  const isChangeable = can_stop && controls !== 'off' && (state === 'running' || state === 'stopped')
  const status = state === 'running' && reasons.length > 0 ? 'struggling' : state
  return html`<tr>
    <th scope="row">${role}</th>
    <td><span class=${`state ${status}`} title=${reasons.join('. ')}>${status}</span></td>
    <td class=${lag !== null && lag > 0 ? 'number strong' : 'number'}>${lag === null ? '–' : formatCount(lag)}</td>
    <td class="number">${rate === null ? '–' : formatCount(rate)}</td>
    <td class=${dead_letters > 0 ? 'number wide bad' : 'number wide'}>${formatCount(dead_letters)}</td>
    <td class="action">
      ${
        isChangeable &&
        html`<button class="small" aria-label=${`${action} ${role}`} onClick=${() => onChange(role, action)}>
          ${action}
        </button>`
      }
    </td>
  </tr>`
}

function Pizzas({ census }: { census: ShopData['census'] }) {
  const chart = useCharts().find(({ id }) => id === 'pizza')
  const marks = Object.fromEntries(
    census.states.map(({ state, pizzas, p50_ms, p99_ms }) => [
      state,
      {
        count: formatCount(pizzas),
        note: p50_ms === null || p99_ms === null ? '' : `p50 ${formatMs(p50_ms)}, p99 ${formatMs(p99_ms)}`,
      },
    ]),
  )
  const noun = census.open_orders === 1 ? 'order' : 'orders'
  const spoken = census.states.map(({ state, pizzas }) => `${pizzas} in ${state}`).join(', ')
  return html`<div class="card panel">
    <h2>Pizzas right now</h2>
    <p class="muted">
      ${`${formatCount(census.open_orders)} open ${noun}${census.is_complete ? '' : ', still counting'}`}
    </p>
    ${chart && html`<${ChartView} chart=${chart} marks=${marks} label=${`Pizzas of open orders by state: ${spoken}`} />`}
  </div>`
}

function TimeInState({ states }: { states: readonly StateCount[] }) {
  return html`<div class="card panel">
    <h2>Time in state</h2>
    <table>
      <caption class="sr">
        How long pizzas stay in each state
      </caption>
      <thead>
        <tr>
          <th scope="col">State</th>
          <th scope="col" class="number">Pizzas</th>
          <th scope="col" class="number">p50</th>
          <th scope="col" class="number">p99</th>
        </tr>
      </thead>
      <tbody>
        ${states.map(
          ({ state, pizzas, p50_ms, p99_ms }: StateCount) =>
            html`<tr key=${state}>
              <th scope="row">${state}</th>
              <td class="number">${formatCount(pizzas)}</td>
              <td class="number">${p50_ms === null ? '–' : formatMs(p50_ms)}</td>
              <td class="number">${p99_ms === null ? '–' : formatMs(p99_ms)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`
}

/** Bars as table rows: what they say is also what a screen reader reads. */
function CheeseReport({ report }: { report: ShopData['report'] }) {
  const rows = Object.entries(report ?? {}).sort((a, b) => b[1] - a[1])
  const most = rows[0]?.[1] ?? 1
  return html`<div class="card panel">
    <h2>Cheese report</h2>
    ${
      report === null
        ? html`<p class="muted">The cheese reporter does not answer.</p>`
        : html`<table class="bars">
            <caption class="sr">
              Pizzas by choice of cheese
            </caption>
            <tbody>
              ${rows.map(
                ([choice, count]) =>
                  html`<tr key=${choice}>
                    <th scope="row">${choice}</th>
                    <td class="bar"><div style=${{ width: `${(100 * count) / most}%` }}></div></td>
                    <td class="number">${formatCount(count)}</td>
                  </tr>`,
              )}
            </tbody>
          </table>`
    }
    ${report !== null && rows.length === 0 && html`<p class="muted">No pizza has cheese yet.</p>`}
  </div>`
}

function DeadLetters({ letters, total }: { letters: readonly DeadLetterRow[]; total: number }) {
  return html`<div class="card panel">
    <h2>Dead letters <span class="muted">${formatCount(total)}</span></h2>
    ${
      letters.length === 0
        ? html`<p class="muted">None. A record that cannot be taken would be kept here, with the reason.</p>`
        : html`<ul class="letters">
            ${letters.map((letter) => html`<${Letter} key=${letter.id} ...${letter} />`)}
          </ul>`
    }
  </div>`
}

function Letter({ id, at, role, reason, detail, source, order_id, value, redriven_at }: DeadLetterRow) {
  const place = source === null ? 'unknown' : `${source.topic} / ${source.partition} / ${source.offset}`
  return html`<li>
    <p><strong>${reason}</strong> <span class="muted">${role}, ${formatTime(at)}</span></p>
    <p>${detail}</p>
    <p class="where">${place}${order_id !== null && `, order ${order_id}`}</p>
    <pre tabindex="0">${value}</pre>
    ${
      redriven_at === null
        ? html`<p><code>npm start -- dead-letters show ${id}</code></p>`
        : html`<p class="muted">Redriven ${formatTime(redriven_at)}</p>`
    }
  </li>`
}
