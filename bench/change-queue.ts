/** Changes of a fleet as a bench tells them. */

export class ChangeQueue<T> implements AsyncIterable<T> {
  readonly #told: T[] = []
  #wake = () => {}

  tell(change: T): void {
    this.#told.push(change)
    this.#wake()
  }

  [Symbol.asyncIterator]() {
    const next = async (): Promise<IteratorResult<T>> => {
      while (!this.#told.length) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
      return { done: false, value: this.#told.shift() as T }
    }
    return { next, return: async (): Promise<IteratorResult<T>> => ({ done: true, value: undefined }) }
  }
}
