/** Waiting queries -> groups: full ones at once, short ones when a query has waited long enough. */

import type { Clock } from './clock'

export interface GroupingOptions<T> {
  clock: Clock
  /** Queries in a full group. */
  size: number
  /** Whether a group of so many queries could be sent now. */
  ready(queries: number): boolean
  send(items: T[]): void
  /** Where queries are not grouped as they come: wait for so many, and then choose which go together. */
  pool?: {
    size: number
    /** Of the waiting, the most urgent first: the positions of a group, which has the first in it. */
    choose(items: readonly T[]): readonly number[]
  }
}

interface Entry<T> {
  item: T
  due: number
}

const LOOK_AGAIN_MS = 5

export class Grouping<T> {
  readonly #options: GroupingOptions<T>
  readonly #enough: number
  #waiting: Entry<T>[] = []
  #unplan = () => {}

  constructor(options: GroupingOptions<T>) {
    this.#options = options
    this.#enough = options.pool?.size ?? options.size
  }

  /** @param maxWaitMs  how long it may wait for others */
  add(item: T, maxWaitMs: number): void {
    this.#waiting.push({ item, due: this.#options.clock.now() + maxWaitMs })
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
    this.#unplan()
    return this.#waiting.splice(0).map((entry) => entry.item)
  }

  /** Sends what can be sent. To be called when `ready` may have turned true. */
  pump(): void {
    const { size, ready, send } = this.#options
    this.#unplan()
    while (this.#waiting.length) {
      const wait = this.#waiting.length < this.#enough && this.#leftMs() > 0
      if (wait || !ready(Math.min(size, this.#waiting.length))) break
      send(this.#next())
    }
    if (!this.#waiting.length) return
    // Where a group is full or due `ready` is what lacks, and time alone may bring it.
    const left = this.#waiting.length < this.#enough ? this.#leftMs() : 0
    this.#unplan = this.#options.clock.after(left > 0 ? Math.ceil(left) : LOOK_AGAIN_MS, () => this.pump())
  }

  /** Takes the next group out. */
  #next(): T[] {
    const { size, pool } = this.#options
    if (!pool) return this.#waiting.splice(0, size).map((entry) => entry.item)
    const urgent = [...this.#waiting].sort((a, b) => a.due - b.due)
    const group = pool.choose(urgent.map((entry) => entry.item)).map((at) => urgent[at])
    this.#waiting = this.#waiting.filter((entry) => !group.includes(entry))
    return group.map((entry) => entry.item)
  }

  /** Until the first of those that could go next is due. */
  #leftMs(): number {
    const next = this.#options.pool ? this.#waiting : this.#waiting.slice(0, this.#options.size)
    return Math.min(...next.map(({ due }) => due)) - this.#options.clock.now()
  }
}
