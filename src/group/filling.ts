/** Who is in a group, and when it closes: when it is full, or when the first of its callers has waited long enough. */

import type { Clock } from '../clock'
import type { Query } from '../query/query'

export class Filling {
  readonly members: Query[] = []
  readonly #clock: Clock
  readonly #most: number
  readonly #close: () => void
  #closesAt = Number.POSITIVE_INFINITY
  #cancel: (() => void) | undefined
  isOpen = true

  /**
   * @param most   queries
   * @param close  called once
   */
  constructor(clock: Clock, most: number, close: () => void) {
    this.#clock = clock
    this.#most = most
    this.#close = close
  }

  /** @param maxWaitMs  how long it waits for others; below 0 where nobody is worth waiting for */
  wait(maxWaitMs: number): void {
    if (!this.isOpen) return
    const closesAt = this.#clock.now() + maxWaitMs
    if (this.members.length === this.#most || maxWaitMs < 0) return this.close()
    if (closesAt >= this.#closesAt) return
    this.#closesAt = closesAt
    this.#cancel?.()
    this.#cancel = this.#clock.after(maxWaitMs, () => this.close())
  }

  close(): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.#cancel?.()
    this.#close()
  }

  /** Drops queries whose callers left before anything was sent, which makes room for others. */
  tidy(): void {
    if (this.isOpen) this.members.splice(0, this.members.length, ...this.members.filter(({ caller }) => caller.isOpen))
  }
}
