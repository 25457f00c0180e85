import axe from 'axe-core'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { HistoryEntry } from '../../src/actors/orders.ts'
import { failOnLeftovers } from '../support/lifecycle.ts'
import { openEmbeddedWorld, onEachLog, type World } from '../support/worlds.ts'
import { browserAvailable, launch, needsBrowser, openPage } from './browser.ts'

failOnLeftovers()

describe.skipIf(!browserAvailable())(
  `The page (${needsBrowser})`,
  async () => {
    let browser: Browser
    beforeAll(async () => {
      browser = await launch()
    })
    afterAll(() => browser?.close())

    const start = async (world?: World) => {
      const shop = await (world ?? (await openEmbeddedWorld())).start()
      const stop = async () => {
        // A page that is left open complains that its stream has ended.
        await Promise.all(browser.contexts().map((context) => context.close()))
        expect(await shop.stop()).toBe(0)
      }
      return { stop, url: shop.url! }
    }

    await onEachLog((openWorld) => {
      test('shows an order waiting for its cheese, then going to ready, without a reload', async () => {
        const { stop, url } = await start(await openWorld())
        const page = await openPage(browser, `${url}/#/shop`)
        await page.getByRole('button', { name: 'stop cheese', exact: true }).click()
        await page.getByRole('button', { name: 'start cheese', exact: true }).waitFor()
        await page.evaluate('window.isSamePage = true')

        await page.getByRole('link', { name: 'Orders' }).click()
        await page.getByLabel('Pizzas').fill('2')
        await page.getByRole('button', { name: 'Order', exact: true }).click()
        await page.getByRole('status').getByRole('link').click()
        await page.getByRole('img', { name: 'State chart of the order; it is in preparing' }).waitFor()
        await page.getByRole('button', { name: 'Pizza 1: cheese' }).waitFor()
        await page.getByRole('button', { name: 'Pizza 2: cheese' }).waitFor()
        const orderUrl = page.url()

        await page.getByRole('link', { name: 'Shop' }).click()
        await page.getByRole('img', { name: /2 in cheese/ }).waitFor()
        await page.getByRole('button', { name: 'start cheese', exact: true }).click()
        await page.getByRole('button', { name: 'stop cheese', exact: true }).waitFor()
        await page.goto(orderUrl)
        await page.getByRole('img', { name: 'State chart of the order; it is in ready' }).waitFor()
        await page.getByRole('button', { name: 'Pizza 2: ready' }).waitFor()
        expect(await page.evaluate('window.isSamePage')).toBe(true)
        await stop()
      })
    })

    test('moves a watched order by itself from state to state', async () => {
      const { stop, url } = await start()
      const post = (path: string) => fetch(url + path, { method: 'POST' })
      await post('/roles/sauce/stop')
      await post('/roles/veggies/stop')
      const id = await place(url, 1)
      const page = await openPage(browser, `${url}/#/order/${id}`)
      for (const [state, next] of [['sauce', '/roles/sauce/start'], ['veggies', '/roles/veggies/start'], ['ready']]) {
        await page.getByRole('img', { name: `State chart of pizza 1; it is in ${state}` }).waitFor()
        if (next) await post(next)
      }
      await page.getByText('Event 5 of 5').waitFor()
      await stop()
    })

    test('steps through a finished order as its history has it, and a link shows the same after a restart', async () => {
      const world = await openEmbeddedWorld()
      const { stop, url } = await start(world)
      const id = await place(url, 3)
      const history = await readHistory(url, id)
      const page = await openPage(browser, `${url}/#/order/${id}`)
      await page.getByText(`Event ${history.length} of ${history.length}`).waitFor()
      for (const entry of history.toReversed()) {
        await compare(page, history, entry)
        await page.keyboard.press('ArrowLeft')
      }
      await page.getByRole('button', { name: 'Event after' }).click()
      await compare(page, history, history[1]!)
      await page.getByRole('slider', { name: 'Event' }).press('End')
      await compare(page, history, history.at(-1)!)
      await stop()

      const again = await start(world)
      const deep = await openPage(browser, `${again.url}/#/order/${id}?event=6`)
      await compare(deep, history, history[5]!)
      await deep.reload()
      await compare(deep, history, history[5]!)
      await again.stop()
    })

    test('shows the charts of several pizzas side by side, and its address says which', async () => {
      const { stop, url } = await start()
      const id = await place(url, 3)
      const history = (await readHistory(url, id)).slice(0, 8)
      const page = await openPage(browser, `${url}/#/order/${id}?event=8`)
      const chip = (pizza: number) => page.locator('.chip').nth(pizza - 1)
      const chartOf = (pizza: number) => {
        const state = history.findLast(({ pizza_id }) => pizza_id === pizza)?.pizza_state ?? 'sauce'
        return page.getByRole('img', { name: `State chart of pizza ${pizza}; it is in ${state}` })
      }
      await chip(1).click()
      await chip(3).click({ modifiers: ['Shift'] })
      await chartOf(3).waitFor()
      expect(page.url()).toContain('pizza=1%2C3')
      await page.reload()
      await chartOf(1).waitFor()
      await chartOf(3).waitFor()
      await chip(2).click()
      await chartOf(2).waitFor()
      expect(await page.getByRole('img', { name: /^State chart of pizza/ }).count()).toBe(1)
      await stop()
    })

    test('finds an order by its id, filters by status, and turns to older orders', async () => {
      const { stop, url } = await start()
      const ids = []
      for (let n = 0; n < 60; n++) ids.push(await place(url, 1))
      await readHistory(url, ids.at(-1)!)
      const page = await openPage(browser, url)
      await page.getByRole('link', { name: ids.at(-1)! }).waitFor()
      await page.getByRole('link', { name: 'Preparing' }).click()
      await page.getByText('No orders here yet.').waitFor()
      await page.getByRole('link', { name: 'Ready', exact: true }).click()
      await page.getByRole('link', { name: 'Older orders' }).click()
      await page.getByRole('link', { name: ids[0]! }).waitFor()
      expect(await page.getByRole('row').count()).toBe(11)
      await page.getByLabel('Order id').fill(ids[3]!)
      await page.getByRole('button', { name: 'Find' }).click()
      await page.getByRole('heading', { name: `Order ${ids[3]}` }).waitFor()
      await stop()
    })

    test('keeps what is typed while orders come', async () => {
      const { stop, url } = await start()
      const page = await openPage(browser, `${url}/#/orders`)
      await page.getByLabel('Pizzas').fill('7')
      const id = await place(url, 1)
      await page
        .getByRole('link', { name: id.slice(-6) })
        .first()
        .waitFor()
      expect(await page.getByLabel('Pizzas').inputValue()).toBe('7')
      await stop()
    })

    test('shows dead letters as text', async () => {
      const world = await openEmbeddedWorld()
      const { stop, url } = await start(world)
      const page = await openPage(browser, `${url}/#/shop`)
      const evil = '<img src=x onerror="document.title=1"><b>bold</b>'
      await world.openLog().append([{ topic: 'pizza', key: 'k', value: evil }])
      await page.getByText(evil).waitFor()
      await page.getByText(/^npm start -- dead-letters show \d-\d+$/).waitFor()
      expect(await page.locator('pre b, pre img').count()).toBe(0)
      await stop()
    })

    test('stays usable with a thousand pizzas', async () => {
      const { stop, url } = await start()
      const id = await place(url, 1_000)
      const history = await readHistory(url, id)
      const page = await openPage(browser, `${url}/#/order/${id}?event=2500`)
      await compare(page, history, history[2_499]!)
      expect(await page.locator('.events li').count()).toBeLessThanOrEqual(200)
      const startedAt = performance.now()
      for (let n = 0; n < 20; n++) await page.keyboard.press('ArrowRight')
      await page.getByText('Event 2520 of 4001').waitFor()
      expect(performance.now() - startedAt).toBeLessThan(8_000)
      await page.getByRole('button', { name: /^ready/ }).click()
      await page.getByRole('button', { name: 'Now' }).click()
      await page.getByRole('button', { name: 'Pizza 1000: ready' }).waitFor()
      await stop()
    })

    test.each(['light', 'dark'] as const)('has nothing for axe to find (%s, also on a phone)', async (colorScheme) => {
      const { stop, url } = await start()
      await fetch(`${url}/roles/meats/stop`, { method: 'POST' })
      const id = await place(url, 4)
      for (const viewport of [
        { width: 1400, height: 1000 },
        { width: 390, height: 844 },
      ]) {
        const page = await openPage(browser, url, { colorScheme, viewport })
        for (const [hash, ready] of [
          ['#/orders', id],
          [`#/order/${id}`, 'Value as stored'],
          ['#/shop', 'Cheese report'],
        ] as const) {
          await page.goto(`${url}/${hash}`)
          await page.getByText(ready).first().waitFor()
          expect(await findViolations(page), `${hash} ${viewport.width}`).toEqual([])
          const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
          expect(overflow, `${hash} ${viewport.width} scrolls sideways`).toBeLessThanOrEqual(0)
        }
        const ground = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
        const [red] = /\d+/.exec(ground)!
        expect(Number(red) < 128).toBe(colorScheme === 'dark')
      }
      await stop()
    })
  },
  120_000,
)

