/** Things that happen, as an async iterable: whoever makes them does not wait for whoever reads them. */

export class Changes<T> implements AsyncIterableIterator<T> {
  readonly #waiting: T[] = []
  readonly #readers: { resolve(result: IteratorResult<T>): void; reject(error: unknown): void }[] = []
  #end: { error?: unknown } | undefined
  readonly #onReturn: () => unknown
  /** No more than so many of whatever comes will ever be there; undefined: any number may. */
  readonly most: number | undefined

  /** @param onReturn  called once, when the reader wants no more */
  constructor(onReturn: () => unknown, most?: number) {
    this.#onReturn = onReturn
    this.most = most
  }

  /** What nobody has read yet, in order; whoever makes changes may take back some. */
  get unread(): T[] {
    return this.#waiting
  }

  push(change: T): void {
    if (this.#end) return
    const reader = this.#readers.shift()
    if (reader) reader.resolve({ value: change, done: false })
    else this.#waiting.push(change)
  }

  /** Nothing more will come; readers are told the error, where there is one, once. */
  end(error?: unknown): void {
    if (this.#end) return
    this.#end = {}
    const [first, ...rest] = this.#readers.splice(0)
    if (error === undefined) first?.resolve({ value: undefined, done: true })
    else if (first) first.reject(error)
    else this.#end = { error }
    for (const { resolve } of rest) resolve({ value: undefined, done: true })
  }

  async next(): Promise<IteratorResult<T>> {
    if (this.#waiting.length) return { value: this.#waiting.shift() as T, done: false }
    if (this.#end) {
      const { error } = this.#end
      this.#end = {}
      if (error !== undefined) throw error
      return { value: undefined, done: true }
    }
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
  }

  async return(): Promise<IteratorResult<T>> {
    const over = this.#end
    this.end()
    if (!over) await this.#onReturn()
    this.#waiting.length = 0
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
