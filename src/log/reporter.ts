/** Reporter: passes a consumer's trouble to its `onError`, for every log alike. */
import type { ConsumeOptions } from './event-log.ts'

/** Makes a function that tells `onError` and never throws. */
export function createReporter({ onError }: Pick<ConsumeOptions, 'onError'>): (error: unknown) => void {
  return (error) => {
    try {
      onError?.(error)
    } catch {
      // A hook for logging must not end delivery, and there is nobody else to tell.
    }
  }
}
