/** Spreads the requests of many connections over several turns of the event loop. */

import { Deque } from '../../base/arrays'

/**
 * How many requests are begun in one turn. Node reads the requests of hundreds of connections in one turn; when all were begun in it, the
 * loop was held for up to 150 ms, and health probes with it.
 */
const AT_ONCE = 8

export class AcceptThrottle {
  readonly #waiting = new Deque<() => void>()
  /** How many more requests may begin in this turn. */
  #left = AT_ONCE

  /** Begins a request now or, if this turn has its eight, in a later turn, in the order of arrival. */
  begin(request: () => void): void {
    if (this.#left === AT_ONCE) this.#plan()
    if (this.#left) this.#run(request)
    else this.#waiting.push(request)
  }

  #run(request: () => void): void {
    this.#left--
    request()
  }

  /** Refills the turn's share when the loop has read everything that arrived, and begins waiting requests. */
  #plan(): void {
    setImmediate(() => {
      this.#left = AT_ONCE
      if (this.#waiting.size) this.#plan()
      for (let next = this.#waiting.first; next && this.#left; next = this.#waiting.first) {
        this.#waiting.shift()
        this.#run(next)
      }
    })
  }
}
