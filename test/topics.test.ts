import { describe, expect, it } from 'vitest'
import { recipe } from '../src/menu.ts'
import { createTopics } from '../src/topics.ts'

describe('The topics', () => {
  it('form a chain in which each topping reads what the one before it wrote', () => {
    const { orders, pizza, stages, deadLetters } = createTopics(recipe, { prefix: '', partitions: 4 })
    expect({ orders, pizza, deadLetters, stages: [...stages] }).toEqual({
      orders: 'orders',
      pizza: 'pizza',
      deadLetters: 'dead-letters',
      stages: [
        ['sauce', { from: 'pizza', to: 'pizza-with-sauce' }],
        ['cheese', { from: 'pizza-with-sauce', to: 'pizza-with-cheese' }],
        ['meats', { from: 'pizza-with-cheese', to: 'pizza-with-meats' }],
        ['veggies', { from: 'pizza-with-meats', to: 'pizza-with-veggies' }],
      ],
    })
  })

  it('know which topping the records of each stage carry', () => {
    const { toppingOf } = createTopics(recipe, { prefix: '', partitions: 4 })
    expect([...toppingOf]).toEqual(recipe.map(({ topping }) => [`pizza-with-${topping}`, topping]))
  })

  it('all have the same partition count and the prefix', () => {
    const { specs } = createTopics(recipe, { prefix: 'dev-', partitions: 7 })
    expect(specs.map(({ name }) => name)).toEqual([
      'dev-orders',
      'dev-pizza',
      'dev-pizza-with-sauce',
      'dev-pizza-with-cheese',
      'dev-pizza-with-meats',
      'dev-pizza-with-veggies',
      'dev-dead-letters',
    ])
    expect(specs.every(({ partitions }) => partitions === 7)).toBe(true)
  })

  it('end where the configuration says', () => {
    const { stages, toppingOf } = createTopics(recipe, { prefix: 'dev-', lastTopic: 'completed-pizza', partitions: 1 })
    expect(stages.get('veggies')).toEqual({ from: 'dev-pizza-with-meats', to: 'dev-completed-pizza' })
    expect(toppingOf.get('dev-completed-pizza')).toBe('veggies')
    expect(toppingOf.has('dev-pizza-with-veggies')).toBe(false)
  })
})
