/** Empty, growing and joined arrays, and bags and queues that any item leaves at once. */

/** Of what has none yet: shared and frozen, so that nobody pays for an array of his own. */
export const NONE: never[] = Object.freeze([]) as never[]

/** A vector where there is none to compare, to remember or to learn from. */
export const NO_VALUES = new Float32Array(0)

/**
 * An array with one item more: the same one, or a new one of just that item. An empty array that grows by `push` has room for 17, and
 * with thousands of queries under way, each with one row, this room is most of what they take: it is copied again and again.
 */
export function append<T>(all: T[], item: T): T[] {
  if (!all.length) return [item]
  all.push(item)
  return all
}

interface Joinable<T> extends ArrayLike<number> {
  set(part: T, at: number): void
}

/** All parts, one after the other. @param all  to be filled; default: fresh */
export function joined<T extends Joinable<T>>(
  parts: readonly T[],
  Kind: new (length: number) => T,
  all: T = new Kind(parts.reduce((sum, part) => sum + part.length, 0)),
): T {
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/**
 * Items in no order; each knows its place, so that any leaves at once. Not a `Set`: V8 replaces its table every few items, and a replaced
 * one that has grown old keeps all later ones alive, with their items. A query then took 10 us of processor time, and 6 without.
 */
export class Bag<T extends { place: number }> {
  readonly #items: T[] = []

  /** All items, as they are now. */
  get all(): T[] {
    return this.#items.slice()
  }

  get size(): number {
    return this.#items.length
  }

  add(item: T): void {
    item.place = this.#items.push(item) - 1
  }

  /** Its place is -1 from then on, also if it was never added. */
  remove(item: T): void {
    const { place } = item
    item.place = -1
    if (this.#items[place] !== item) return
    const last = this.#items.pop() as T
    if (last === item) return
    this.#items[place] = last
    last.place = place
  }
}

/** Empty places in front below which the items are not moved up. */
const SLACK = 64

/** A queue that takes items at both ends, and lets any item leave in constant time. */
export class Deque<T> {
  #places: (T | undefined)[] = []
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
