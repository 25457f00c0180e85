/**
 * `npm run screenshots`: starts a shop on an empty folder, places orders, stops a role half-way, and takes the pictures that the
 * README shows, light and dark. Needs chromium.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Page } from 'playwright-core'
import { startShopProcess } from '../test/support/shop-process.ts'

const docs = new URL('../docs/', import.meta.url).pathname
const schemes = ['light', 'dark'] as const

const dataDir = mkdtempSync(join(tmpdir(), 'pizza-screenshots-'))
const shop = await startShopProcess({ dataDir })
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
})
try {
  const orderId = await fillShop(shop.url!)
  for (const colorScheme of schemes) {
    const page = await browser.newPage({ viewport: { width: 1280, height: 920 }, colorScheme })
    await take(page, `order-${colorScheme}`, `${shop.url}/#/order/${orderId}?event=30`, 'Value as stored')
    await take(page, `shop-${colorScheme}`, `${shop.url}/#/shop`, '8 open orders')
    await page.close()
  }
} finally {
  await browser.close()
  await shop.stop()
  rmSync(dataDir, { recursive: true })
}

/** Finished orders, then some that wait for their meats. @returns a finished order of twelve pizzas. */
async function fillShop(url: string): Promise<string> {
  for (let n = 0; n < 40; n++) await place(url, 1 + ((n * 7) % 6))
  const orderId = await place(url, 12)
  await fetch(`${url}/order/${orderId}`, { headers: { prefer: 'wait=30' } })
  await fetch(`${url}/roles/meats/stop`, { method: 'POST' })
  for (let n = 0; n < 8; n++) await place(url, 3)
  return orderId
}

async function place(url: string, count: number): Promise<string> {
  const answer = await fetch(`${url}/order/${count}`, { method: 'POST' })
  return ((await answer.json()) as { order_id: string }).order_id
}

/** Takes a picture when the page shows `text` and every number on it has come to rest. */
async function take(page: Page, name: string, url: string, text: string): Promise<void> {
  await page.goto(url)
  await page.getByText(text).waitFor()
  await page.waitForTimeout(2_500)
  const path = join(docs, `${name}.png`)
  await page.screenshot({ path })
  console.log(`docs/${name}.png  ${Math.round(statSync(path).size / 1_024)} KiB`)
}
