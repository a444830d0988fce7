/**
 * Values that may be available at once or later. A promise for an available value would delay each message to its own microtask, and so
 * to its own write to the socket, which costs 20 us a query.
 */

import type { MaybePromise } from '../../platform/platform'

/** Calls `use` with the value, synchronously if it is no promise. */
export function andThen<T, R>(value: MaybePromise<T>, use: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return value instanceof Promise ? value.then(use) : use(value)
}

/** Runs steps one after the other; a step runs synchronously if none before it is pending. Steps must not fail. */
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

  /** Resolves when all steps given so far are done. */
  async idle(): Promise<void> {
    await this.#last
  }
}
