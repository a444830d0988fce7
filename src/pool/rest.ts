/**
 * How long a worker is left alone that says it is busy: as long as it says, else for a while that doubles with each refusal; or until it answers
 * a call that it had taken, since then it has room for one. Whatever waits for it shares that, so that refusals make no loop.
 */

import type { Clock } from '../clock'

/** The first wait, and the longest: it is also how long it may take to notice that a worker is free again. */
const LEAST_MS = 10
const MOST_MS = 160
/** It is asked again after so long, whatever it said, unless another worker is free. */
const MOST_ASKED_MS = 1000

export class Rest {
  /** While it gets nothing: stops the timer that ends that. */
  #unplan: (() => void) | undefined
  /** Refusals in a row. Those of calls that were sent before the last one are one: a server with 16 calls begins to refuse once. */
  #refusals = 0
  #refusedAt = Number.NEGATIVE_INFINITY
  /** Until when it wants to be left alone, by its own words. */
  #until = Number.NEGATIVE_INFINITY

  /** @param sentAt  when the call was @param retryMs  what its worker said */
  refused(now: number, sentAt: number, retryMs = 0): void {
    if (sentAt > this.#refusedAt) this.#refusals++
    this.#refusedAt = now
    this.#until = Math.max(this.#until, now + retryMs)
  }

  /** It has answered a call. */
  answered(): void {
    this.#refusals = 0
  }

  get isOn(): boolean {
    return this.#unplan !== undefined
  }

  /** It gets nothing until `look` is called, which is where it may be over. */
  begin(clock: Clock, look: () => void): void {
    const backoff = Math.min(MOST_MS, LEAST_MS * 2 ** (this.#refusals - 1))
    const ms = Math.max(backoff, Math.min(MOST_ASKED_MS, this.#until - clock.now()))
    this.#unplan = clock.after(ms, look, true)
  }

  end(): void {
    this.#unplan?.()
    this.#unplan = undefined
    this.#until = Number.NEGATIVE_INFINITY
  }

  /** Whether it wants to be left alone for longer. */
  isWanted(now: number): boolean {
    return now < this.#until
  }
}
