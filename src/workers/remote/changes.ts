/** Things that happen, as an async iterable: whoever makes them does not wait for whoever reads them. */

interface Told<T> {
  change: T
  taken: (() => void) | undefined
}

export class Changes<T> implements AsyncIterableIterator<T> {
  readonly #waiting: Told<T>[] = []
  /** Of the change that the reader has. */
  #taken: (() => void) | undefined
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

  /** What nobody has read yet, in order. */
  get unread(): T[] {
    return this.#waiting.map(({ change }) => change)
  }

  /** @param taken  called when the reader has dealt with it, and asks for the next one */
  push(change: T, taken?: () => void): void {
    if (this.#end) return
    const reader = this.#readers.shift()
    if (reader) reader.resolve(this.#give({ change, taken }))
    else this.#waiting.push({ change, taken })
  }

  #give({ change, taken }: Told<T>): IteratorResult<T> {
    this.#taken = taken
    return { value: change, done: false }
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
    const taken = this.#taken
    this.#taken = undefined
    taken?.()
    const told = this.#waiting.shift()
    if (told) return this.#give(told)
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
