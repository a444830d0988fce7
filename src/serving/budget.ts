/** How many inferences or recoveries the extras may take: a share of the queries, with a small burst. */

export class Budget {
  readonly #share: number
  readonly #burst: number
  #left: number

  /**
   * @param share  of the queries, 0..1
   * @param burst  how many may be saved up; so many there are at first
   */
  constructor(share: number, burst: number) {
    this.#share = share
    this.#burst = share ? burst : 0
    this.#left = this.#burst
  }

  /** One more query. */
  earn(): void {
    this.#left = Math.min(this.#burst, this.#left + this.#share)
  }

  get has(): boolean {
    return this.#left >= 1
  }

  take(): void {
    this.#left--
  }
}
