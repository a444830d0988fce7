/** Workers that come and go as a test tells. */

import type { Change } from 'approxifer'

/** Changes that the test tells by hand. */
export class Feed<T = Change> implements AsyncIterable<T> {
  /** How often its listener has left. */
  returned = 0
  readonly #told: T[] = []
  #end: { error?: unknown } | undefined
  #wake = () => {}

  tell(...changes: T[]) {
    this.#told.push(...changes)
    this.#wake()
  }

  end(error?: unknown) {
    this.#end = { error }
    this.#wake()
  }

  [Symbol.asyncIterator]() {
    const next = async (): Promise<IteratorResult<T>> => {
      while (!this.#told.length && !this.#end) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
      const value = this.#told.shift()
      if (value) return { done: false, value }
      if (this.#end?.error) throw this.#end.error
      return { done: true, value: undefined }
    }
    const leave = async (): Promise<IteratorResult<T>> => {
      this.returned++
      return { done: true, value: undefined }
    }
    return { next, return: leave }
  }
}
