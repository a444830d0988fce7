/**
 * Limits hedges or recoveries to a share of the queries: as many as have been saved up, at most a small burst, or that share of the queries
 * under way, since queries that began together are late together.
 */
export class Budget {
  readonly #share: number
  readonly #burst: number
  #left: number

  /**
   * @param share  of the queries, 0..1
   * @param burst  how many may be saved up; the initial amount
   */
  constructor(share: number, burst: number) {
    this.#share = share
    this.#burst = share ? burst : 0
    this.#left = this.#burst
  }

  /** Adds one query's share. @param open  queries under way */
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
