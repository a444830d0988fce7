/** Statistics of call times, with the number of concurrent calls at which they were measured. */

/** Calls that count: older ones are forgotten exponentially. */
export const MOST_CALLS = 300
/** Factor by which the window exceeds the concurrency that was measured: with 1.25 p99 was 1.4 times as long at a load of 0.7. */
export const SPARE = 1.1

/** Standard error of the logarithm of the ratio of two means. */
export function errorOf(a: Calls, b: Calls): number {
  return Math.sqrt(Math.max(a.square, b.square) * (1 / a.count + 1 / b.count))
}

/**
 * Times are winsorised at CUT means. For times with a coefficient of variation of 1, that distinguishes one slot from two with a third of
 * the calls that a cut at 4 means needs.
 */
const CUT = 2
/** Prior of the squared coefficient of variation, and its weight in calls. */
const UNKNOWN = { square: 0.1, count: 4 }

/** Mean and variance of the last call times. */
export class Calls {
  count = 0
  #ms = 0
  #squares = 0
  #open = 0

  add(open: number, ms: number): void {
    if (this.count >= MOST_CALLS) this.#scale(0.5)
    const counted = this.count ? Math.min(ms, CUT * this.meanMs) : ms
    this.count++
    this.#ms += counted
    this.#squares += counted * counted
    this.#open += open
  }

  #scale(by: number): void {
    this.count *= by
    this.#ms *= by
    this.#squares *= by
    this.#open *= by
  }

  with(other: Calls): Calls {
    const both = new Calls()
    both.count = this.count + other.count
    both.#ms = this.#ms + other.#ms
    both.#squares = this.#squares + other.#squares
    both.#open = this.#open + other.#open
    if (both.count > MOST_CALLS) both.#scale(MOST_CALLS / both.count)
    return both
  }

  get meanMs(): number {
    return this.#ms / this.count
  }

  get meanOpen(): number {
    return this.#open / this.count
  }

  get square(): number {
    const square = Math.max(0, this.#squares / this.count / this.meanMs ** 2 - 1)
    return (this.count * square + UNKNOWN.count * UNKNOWN.square) / (this.count + UNKNOWN.count)
  }

  get error(): number {
    return Math.sqrt(this.square / this.count)
  }
}
