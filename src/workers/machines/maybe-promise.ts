/**
 * What is there at once, or comes later. A promise of what is there puts off all that waits for it, each by other microtasks, so that what
 * carries the messages writes each to its socket alone: 20 us a query.
 */

import type { MaybePromise } from '../../platform/platform'

/** What `use` makes of a value: at once where that is there. */
export function andThen<T, R>(value: MaybePromise<T>, use: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return value instanceof Promise ? value.then(use) : use(value)
}

/** Takes steps in their order, each at once where none before it is under way. They must not fail. */
export class SerialQueue {
  #last: Promise<void> | undefined

  run(step: () => MaybePromise<void>): void {
    const last = this.#last ? this.#last.then(step) : step()
    if (!(last instanceof Promise)) return
    this.#last = last
    void last.then(() => {
      if (this.#last === last) this.#last = undefined
    })
  }

  /** Resolves when all that were given are done. */
  async idle(): Promise<void> {
    await this.#last
  }
}
