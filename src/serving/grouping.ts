/** Waiting queries -> groups: full ones at once, short ones when the oldest query has waited long enough. */

export interface GroupingOptions<T> {
  /** Queries in a full group. */
  size: number
  /** How long a query may wait for others. */
  maxWaitMs: number
  /** Whether a group could be sent now. */
  ready(): boolean
  send(items: T[]): void
}

export class Grouping<T> {
  readonly #options: GroupingOptions<T>
  readonly #waiting: { item: T; since: number }[] = []
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(options: GroupingOptions<T>) {
    this.#options = options
  }

  add(item: T): void {
    this.#waiting.push({ item, since: performance.now() })
    this.pump()
  }

  /** Takes a waiting item out; false if it is not waiting any more. */
  remove(item: T): boolean {
    const at = this.#waiting.findIndex((entry) => entry.item === item)
    if (at >= 0) this.#waiting.splice(at, 1)
    return at >= 0
  }

  /** Takes everything out. */
  clear(): T[] {
    clearTimeout(this.#timer)
    return this.#waiting.splice(0).map((entry) => entry.item)
  }

  /** Sends what can be sent. To be called when `ready` may have turned true. */
  pump(): void {
    const { size, ready, send } = this.#options
    clearTimeout(this.#timer)
    while (this.#waiting.length) {
      if ((this.#waiting.length < size && this.#leftMs() > 0) || !ready()) break
      send(this.#waiting.splice(0, size).map((entry) => entry.item))
    }
    if (!this.#waiting.length) return
    // Due already: `ready` is what lacks, and time alone may bring it.
    const left = this.#leftMs() > 0 ? this.#leftMs() : this.#options.maxWaitMs
    this.#timer = setTimeout(() => this.pump(), Math.max(1, Math.ceil(left)))
  }

  #leftMs(): number {
    return this.#waiting[0].since + this.#options.maxWaitMs - performance.now()
  }
}
