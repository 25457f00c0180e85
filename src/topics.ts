/** Topic names, made from the recipe and the configured prefix. Every topic has the same partition count. */
import type { TopicSpec } from './log/event-log.ts'
import type { Recipe } from './menu.ts'

export interface Topics {
  /** New orders: POST writes, the order host reads. */
  readonly orders: string
  /** Pizzas without toppings: the order host writes, the first topping reads. */
  readonly pizza: string
  /** By topping: where its service reads and where it writes. */
  readonly stages: ReadonlyMap<string, { readonly from: string; readonly to: string }>
  /** By topic the toppings write to: which topping its records carry. */
  readonly toppingOf: ReadonlyMap<string, string>
  readonly deadLetters: string
  /** Carries checkpoints from owner to owner; absent where the store is the only copy. */
  readonly snapshots?: string
  readonly partitions: number
  readonly specs: readonly TopicSpec[]
}

export interface TopicsOptions {
  /** Put before every name, for example `dev-`. */
  readonly prefix: string
  /** The topic the last topping writes to (default `pizza-with-` and its name), without prefix. */
  readonly lastTopic?: string
  readonly partitions: number
  /** Whether orders may move between hosts (default: they stay where the store is). */
  readonly hasSnapshots?: boolean
}

/** Names the topics of a recipe. */
export function createTopics(recipe: Recipe, options: TopicsOptions): Topics {
  const { prefix, lastTopic, partitions, hasSnapshots = false } = options
  const stages = new Map<string, { from: string; to: string }>()
  let from = `${prefix}pizza`
  recipe.forEach(({ topping }, index) => {
    const name = index === recipe.length - 1 && lastTopic !== undefined ? lastTopic : `pizza-with-${topping}`
    const to = prefix + name
    stages.set(topping, { from, to })
    from = to
  })
  const orders = `${prefix}orders`
  const pizza = `${prefix}pizza`
  const deadLetters = `${prefix}dead-letters`
  const toppingOf = new Map([...stages].map(([topping, { to }]) => [to, topping]))
  const specs: TopicSpec[] = [orders, pizza, ...toppingOf.keys(), deadLetters].map((name) => ({ name, partitions }))
  const topics = { orders, pizza, stages, toppingOf, deadLetters, partitions }
  if (!hasSnapshots) return { ...topics, specs }
  const snapshots = `${prefix}order-snapshots`
  return { ...topics, snapshots, specs: [...specs, { name: snapshots, partitions, compacted: true }] }
}
