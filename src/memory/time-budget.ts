/** A token bucket of time: some kind of work may take a share of all time, and save some up. */

import type { Clock } from '../base/clock'

export class TimeBudget {
  readonly #clock: Clock
  readonly #share: () => number
  readonly #burstMs: number
  /** Milliseconds that are left to take; the work waits while it is negative. */
  #left: number
  #since: number

  /**
   * @param share    of the time, 0..1; called whenever time is added, since it may change
   * @param burstMs  the most that is saved up, and what there is at first
   */
  constructor(clock: Clock, share: () => number, burstMs: number) {
    this.#clock = clock
    this.#share = share
    this.#burstMs = burstMs
    this.#left = burstMs
    this.#since = clock.now()
  }

  get has(): boolean {
    const now = this.#clock.now()
    this.#left = Math.min(this.#burstMs, this.#left + this.#share() * (now - this.#since))
    this.#since = now
    return this.#left > 0
  }

  /** Milliseconds to wait until the work may go on. */
  get waitMs(): number {
    return this.has ? 0 : Math.ceil(-this.#left / this.#share())
  }

  take(ms: number): void {
    this.#left -= ms
  }

  /** Takes back the share of `ms` that work of higher priority took. */
  yield(ms: number): void {
    this.#left -= this.#share() * ms
  }
}
