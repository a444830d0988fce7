/** Workers that come and go as a test tells. */

import type { Change } from 'approxifer'

/** Changes that the test tells by hand. */
export class Feed implements AsyncIterable<Change> {
  /** How often its listener has left. */
  returned = 0
  readonly #told: Change[] = []
  #end: { error?: unknown } | undefined
  #wake = () => {}

  tell(...changes: Change[]) {
    this.#told.push(...changes)
    this.#wake()
  }

  end(error?: unknown) {
    this.#end = { error }
    this.#wake()
  }

  [Symbol.asyncIterator]() {
    const next = async (): Promise<IteratorResult<Change>> => {
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
    const leave = async (): Promise<IteratorResult<Change>> => {
      this.returned++
      return { done: true, value: undefined }
    }
    return { next, return: leave }
  }
}
