/** What the memory costs the coordinator, as simulated time: work takes none there unless the clock is told. */

import { Experience } from '../../memory/experience'
import type { VirtualClock } from '../../testing/virtual-clock'

export interface Charges {
  /** A lookup in the memory. */
  look: number
  /** Learning one answer: each step that compares it with what is remembered, and each further step. */
  comparing: number
  step: number
}

/**
 * While `run` is under way, lookups and learning take so much of the clock's time, whatever they take here. Not for two
 * simulations at a time.
 */
export async function charged<T>(clock: VirtualClock, charges: Charges, run: () => Promise<T>): Promise<T> {
  const { recalling, train } = Experience.prototype
  Experience.prototype.recalling = function* (query) {
    clock.spend(charges.look)
    return yield* recalling.call(this, query)
  }
  Experience.prototype.train = function* (query, own, from) {
    const steps = train.call(this, query, own, from)
    for (let isCompared = false; ; ) {
      clock.spend(isCompared ? charges.step : charges.comparing)
      const { value, done } = steps.next()
      if (done) return
      isCompared ||= value === 'compared'
      yield value
    }
  }
  try {
    return await run()
  } finally {
    Object.assign(Experience.prototype, { recalling, train })
  }
}
