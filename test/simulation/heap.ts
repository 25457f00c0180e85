/** A binary heap: gives back the smallest item first. */

export interface Heap<T> {
  push(item: T): void
  pop(): T | undefined
}

export function createHeap<T>(compare: (a: T, b: T) => number): Heap<T> {
  const items: T[] = []
  const swap = (a: number, b: number): void => {
    const kept = items[a]!
    items[a] = items[b]!
    items[b] = kept
  }
  const smallerChild = (at: number): number => {
    const [left, right] = [2 * at + 1, 2 * at + 2]
    return right < items.length && compare(items[right]!, items[left]!) < 0 ? right : left
  }
  return {
    push(item) {
      items.push(item)
      for (let at = items.length - 1; at > 0;) {
        const parent = (at - 1) >> 1
        if (compare(items[parent]!, items[at]!) <= 0) return
        swap(parent, at)
        at = parent
      }
    },
    pop() {
      const first = items[0]
      const last = items.pop()
      if (items.length === 0) return first
      items[0] = last!
      for (let at = 0; ;) {
        const child = smallerChild(at)
        if (child >= items.length || compare(items[at]!, items[child]!) <= 0) return first
        swap(at, child)
        at = child
      }
    },
  }
}
