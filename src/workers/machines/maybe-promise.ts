/**
 * What is there at once, or comes later. A promise of what is there puts off all that waits for it, each by other microtasks, so that the
 * client library writes each message to its socket alone: 20 us a query.
 */

import type { Soon } from '../../platform/platform'

/** What `use` makes of a value: at once where that is there. */
export function soon<T, R>(value: Soon<T>, use: (value: T) => Soon<R>): Soon<R> {
  return value instanceof Promise ? value.then(use) : use(value)
}

/** Takes steps in their order, each at once where none before it is under way. They must not fail. */
export class InTurn {
  #last: Promise<void> | undefined

  take(step: () => Soon<void>): void {
    const last = this.#last ? this.#last.then(step) : step()
    if (!(last instanceof Promise)) return
    this.#last = last
    void last.then(() => {
      if (this.#last === last) this.#last = undefined
    })
  }

  /** Resolves when all are taken. */
  async taken(): Promise<void> {
    await this.#last
  }
}
