/** Empty, growing and joined arrays, and bags and queues that any item leaves at once. */

/** An empty array that is shared and frozen, so that no object pays for an empty array of its own. */
export const NONE: never[] = Object.freeze([]) as never[]

/** Stands for a vector that a query does not have. */
export const NO_VALUES = new Float32Array(0)

/**
 * Appends an item to an array, or makes a new array if the given one is empty. An empty array that grows by `push` gets room for 17 items:
 * with thousands of queries under way, each with one row, copying this unused room dominated their memory.
 */
export function append<T>(all: T[], item: T): T[] {
  if (!all.length) return [item]
  all.push(item)
  return all
}

interface Joinable<T> extends ArrayLike<number> {
  set(part: T, at: number): void
}

/** Concatenates the parts. @param all  is filled; default: a new array */
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
 * An unordered collection whose items store their own place, so that removal takes constant time. A `Set` is slower here: V8 replaces its
 * table every few items, and a replaced table that was promoted to the old generation keeps all later ones alive, with their items. A query
 * then took 10 us of processor time instead of 6.
 */
export class Bag<T extends { place: number }> {
  readonly #items: T[] = []

  /** A copy. */
  get all(): T[] {
    return this.#items.slice()
  }

  get size(): number {
    return this.#items.length
  }

  add(item: T): void {
    item.place = this.#items.push(item) - 1
  }

  /** Afterwards the item's place is -1, even if it was never added. */
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

/** Empty places that may stand in front before the items are moved. */
const SLACK = 64

/** A double-ended queue that removes any item in constant time. */
export class Deque<T> {
  #places: (T | undefined)[] = []
  #head = 0
  /** Places cut off in front, less those added there: subtracted from a place it gives the index. */
  #moved = 0
  size = 0

  /** @returns the item's place, for `remove` */
  push(item: T): number {
    this.size++
    return this.#moved + this.#places.push(item) - 1
  }

  /** Adds an item in front. @returns its place */
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

  /** The first item that satisfies `willDo`, among `count` places from `skip` places behind the first item on. */
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
