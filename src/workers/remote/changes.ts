/** A queue of changes as an async iterable: the writer never waits for the reader. */

interface QueuedChange<T> {
  change: T
  taken: (() => void) | undefined
}

export interface ChangesOptions {
  /** Called once, when the reader asks for the first change. */
  onStart?: (() => void) | undefined
  /** Called once, when the reader wants no more; not where the writer has ended it before. */
  onReturn: () => unknown
  /** At most as many workers will ever have joined; undefined: any number may. */
  most?: number | undefined
}

export class Changes<T> implements AsyncIterableIterator<T> {
  readonly most: number | undefined
  readonly #queue: QueuedChange<T>[] = []
  readonly #readers: { resolve(result: IteratorResult<T>): void; reject(error: unknown): void }[] = []
  readonly #onReturn: () => unknown
  #onStart: (() => void) | undefined
  /** Of the change that the reader is dealing with. */
  #taken: (() => void) | undefined
  #end: { error?: unknown } | undefined

  constructor({ onStart, onReturn, most }: ChangesOptions) {
    this.most = most
    this.#onReturn = onReturn
    this.#onStart = onStart
  }

  /** What nobody has read yet, in order. */
  get unread(): T[] {
    return this.#queue.map(({ change }) => change)
  }

  /** Nothing more will come. */
  get isOver(): boolean {
    return this.#end !== undefined
  }

  /** @param taken  called when the reader has dealt with the change, and asks for the next one */
  push(change: T, taken?: () => void): void {
    if (this.#end) return
    const reader = this.#readers.shift()
    if (reader) reader.resolve(this.#give({ change, taken }))
    else this.#queue.push({ change, taken })
  }

  #give({ change, taken }: QueuedChange<T>): IteratorResult<T> {
    this.#taken = taken
    return { value: change, done: false }
  }

  /** Nothing more will come. @param error  what the reader gets once, behind the changes that are queued */
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
    const [start, taken] = [this.#onStart, this.#taken]
    this.#onStart = this.#taken = undefined
    start?.()
    taken?.()
    const queued = this.#queue.shift()
    if (queued) return this.#give(queued)
    if (this.#end) {
      const { error } = this.#end
      this.#end = {}
      if (error !== undefined) throw error
      return { value: undefined, done: true }
    }
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
  }

  async return(): Promise<IteratorResult<T>> {
    const wasOver = this.isOver
    this.end()
    if (!wasOver) await this.#onReturn()
    this.#queue.length = 0
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
