/** Wakes whoever waits whenever something happens. */
export function createBell() {
  let rung = Promise.withResolvers<void>()
  const bell = {
    ring() {
      rung.resolve()
      rung = Promise.withResolvers()
    },
    next: () => rung.promise,
    async until(isTrue: () => boolean) {
      while (!isTrue()) await bell.next()
    },
  }
  return bell
}
