/** Audits without an outcome, and what comes meanwhile: of an answer that is given then nobody knows whether the last detected error was before it. */

/** How many confident queries come while an audit is under way: in the mean of late, and at most. */
export interface Delay {
  readonly mean: number
  readonly most: number
}

/** What one more audit adds to the moving average. */
const RECENT = 1 / 16

export class OpenAudits {
  #confident = 0
  #most: number
  #mean: number | undefined
  /** When each began, by how many were confident before; the oldest first. */
  readonly #audits = new Set<{ readonly at: number }>()

  /** @param mean  of the window before, which goes on */
  constructor(mean?: number) {
    this.#mean = mean
    this.#most = Math.ceil(mean ?? 0)
  }

  get size(): number {
    return this.#audits.size
  }

  /** Undefined where none had its outcome yet. */
  get delay(): Delay | undefined {
    return this.#mean === undefined ? undefined : { mean: this.#mean, most: this.#most }
  }

  /** One more query that the memory is confident of. */
  count(): void {
    this.#confident++
    const [oldest] = this.#audits
    if (oldest) this.#most = Math.max(this.#most, this.#confident - oldest.at)
  }

  /** An audit begins. @returns ends it; false where it was over */
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
   * The most confident queries that can have come since the last detected error.
   * @param left  detected errors until the last one. If all audits under way caught something, the last detected error would be the audit at this place in
   *              their order; with fewer under way it is still to come, and this is 0
   */
  sinceLast(left: number): number {
    if (left > this.#audits.size) return 0
    let nth = 0
    for (const { at } of this.#audits) if (++nth >= left) return this.#confident - at
    return 0
  }
}
