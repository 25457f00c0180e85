import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { setup } from 'xstate'
import { toChart } from '../../src/inspect/chart-model.ts'
import { draw } from '../../src/inspect/draw.ts'
import { orderMachine } from '../../src/machines/order.machine.ts'
import { createPizzaMachine, pizzaMachine } from '../../src/machines/pizza.machine.ts'
import { recipe } from '../../src/menu.ts'

const root = new URL('../../', import.meta.url)

describe('The charts in the documents', () => {
  test.each([orderMachine, pizzaMachine])('show the machines as they are', async (machine) => {
    const { svg } = await draw(toChart(machine), { standalone: true })
    expect(readFileSync(new URL(`docs/${machine.id}.svg`, root), 'utf8'), 'stale: npm run charts').toBe(svg)
    const pages = ['README.md', 'docs/design.md'].map((page) => readFileSync(new URL(page, root), 'utf8'))
    expect(pages.join('\n')).toContain(`${machine.id}.svg`)
  })
})

describe('A chart', () => {
  test('names every state with its description and what it reacts to', () => {
    const { states, edges } = toChart(pizzaMachine)
    expect(states.map(({ name }) => name)).toEqual(['sauce', 'cheese', 'meats', 'veggies', 'ready'])
    expect(states[0]).toMatchObject({ isInitial: true, description: 'Waits for its sauce' })
    expect(states[0]!.events).toContainEqual({
      event: 'pizza.topped',
      guard: 'bringsMissingTopping',
      actions: ['takeToppings'],
      description: 'Takes the toppings it misses; the first of each wins',
      targets: [],
    })
    expect(edges[0]).toEqual({ from: 'pizza.sauce', to: 'pizza.cheese', event: '', guard: 'hasTopping sauce' })
  })

  test('has a state for each topping of another recipe', async () => {
    const herbs = { topping: 'herbs', menu: recipe[0]!.menu }
    const { svg } = await draw(toChart(createPizzaMachine([...recipe, herbs])))
    expect(svg).toContain('data-state="herbs"')
  })

  test('draws states within states, and never takes a name for markup', async () => {
    const machine = setup({}).createMachine({
      id: 'nested',
      initial: 'a',
      states: {
        a: { initial: 'b', states: { b: { on: { 'x<y': 'c' } }, c: { type: 'final' } }, on: { out: 'd' } },
        d: { description: '<script>"&' },
      },
    })
    const { svg } = await draw(toChart(machine))
    for (const name of 'abcd') expect(svg).toContain(`data-state="${name}"`)
    expect(svg).toContain('data-from="b" data-to="c"')
    expect(svg).toContain('&lt;script&gt;&quot;&amp;')
    expect(svg).not.toContain('<script')
  })
})
