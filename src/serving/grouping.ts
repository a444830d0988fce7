/** Waiting queries -> groups: full ones at once, short ones when the oldest query has waited long enough. */

export interface GroupingOptions<T> {
  /** Queries in a full group. */
  size: number
  /** Whether a group of so many queries could be sent now. */
  ready(queries: number): boolean
  send(items: T[]): void
}

const LOOK_AGAIN_MS = 5

export class Grouping<T> {
  readonly #options: GroupingOptions<T>
  readonly #waiting: { item: T; due: number }[] = []
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(options: GroupingOptions<T>) {
    this.#options = options
  }

  /** @param maxWaitMs  how long it may wait for others */
  add(item: T, maxWaitMs: number): void {
    this.#waiting.push({ item, due: performance.now() + maxWaitMs })
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
      if ((this.#waiting.length < size && this.#leftMs() > 0) || !ready(Math.min(size, this.#waiting.length))) break
      send(this.#waiting.splice(0, size).map((entry) => entry.item))
    }
    if (!this.#waiting.length) return
    // Where a group is full or due `ready` is what lacks, and time alone may bring it.
    const left = this.#waiting.length < size ? this.#leftMs() : 0
    this.#timer = setTimeout(() => this.pump(), left > 0 ? Math.ceil(left) : LOOK_AGAIN_MS)
  }

  #leftMs(): number {
    return Math.min(...this.#waiting.slice(0, this.#options.size).map(({ due }) => due)) - performance.now()
  }
}
