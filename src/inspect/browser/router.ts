/** Router: the address behind the hash decides what is shown, so every view is a link that can be sent to a colleague. */
import { useEffect, useState } from 'preact/hooks'

export interface Place {
  /** The first part of the path: `orders`, `order` or `shop`. */
  readonly view: string
  /** The second part: an order's id. */
  readonly id: string
  readonly query: URLSearchParams
}

/** Reads the address: `#/order/{id}?event=17`. */
function parsePlace(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2)
  const [view = '', id = ''] = path.split('/').map(decodePart)
  return { view: view || 'orders', id, query: new URLSearchParams(query) }
}

/** The address of a place. Entries without a value are left out. */
export function toHash(path: string, query: Readonly<Record<string, string | number | undefined>> = {}): string {
  const entries = Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]]))
  const text = new URLSearchParams(entries).toString()
  return text === '' ? `#/${path}` : `#/${path}?${text}`
}

/** Goes to a place. `replace` leaves no entry in the browser's history: for steps through an order's events. */
export function go(hash: string, { replace = false } = {}): void {
  if (!replace) location.hash = hash
  else {
    history.replaceState(null, '', hash)
    dispatchEvent(new HashChangeEvent('hashchange'))
  }
}

export function usePlace(): Place {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const follow = () => setHash(location.hash)
    addEventListener('hashchange', follow)
    return () => removeEventListener('hashchange', follow)
  }, [])
  return parsePlace(hash)
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
