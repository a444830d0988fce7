/** When a query is late: it has waited longer than nearly all others did for their own answers. */

import { SlidingQuantile } from '../stats'

/** Times that are kept; and those that tell a quantile. */
const WINDOW = 500
const ENOUGH = 50
/** With so few, what takes three medians is late, whatever the quantile will be; with fewer nothing is. */
const FEW = 10
const FEW_MEDIANS = 3

export class Lateness {
  /** Milliseconds. */
  readonly #times = new SlidingQuantile(WINDOW)
  readonly #patience: number
  /** Told when it is first known what is late. */
  known = () => {}

  /** @param patience  share of first answers that are not late */
  constructor(patience: number) {
    this.#patience = patience
  }

  /**
   * Takes the time from `predict` to the answer of a query's first row, when it comes, also long after another answer was
   * given: times at which callers were served would censor themselves, and more and more would be late.
   */
  see(ms: number): void {
    this.#times.add(ms)
    if (this.#times.count === FEW) this.known()
  }

  /** How long a query waits until it is late; undefined before enough were seen. */
  get lateMs(): number | undefined {
    const { medianMs } = this
    if (medianMs === undefined || this.#times.count >= ENOUGH)
      return medianMs === undefined ? undefined : this.#times.quantile(this.#patience)
    return FEW_MEDIANS * medianMs
  }

  get medianMs(): number | undefined {
    return this.#times.count < FEW ? undefined : this.#times.quantile(0.5)
  }
}
