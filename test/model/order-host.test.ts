/**
 * The order host on every path of the order model, crashed and restarted between any two events. `MODEL_LONG=1` adds every transition
 * of two pizzas.
 */
import { describe, expect, it } from 'vitest'
import { recipe } from '../../src/menu.ts'
import { describeProof, proveCrashes } from '../../src/proof/crashes.ts'
import { createOrderModel, toPizzaStates, type Taken, type ToppingCame } from '../../src/proof/order-model.ts'
import { findShortestPaths, findSimplePaths, findTransitionPaths, type Path } from '../../src/proof/paths.ts'
import type { OrderView } from '../../src/actors/orders.ts'
import { createHostSubject, type Left } from './host-subject.ts'

const isLong = process.env['MODEL_LONG'] === '1'
const timeout = isLong ? 600_000 : 60_000
const lefts: Left[] = ['everything', 'nothing', 'no file']

const ofOne = findSimplePaths(createOrderModel(recipe, 1))
const ofTwo = findShortestPaths(createOrderModel(recipe, 2))

/** In which state GET shows each pizza. */
function shownStates(view: OrderView): string[] {
  const states = Array.from({ length: view.count }, () => 'ready')
  for (const { pizza_id, state } of view.in_progress) states[pizza_id - 1] = state
  return states
}

async function walk(count: number, { events, state }: Path<Taken, ToppingCame>): Promise<OrderView> {
  const order = await createHostSubject({ count, left: 'nothing' }).start()
  for (const event of events) await order.send(event)
  const [view] = JSON.parse(await order.observe()) as [OrderView]
  await order.end?.()
  const isReady = toPizzaStates(recipe, state).every((one) => one === 'ready')
  expect(view.status).toBe(isReady ? 'ready' : 'preparing')
  return view
}

describe('The order host', { timeout }, () => {
  it('shows the state the model says at the end of every path (P3)', async () => {
    expect([ofOne.length, ofTwo.length]).toEqual([65, 256])
    for (const path of ofOne) expect(shownStates(await walk(1, path))).toEqual(toPizzaStates(recipe, path.state))
    for (const path of ofTwo) expect(shownStates(await walk(2, path))).toEqual(toPizzaStates(recipe, path.state))
  })

  it.each(lefts)('shows the same after a crash at any step that leaves %s (P1-P4, O1, O2, O4)', async (left) => {
    const one = await proveCrashes(createHostSubject({ count: 1, left }), ofOne)
    const two = await proveCrashes(createHostSubject({ count: 2, left }), ofTwo)
    console.log(`${describeProof(one)}\n${describeProof(two)}`)
    expect([one.crashes, two.crashes]).toEqual([261, 1_280])
    expect([...one.differences, ...two.differences]).toEqual([])
  })

  it.each(isLong ? lefts : [])('shows the same on every transition of two pizzas, %s left', async (left) => {
    const paths = findTransitionPaths(createOrderModel(recipe, 2))
    const proof = await proveCrashes(createHostSubject({ count: 2, left }), paths)
    console.log(describeProof(proof))
    expect(proof.differences).toEqual([])
  })
})
