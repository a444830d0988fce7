/** Rows that wait, first come, first served; one in the middle may leave. */

/** Gone places in front that are not worth moving the others for. */
const SLACK = 64

export class Line<T> {
  #places: (T | undefined)[] = []
  /** Place of the first that waits. */
  #head = 0
  /** Places in front that were given up: those of items that left. */
  #moved = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** @returns its place, for `remove` */
  push(item: T): number {
    this.#size++
    return this.#moved + this.#places.push(item) - 1
  }

  /** Puts one in front of all others. @returns its place */
  unshift(item: T): number {
    this.#size++
    if (this.#head > 0) this.#head--
    else {
      this.#places.unshift(undefined)
      this.#moved--
    }
    this.#places[this.#head] = item
    return this.#moved + this.#head
  }

  /** Takes the first one out. */
  shift(): void {
    this.remove(this.#moved + this.#head)
  }

  remove(place: number): void {
    const at = place - this.#moved
    if (this.#places[at] === undefined) return
    this.#places[at] = undefined
    this.#size--
    while (this.#head < this.#places.length && this.#places[this.#head] === undefined) this.#head++
    if (this.#head < SLACK || 2 * this.#head < this.#places.length) return
    this.#places.splice(0, this.#head)
    this.#moved += this.#head
    this.#head = 0
  }

  get first(): T | undefined {
    return this.#places[this.#head]
  }

  /** The first that will do, `skip` places behind the head, among the next `look`. */
  find(skip: number, look: number, willDo: (item: T) => boolean): T | undefined {
    const from = this.#head + skip
    for (let at = from; at < Math.min(from + look, this.#places.length); at++) {
      const item = this.#places[at]
      if (item !== undefined && willDo(item)) return item
    }
  }

  /** All that wait, in order. */
  *[Symbol.iterator](): Generator<T> {
    for (const item of this.#places) if (item !== undefined) yield item
  }
}
