/** What calls took that had so many others beside them. */

/** Calls that count: the last ones, about. */
export const MOST_CALLS = 300
/** A window over the calls that were found to be at work or on their way: with a quarter more p99 was 1.4 at a load of .7. */
export const SPARE = 1.1

/** Of the logarithm of the ratio of two means. */
export function errorOf(a: Calls, b: Calls): number {
  return Math.sqrt(Math.max(a.square, b.square) * (1 / a.count + 1 / b.count))
}

/** A time counts for at most CUT means: at a deviation of 1 that tells one slot from two in a third of the calls that a cut at 4 takes. */
const CUT = 2
/** The prior of the squared coefficient of variation, and the number of times that it counts for. */
const UNKNOWN = { square: 0.1, count: 4 }

/** What calls took: of the last ones, about. */
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
