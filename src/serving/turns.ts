/** Work of a few milliseconds that comes in bursts: one piece a task, so that whatever else happens has its turn in between. */

import type { Clock } from './clock'
import { Line } from './line'

export class Turns {
  readonly #clock: Clock
  readonly #waiting = new Line<() => void>()
  #underway = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Calls it in a task of its own, behind those that wait. */
  add(piece: () => void): void {
    this.#waiting.push(piece)
    if (!this.#underway) this.#next()
  }

  #next(): void {
    this.#underway = this.#waiting.size > 0
    if (!this.#underway) return
    this.#clock.after(
      0,
      () => {
        const piece = this.#waiting.first
        this.#waiting.shift()
        try {
          piece?.()
        } finally {
          this.#next()
        }
      },
      true,
    )
  }
}
