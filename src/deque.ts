/** A queue that takes items at both ends, and lets any item leave in constant time. */

/** Empty places in front below which the items are not moved up. */
const SLACK = 64

export class Deque<T> {
  #places: (T | undefined)[] = []
  /** Where the first item is. */
  #head = 0
  /** Places cut off in front so far, less those that were added there: what to subtract from a place to find its item. */
  #moved = 0
  size = 0

  /** @returns its place, for `remove` */
  push(item: T): number {
    this.size++
    return this.#moved + this.#places.push(item) - 1
  }

  /** Puts one in front of all others. @returns its place */
  unshift(item: T): number {
    this.size++
    if (this.#head > 0) this.#head--
    else {
      this.#places.unshift(undefined)
      this.#moved--
    }
    this.#places[this.#head] = item
    return this.#moved + this.#head
  }

  shift(): void {
    this.remove(this.#moved + this.#head)
  }

  remove(place: number): void {
    const at = place - this.#moved
    if (this.#places[at] === undefined) return
    this.#places[at] = undefined
    this.size--
    while (this.#head < this.#places.length && this.#places[this.#head] === undefined) this.#head++
    if (this.#head < SLACK || 2 * this.#head < this.#places.length) return
    this.#places.splice(0, this.#head)
    this.#moved += this.#head
    this.#head = 0
  }

  get first(): T | undefined {
    return this.#places[this.#head]
  }

  /** The first that will do among `count` places, from `skip` places behind the first item on. */
  find(skip: number, count: number, willDo: (item: T) => boolean): T | undefined {
    const from = this.#head + skip
    for (let at = from; at < Math.min(from + count, this.#places.length); at++) {
      const item = this.#places[at]
      if (item !== undefined && willDo(item)) return item
    }
  }

  *[Symbol.iterator](): Generator<T> {
    for (const item of this.#places) if (item !== undefined) yield item
  }
}
