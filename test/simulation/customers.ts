/**
 * Customers. Place orders with an idempotency key until they are told that the shop took them, and look at them now and then; some
 * follow theirs until it is ready as well. The witness remembers what they were told. They live in a process that nothing happens to.
 */
import type { OrderView } from '../../src/actors/orders.ts'
import type { Random } from '../support/random.ts'
import type { Witness } from '../support/witness.ts'
import type { SimProcess } from './scheduler.ts'
import type { Router } from './router.ts'
import { followOrder } from './watcher.ts'

export interface Customers {
  /** Every order was taken, and every customer has looked often enough. */
  readonly areDone: boolean
  readonly accepted: ReadonlyMap<string, number>
}

export interface CustomersOptions {
  readonly world: SimProcess
  readonly router: Router
  readonly witness: Witness
  readonly random: Random
  /** Pizzas of each order. */
  readonly orders: readonly number[]
  readonly say: (line: string) => void
}

const looks = 6

/** Lets the customers in. */
export function startCustomers(options: CustomersOptions): Customers {
  const { world, router, witness, random, orders, say } = options
  let busy = orders.length

  const customer = async (count: number, index: number): Promise<void> => {
    await world.sleep(random.below(1 + 40 * index))
    const key = `customer-${index}`
    let orderId: string | undefined
    while (orderId === undefined) {
      const place = () => router.askAny((shop) => shop.place({ count, idempotencyKey: key }))
      // Some press the button twice.
      const answers = await Promise.all(random.oneIn(4) ? [place(), place()] : [place()])
      const orderIds = new Set(answers.flatMap((answer) => answer?.order_id ?? []))
      if (orderIds.size > 1) witness.blame(`P1: one key was answered with the orders ${[...orderIds].join(' and ')}`)
      ;[orderId] = orderIds
      if (orderId === undefined) await world.sleep(30)
    }
    say(`customer ${index} has order ${orderId} of ${count}`)
    witness.accept(orderId, count)
    const followed = random.oneIn(3) ? followOrder(orderId, { world, router, witness }) : undefined
    for (let look = 0; look < looks; look++) {
      await world.sleep(random.below(60))
      const answered = witness.look(orderId)
      const waitMs = random.pick([0, 0, 50])
      const answer = await router.askOwner(orderId, async (shop) => ({ order: await shop.get(orderId, { waitMs }) }))
      if (answer !== undefined) answered(answer.order && toJson(answer.order))
    }
    await followed
  }

  orders.forEach((count, index) => {
    const leave = (): void => void busy--
    customer(count, index).then(leave, (error: unknown) => {
      witness.blame(`A customer fell over: ${String(error)}`)
      leave()
    })
  })
  return {
    get areDone() {
      return busy === 0
    },
    accepted: witness.accepted,
  }
}

export function toJson({ id, count, status, pizzas, in_progress }: OrderView) {
  return { id, count, status, pizzas, in_progress }
}
