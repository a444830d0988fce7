/** A queue of changes as an async iterable: the writer never waits for the reader. */

import type { ModelWorker } from '../worker'

export interface ChangesOptions {
  /** Called once, when the reader asks for the first change. */
  onStart?: (() => void) | undefined
  /** Called once, when the reader wants no more; not where the writer has ended it before. */
  onReturn: () => unknown
  /** At most as many workers will ever have joined; undefined: any number may. */
  most?: number | undefined
  /** Called by a reader that keeps workers of several models apart. */
  apart?: (() => void) | undefined
  /** Called by a reader where some may lie. */
  doubt?: ((liars: number) => void) | undefined
  /** Called before that with a worker that is not of the fleet. */
  alongside?: ((worker: ModelWorker) => Promise<void>) | undefined
}

export class Changes<T> implements AsyncIterableIterator<T> {
  readonly most: number | undefined
  readonly apart: (() => void) | undefined
  readonly doubt: ((liars: number) => void) | undefined
  readonly alongside: ((worker: ModelWorker) => Promise<void>) | undefined
  /** `taken`: called when the reader has dealt with the change, and asks for the next one. */
  readonly #queue: { change: T; taken: (() => void) | undefined }[] = []
  readonly #reading: AsyncGenerator<T>
  readonly #onReturn: () => unknown
  #end: { error: unknown } | undefined
  #wake: () => void = () => {}

  constructor({ onStart, onReturn, most, apart, doubt, alongside }: ChangesOptions) {
    this.most = most
    this.apart = apart
    this.doubt = doubt
    this.alongside = alongside
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

  /** Nothing more will come. @param error  what the reader gets once, behind the changes that are queued */
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
