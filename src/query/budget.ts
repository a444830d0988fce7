/** How many inferences, recoveries and how much time may go beyond what the queries themselves take. */

import type { Clock } from '../clock'

/** A share of the queries, with a small burst, or that share of those under way: those that began together are late together. */
export class Budget {
  readonly #share: number
  readonly #burst: number
  #left: number

  /**
   * @param share  of the queries, 0..1
   * @param burst  how many may be saved up; also how many there are at first
   */
  constructor(share: number, burst: number) {
    this.#share = share
    this.#burst = share ? burst : 0
    this.#left = this.#burst
  }

  /** One more query. @param open  queries under way */
  earn(open = 0): void {
    this.#left = Math.min(Math.max(this.#burst, this.#share * open), this.#left + this.#share)
  }

  get has(): boolean {
    return this.#left >= 1
  }

  take(): void {
    this.#left--
  }
}

/** How much time something may take: a share of all time, with some saved up. */
export class TimeBudget {
  readonly #clock: Clock
  readonly #share: () => number
  readonly #burstMs: number
  /** Milliseconds that it may take now; below 0 it has to wait. */
  #left: number
  #since: number

  /**
   * @param share    0..1; asked each time
   * @param burstMs  what may be saved up; so much there is at first
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

  /** How long until there is some. */
  get waitMs(): number {
    return this.has ? 0 : Math.ceil(-this.#left / this.#share())
  }

  take(ms: number): void {
    this.#left -= ms
  }

  /** Something that goes first took so long: there is no share of that. */
  yield(ms: number): void {
    this.#left -= this.#share() * ms
  }
}
