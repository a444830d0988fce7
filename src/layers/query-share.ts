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
