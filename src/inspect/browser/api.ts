/** API: what the page asks of its server. Answers are JSON of this very server, so their shape is taken as the server types it. */
import { useEffect, useState } from 'preact/hooks'
import type { HistoryEntry, HistoryStep, OrderPage, OrderView } from '../../actors/orders.ts'
import type { DrawnChart } from '../draw.ts'

const settings = document.documentElement.dataset

/** What the server lets the page change, and the most pizzas in one order. */
export const controls = settings['controls'] as 'open' | 'token' | 'off'
export const countMax = Number(settings['countMax'])

/** An answer that is no success, with what the server says about it. */
class ProblemAnswer extends Error {
  readonly status: number
  constructor(status: number, detail: string) {
    super(detail)
    this.status = status
  }
}

export type OrderAnswer = Omit<OrderView, 'version'>

export const getOrder = (id: string): Promise<OrderAnswer> => getJson(`/order/${encodeURIComponent(id)}`)
export const getStep = (id: string, version: number, signal: AbortSignal): Promise<HistoryStep> =>
  getJson(`/order/${encodeURIComponent(id)}/history/${version}`, { signal })
export const getOrders = (query: string): Promise<OrderPage> => getJson(`/orders?${query}`)

export async function getHistory(id: string): Promise<readonly HistoryEntry[]> {
  const { events } = await getJson<{ events: HistoryEntry[] }>(`/order/${encodeURIComponent(id)}/history`)
  return events
}

let charts: Promise<readonly DrawnChart[]> | undefined

/** The machines' charts; asked for once. */
function getCharts(): Promise<readonly DrawnChart[]> {
  charts ??= getJson<{ charts: DrawnChart[] }>('/charts').then((answer) => answer.charts)
  charts.catch(() => (charts = undefined))
  return charts
}

/** Sends a call that changes something, with the token where one is needed. */
export function post<T>(path: string): Promise<T> {
  const token = sessionStorage.getItem('token')
  return getJson<T>(path, { method: 'POST', headers: token === null ? {} : { authorization: `Bearer ${token}` } })
}

async function getJson<T>(path: string, init?: RequestInit): Promise<T> {
  const answer = await fetch(path, init)
  const body = (await answer.json()) as T & { detail?: string }
  if (answer.ok) return body
  throw new ProblemAnswer(answer.status, body.detail ?? answer.statusText)
}

export interface Live<T> {
  readonly data: T | undefined
  readonly isConnected: boolean
}

/** The newest message of a stream whose messages are whole views. `undefined` instead of a path closes it. */
export function useStream<T>(path: string | undefined): Live<T> {
  const [live, setLive] = useState<Live<T> & { path?: string }>({ data: undefined, isConnected: false })
  useEffect(() => {
    if (path === undefined) return undefined
    const source = new EventSource(path)
    source.addEventListener('message', ({ data }: MessageEvent<string>) =>
      setLive({ data: JSON.parse(data) as T, isConnected: true, path }),
    )
    source.addEventListener('error', () => setLive((last) => ({ ...last, isConnected: false })))
    return () => source.close()
  }, [path])
  return live.path === path ? live : { data: undefined, isConnected: false }
}

/** The charts, once they are there. */
export function useCharts(): readonly DrawnChart[] {
  const [drawn, setDrawn] = useState<readonly DrawnChart[]>([])
  useEffect(() => void getCharts().then(setDrawn, () => {}), [])
  return drawn
}
