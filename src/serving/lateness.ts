/** When a query is late: it has waited longer than nearly all others did for their own answers. */

/** Times that are kept, and below which nothing is late. */
const WINDOW = 500
const ENOUGH = 50
/** Share of first answers that are not late. */
const PATIENCE = 0.95
/** Nor is anything within this many medians: where times differ little, the quantile lies among answers about to arrive. */
const FLOOR = 1.3
/** Computed anew after so many times. */
const RENEW = 16
/**
 * Late queries that may be answered otherwise, as a share of all: twice as many as are late by definition. A pool that
 * slows down as a whole must not turn everybody's answer into a recovery.
 */
const BUDGET = 2 * (1 - PATIENCE)
const SAVED_UP = BUDGET * WINDOW

export class Lateness {
  /** Milliseconds, in the order of a ring. */
  readonly #times = new Float64Array(WINDOW)
  #count = 0
  #lateMs: number | undefined
  #budget = 0

  /** Takes the time from `predict` to a query's own first answer, when it comes: late ones count as what they are. */
  see(ms: number): void {
    this.#times[this.#count++ % WINDOW] = ms
    this.#budget = Math.min(SAVED_UP, this.#budget + BUDGET)
    if (this.#count < ENOUGH || this.#count % RENEW) return
    const sorted = this.#times.slice(0, Math.min(this.#count, WINDOW)).sort()
    const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]
    this.#lateMs = Math.max(at(PATIENCE), FLOOR * at(0.5))
  }

  /** Whether one more late query may be answered otherwise; counts it. */
  allow(): boolean {
    if (this.#budget < 1) return false
    this.#budget--
    return true
  }

  /** How long a query waits until it is late; undefined before enough were seen. */
  get lateMs(): number | undefined {
    return this.#lateMs
  }
}
