import type { Clock } from '../base/clock'

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
