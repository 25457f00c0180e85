/** Parts that several views use. */
import { html } from 'htm/preact'

export function LiveMark({ isConnected }: { isConnected: boolean }) {
  return html`<span class=${isConnected ? 'live on' : 'live'} role="status"
    >${isConnected ? 'Live' : 'Connecting…'}</span
  >`
}

export function StatusPill({ status }: { status: string }) {
  return html`<span class=${`pill ${status}`}>${status}</span>`
}

export function Problem({ text }: { text: string }) {
  return html`<p class="problem" role="alert">${text}</p>`
}

/** Kept for this tab only. */
export function TokenField() {
  const keep = (event: InputEvent) => sessionStorage.setItem('token', (event.currentTarget as HTMLInputElement).value)
  return html`<label
    >Token
    <input class="token" type="password" autocomplete="off" value=${sessionStorage.getItem('token')} onInput=${keep}
  /></label>`
}
