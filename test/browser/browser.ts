/**
 * Browser: Debian's chromium, driven by playwright-core. Where it is missing the tests are skipped by name, except in continuous
 * integration, where that is an error.
 */
import { existsSync } from 'node:fs'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import { expect, onTestFinished } from 'vitest'

const candidates = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const executablePath = candidates.find((path) => existsSync(path))

/** Chromium must not look for anything outside by itself. */
const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** @throws Error in continuous integration when there is no browser: there a skipped suite would pass for a tested one. */
export function browserAvailable(): boolean {
  if (executablePath === undefined && process.env['CI'] === 'true') throw new Error('apt-get install chromium')
  return executablePath !== undefined
}

/** For the titles of suites. */
export const needsBrowser = 'needs chromium'

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: executablePath!, args })
}

/** Opens a page with a fresh profile. The test fails when the page says anything on its console or asks another server. */
export async function openPage(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1400, height: 1000 }, ...options })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`))
  page.on('pageerror', (error) => complaints.push(error.message))
  const { origin } = new URL(url)
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) complaints.push(`asked for ${request.url()}`)
  })
  onTestFinished(async () => {
    await context.close()
    expect(complaints).toEqual([])
  })
  page.setDefaultTimeout(40_000)
  await page.goto(url)
  return page
}
