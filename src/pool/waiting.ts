/** For how long attempts have waited, less for how long none has. */

import type { Clock } from '../clock'

export class Waiting {
  readonly #clock: Clock
  #ms = 0
  #at: number
  #isAny = false

  constructor(clock: Clock) {
    this.#clock = clock
    this.#at = clock.now()
  }

  /** Whether any waits from now on. */
  set isAny(isAny: boolean) {
    if (!isAny && !this.#isAny && !this.#ms) return // most of the time, and a clock costs as much as all else here
    this.#proceed()
    this.#isAny = isAny
  }

  /** @param mostMs  what counts: it is forgotten as soon */
  msOf(mostMs: number): number {
    this.#proceed()
    this.#ms = Math.min(mostMs, this.#ms)
    return this.#ms
  }

  #proceed(): void {
    const now = this.#clock.now()
    this.#ms = Math.max(0, this.#ms + (this.#isAny ? now - this.#at : this.#at - now))
    this.#at = now
  }
}