/** What the page shows of an event is what the history says, folded up to it. */
async function compare(page: Page, history: readonly HistoryEntry[], entry: HistoryEntry): Promise<void> {
  const { version, order_state, topic, partition, offset, pizza_id, pizza_state } = entry
  await page.getByText(`Event ${version} of ${history.length}`).waitFor()
  await page.getByRole('img', { name: `State chart of the order; it is in ${order_state}` }).waitFor()
  const row = page.getByRole('list', { name: 'Events' }).locator('[aria-current]')
  expect(await row.innerText()).toContain(`${topic} / ${partition} / ${offset}`)
  if (pizza_id !== null) {
    await page.getByRole('img', { name: `State chart of pizza ${pizza_id}; it is in ${pizza_state}` }).waitFor()
    expect(await page.locator('.chart .active').last().getAttribute('data-state')).toBe(pizza_state)
  }
  const expected = new Map<string, number>()
  const states = new Map<number, string>()
  for (const past of history.slice(0, version)) if (past.pizza_id !== null) states.set(past.pizza_id, past.pizza_state!)
  for (const state of states.values()) expected.set(state, (expected.get(state) ?? 0) + 1)
  const tallies = await page.locator('.tally').allInnerTexts()
  for (const tally of tallies) {
    const [name = '', count = ''] = tally.split(/\s+/)
    const isFirst = name === 'sauce'
    if (!isFirst) expect([name, Number(count.replace(/\D/g, ''))]).toEqual([name, expected.get(name) ?? 0])
  }
}

async function findViolations(page: Page): Promise<string[]> {
  // The policy of the page lets no script in but its own; what the driver evaluates is not held to it.
  await page.evaluate(axe.source)
  const result = await page.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>('axe.run()')
  return result.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' | ')}`)
}

async function place(url: string, count: number): Promise<string> {
  const answer = await fetch(`${url}/order/${count}`, { method: 'POST' })
  return ((await answer.json()) as { order_id: string }).order_id
}

/** The history of an order, once it is ready. */
async function readHistory(url: string, id: string): Promise<HistoryEntry[]> {
  await fetch(`${url}/order/${id}`, { headers: { prefer: 'wait=30' } })
  return ((await (await fetch(`${url}/order/${id}/history`)).json()) as { events: HistoryEntry[] }).events
}
