/** The latest of a stream of numbers, in order of size as well: their quantiles, without sorting. */

export class Recent {
  readonly #window: number
  /** In the order in which they came, round and round; and in order of size. */
  readonly #latest: Float64Array
  readonly #sorted: Float64Array
  /** Numbers that came, those that are forgotten included. */
  count = 0

  /** @param window  how many are kept */
  constructor(window: number) {
    this.#window = window
    this.#latest = new Float64Array(window)
    this.#sorted = new Float64Array(window)
  }

  get size(): number {
    return Math.min(this.count, this.#window)
  }

  see(value: number): void {
    const at = this.count % this.#window
    let { size } = this
    if (size === this.#window) {
      const oldest = below(this.#sorted, size, this.#latest[at])
      this.#sorted.copyWithin(oldest, oldest + 1, size--)
    }
    const place = below(this.#sorted, size, value)
    this.#sorted.copyWithin(place + 1, place, size)
    this.#sorted[place] = value
    this.#latest[at] = value
    this.count++
  }

  /** The number that this share of the others are below; there must be one. */
  quantile(share: number): number {
    return this.#sorted[Math.floor(share * (this.size - 1))]
  }
}

/** How many of the first `size` numbers, which ascend, are below a value. */
function below(sorted: ArrayLike<number>, size: number, value: number): number {
  let [from, to] = [0, size]
  while (from < to) {
    const middle = (from + to) >> 1
    if (sorted[middle] < value) from = middle + 1
    else to = middle
  }
  return from
}
