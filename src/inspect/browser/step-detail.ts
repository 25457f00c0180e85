/** Step detail: one event with its record as the log stores it, and what it changed in the machines. */
import { html } from 'htm/preact'
import { useEffect, useState } from 'preact/hooks'
import type { HistoryEntry, HistoryStep } from '../../actors/orders.ts'
import { getStep } from './api.ts'
import { findChanges } from './moment.ts'
import { Problem } from './parts.ts'

/** Whoever drags the slider passes over many events: only the one they stay at is asked for. */
const settleMs = 120

export function StepDetail({ orderId, entry }: { orderId: string; entry: HistoryEntry }) {
  const { step, problem } = useStep(orderId, entry.version)
  return html`<div class="step" aria-live="polite">
    <dl class="facts">
      <div>
        <dt>Topic</dt>
        <dd>${entry.topic}</dd>
      </div>
      <div>
        <dt>Partition</dt>
        <dd>${entry.partition}</dd>
      </div>
      <div>
        <dt>Offset</dt>
        <dd>${entry.offset}</dd>
      </div>
      <div>
        <dt>Appended</dt>
        <dd>${entry.at}</dd>
      </div>
    </dl>
    ${problem && html`<${Problem} text=${problem} />`}
    <h3>Changes</h3>
    ${step ? html`<${Changes} step=${step} />` : html`<p class="muted">…</p>`}
    <h3>Key as stored</h3>
    <pre tabindex="0">${step ? (step.record?.key ?? 'none') : '…'}</pre>
    ${
      Object.keys(step?.record?.headers ?? {}).length > 0 &&
      html`<h3>Headers as stored</h3>
        <pre tabindex="0">${JSON.stringify(step?.record?.headers, null, 2)}</pre>`
    }
    <h3>Value as stored</h3>
    <pre tabindex="0">${step ? toValueText(step) : '…'}</pre>
  </div>`
}

function useStep(orderId: string, version: number): { step?: HistoryStep; problem?: string } {
  const [found, setFound] = useState<{ step?: HistoryStep; problem?: string; version?: number }>({})
  useEffect(() => {
    const leaving = new AbortController()
    const timer = setTimeout(() => {
      getStep(orderId, version, leaving.signal).then(
        (step) => setFound({ step, version }),
        (error: Error) => leaving.signal.aborted || setFound({ problem: error.message, version }),
      )
    }, settleMs)
    return () => {
      clearTimeout(timer)
      leaving.abort()
    }
  }, [orderId, version])
  return found.version === version ? found : {}
}

function toValueText({ record }: HistoryStep): string {
  if (record === null) return 'The log does not hold it any more.'
  return record.value ?? 'none'
}

function Changes({ step: { before, after } }: { step: HistoryStep }) {
  const changes = [
    ...findChanges({ order: before.order }, { order: after.order }),
    ...findChanges({ pizza: before.pizza }, { pizza: after.pizza }),
  ]
  return html`<table class="changes">
    <thead>
      <tr>
        <th scope="col">What</th>
        <th scope="col">Before</th>
        <th scope="col">After</th>
      </tr>
    </thead>
    <tbody>
      ${changes.map(
        ({ path, before, after }) =>
          html`<tr key=${path}>
            <th scope="row">${path.split('.').map((part, index) => (index > 0 ? html`.<wbr />${part}` : part))}</th>
            <td>${before === undefined ? '–' : html`<del>${before}</del>`}</td>
            <td>${after === undefined ? '–' : html`<ins>${after}</ins>`}</td>
          </tr>`,
      )}
    </tbody>
  </table>`
}
