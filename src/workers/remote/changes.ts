/** An unbounded queue of changes as an async iterable: the writer never waits for the reader. */

export interface ChangesOptions {
  /** Called once, when the reader asks for the first change. */
  onStart?: (() => void) | undefined
  /** Called once, when the reader stops; not if the writer has ended the iteration before. */
  onReturn: () => unknown
}

export class Changes<T> implements AsyncIterableIterator<T> {
  /** `taken` is called when the reader has handled the change and asks for the next one. */
  readonly #queue: { change: T; taken: (() => void) | undefined }[] = []
  readonly #reading: AsyncGenerator<T>
  readonly #onReturn: () => unknown
  #end: { error: unknown } | undefined
  #wake: () => void = () => {}

  constructor({ onStart, onReturn }: ChangesOptions) {
    this.#onReturn = onReturn
    this.#reading = this.#read(onStart)
  }

  get unread(): T[] {
    return this.#queue.map(({ change }) => change)
  }

  get isOver(): boolean {
    return this.#end !== undefined
  }

  push(change: T, taken?: () => void): void {
    if (this.#end) return
    this.#queue.push({ change, taken })
    this.#wake()
  }

  /** Ends the iteration behind the queued changes. @param error  thrown to the reader at the end */
  end(error?: unknown): void {
    this.#end ??= { error }
    this.#wake()
  }

  async *#read(onStart: ChangesOptions['onStart']): AsyncGenerator<T> {
    onStart?.()
    while (this.#queue.length || !this.#end) {
      const next = this.#queue.shift()
      if (next) {
        yield next.change
        next.taken?.()
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
    if (this.#end.error !== undefined) throw this.#end.error
  }

  next(): Promise<IteratorResult<T>> {
    return this.#reading.next()
  }

  async return(): Promise<IteratorResult<T>> {
    const wasOver = this.isOver
    this.end()
    if (!wasOver) await this.#onReturn()
    this.#queue.length = 0
    return this.#reading.return(undefined)
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
