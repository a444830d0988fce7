/**
 * How many confident queries come while an audit has no outcome. Until then an answer that the memory gives may come after the last allowed
 * error.
 */

/** Confident queries that come during an audit: a moving mean, and the maximum. */
export interface Delay {
  readonly mean: number
  readonly most: number
}

/** Weight of the newest audit in the moving average. */
const RECENT = 1 / 16

export class OpenAudits {
  #confident = 0
  #most: number
  #mean: number | undefined
  /** Audits without an outcome, oldest first, each with the number of confident queries before it. */
  readonly #audits = new Set<{ readonly at: number }>()

  /** @param mean  carried over from the previous window */
  constructor(mean?: number) {
    this.#mean = mean
    this.#most = Math.ceil(mean ?? 0)
  }

  get size(): number {
    return this.#audits.size
  }

  /** undefined until the first audit has an outcome. */
  get delay(): Delay | undefined {
    return this.#mean === undefined ? undefined : { mean: this.#mean, most: this.#most }
  }

  /** Counts a query that the memory is confident of. */
  count(): void {
    this.#confident++
    const [oldest] = this.#audits
    if (oldest) this.#most = Math.max(this.#most, this.#confident - oldest.at)
  }

  /** Begins an audit. @returns ends it; false if it had ended before */
  begin(): () => boolean {
    const own = { at: this.#confident }
    this.#audits.add(own)
    return () => {
      if (!this.#audits.delete(own)) return false
      const since = this.#confident - own.at
      this.#mean = this.#mean === undefined ? since : this.#mean + RECENT * (since - this.#mean)
      return true
    }
  }

  /**
   * The most confident queries that can have come since the last allowed error.
   * @param left  detected errors that are still allowed. If every open audit finds an error, the last allowed one is the audit at this
   * place in their order. If fewer are open, the last allowed error has not happened yet, and the result is 0
   */
  sinceLast(left: number): number {
    if (left > this.#audits.size) return 0
    let nth = 0
    for (const { at } of this.#audits) if (++nth >= left) return this.#confident - at
    return 0
  }
}
