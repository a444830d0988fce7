/** Requests under way, and who waits for the last of them. */
export class InFlight {
  #count = 0
  #total = 0
  readonly #waiting: (() => void)[] = []

  get count(): number {
    return this.#count
  }

  /** Requests so far. */
  get total(): number {
    return this.#total
  }

  /** @returns to be called once, when the request has its answer */
  enter(): () => void {
    this.#count++
    this.#total++
    return () => {
      if (--this.#count === 0) for (const wake of this.#waiting.splice(0)) wake()
    }
  }

  /** Resolves when none is under way. */
  async ended(): Promise<void> {
    if (this.#count) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
}
