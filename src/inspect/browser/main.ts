/** Main: the page's frame, and which view the address asks for. */
import { render } from 'preact'
import { html } from 'htm/preact'
import { useEffect, useRef } from 'preact/hooks'
import { OrderView } from './order-view.ts'
import { OrdersView } from './orders-view.ts'
import { usePlace, type Place } from './router.ts'
import { ShopView } from './shop-view.ts'

function App() {
  const place = usePlace()
  const main = useRef<HTMLElement>(null)
  const title = toTitle(place)
  useEffect(() => {
    document.title = `${title} – pizza-actors`
  }, [title])
  const skip = (event: Event) => {
    event.preventDefault()
    main.current?.focus()
  }
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to content</a>
    <header>
      <a class="brand" href="#/orders"><img src="/page/icon.svg" alt="" width="22" height="22" /> pizza-actors</a>
      <nav aria-label="Views">
        <a href="#/orders" aria-current=${place.view === 'shop' ? undefined : 'page'}>Orders</a>
        <a href="#/shop" aria-current=${place.view === 'shop' ? 'page' : undefined}>Shop</a>
      </nav>
    </header>
    <main id="main" ref=${main} tabindex="-1">${toView(place)}</main>`
}

function toView(place: Place) {
  if (place.view === 'order' && place.id !== '') return html`<${OrderView} key=${place.id} ...${place} />`
  if (place.view === 'shop') return html`<${ShopView} />`
  return html`<${OrdersView} ...${place} />`
}

function toTitle({ view, id }: Place): string {
  if (view === 'order') return `Order ${id}`
  return view === 'shop' ? 'Shop' : 'Orders'
}

render(html`<${App} />`, document.querySelector('#app')!)
