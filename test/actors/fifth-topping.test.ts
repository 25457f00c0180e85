/** A fifth topping is a change in src/menu.ts only: tried on a copy of the program, and on the shop with another recipe. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseConfig, type Config } from '../../src/config.ts'
import { createMemoryLog, createMemoryStorage } from '../../src/log/memory-log.ts'
import { createLogger } from '../../src/logger.ts'
import { choose, recipe as ourRecipe, type Recipe, type Step } from '../../src/menu.ts'
import { startShop } from '../../src/shop.ts'
import { startShopProcess } from '../support/shop-process.ts'

const herbs: Step = { topping: 'herbs', menu: { kind: 'one', choices: ['basil', 'oregano', 'rocket'] } }
const recipe: Recipe = [...ourRecipe, herbs]
const projectDir = fileURLToPath(new URL('../..', import.meta.url))

function createDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'pizza-actors-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return dir
}

/** A checkout whose menu has the fifth step, and nothing else is different. */
function copyProgram(): string {
  const dir = join(createDir(), 'checkout')
  mkdirSync(dir)
  cpSync(join(projectDir, 'src'), join(dir, 'src'), { recursive: true })
  for (const name of ['package.json', 'tsconfig.json']) cpSync(join(projectDir, name), join(dir, name))
  symlinkSync(join(projectDir, 'node_modules'), join(dir, 'node_modules'))
  const menu = join(dir, 'src/menu.ts')
  const text = readFileSync(menu, 'utf8')
  const end = text.indexOf('\n]\n')
  writeFileSync(menu, `${text.slice(0, end)}\n  ${JSON.stringify(herbs)},${text.slice(end)}`)
  return dir
}

async function orderTwo(url: string) {
  const placed = await fetch(`${url}/order/2`, { method: 'POST' })
  const { order_id } = (await placed.json()) as { order_id: string }
  const answer = await fetch(`${url}/order/${order_id}`, { headers: { prefer: 'wait=10' } })
  const { pizzas } = (await answer.json()) as { pizzas: Record<string, string>[] }
  const wanted = [1, 2].map((pizza_id) =>
    recipe.map(({ topping, menu }) => choose(menu, `${order_id}/${pizza_id}/${topping}`)),
  )
  const found = pizzas.map((pizza) => recipe.map(({ topping }) => pizza[topping]))
  return { found, wanted }
}

describe('A fifth topping', () => {
  it('in src/menu.ts and nowhere else gives the real program its role, its topic and its place on each pizza', async () => {
    const shop = await startShopProcess({ projectDir: copyProgram(), dataDir: createDir() })
    onTestFinished(() => shop.kill())
    const { found, wanted } = await orderTwo(shop.url!)
    expect(found).toEqual(wanted)
    expect(await shop.stop()).toBe(0)
  })

  it('is a role that can be started on its own', async () => {
    const shop = await startShopProcess({ projectDir: copyProgram(), dataDir: createDir(), roles: ['herbs'] })
    onTestFinished(() => shop.kill())
    expect(shop.roles).toEqual(['herbs'])
    expect(await shop.stop()).toBe(0)
  })

  it('in the recipe of a shop has its topic at the end of the chain', async () => {
    const storage = createMemoryStorage()
    const log = createMemoryLog({ storage })
    const parsed = parseConfig({ argv: [], env: {}, readFile: () => '', version: '' })
    const { config } = parsed as { config: Config }
    const logger = await createLogger({ level: 'fatal', destination: { write() {} }, format: 'json' })
    const shop = await startShop(
      {
        ...config,
        roles: [...config.roles, 'herbs'],
        dataDir: createDir(),
        http: { ...config.http, host: '127.0.0.1', port: 0, reportPort: 0 },
      },
      { log, logger, recipe },
    )
    onTestFinished(async () => {
      await shop.stop()
      await log.close()
    })
    const { found, wanted } = await orderTwo(shop.urls.orders!)
    expect(found).toEqual(wanted)
    const last = storage.topics.get('pizza-with-herbs')!.flatMap(({ records }) => records)
    expect(last).toHaveLength(2)
  })
})
