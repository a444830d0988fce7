/** Few requests are begun in one turn of the event loop. */

import { Deque } from '../../base/arrays'

/**
 * What hundreds of connections ask at once is read in one turn. Begun in that, too, it held the loop for up to 150 ms, and with it health on its
 * own port.
 */
const AT_ONCE = 8

export class AcceptThrottle {
  readonly #waiting = new Deque<() => void>()
  /** Below `AT_ONCE` from the first of a turn on, until the next turn. */
  #left = AT_ONCE

  /** Begins it now or, where eight were begun in this turn, in one of the next, behind those that wait. */
  begin(request: () => void): void {
    if (this.#left === AT_ONCE) this.#plan()
    if (this.#left) this.#run(request)
    else this.#waiting.push(request)
  }

  #run(request: () => void): void {
    this.#left--
    request()
  }

  /** The next turn begins when all that came in this one was read. */
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
