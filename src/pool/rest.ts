/**
 * How long a worker is left alone that says it is busy: as long as it says, else for a while that doubles with each refusal; or until it answers
 * a call that it had taken, since then it has room for one. Whatever waits for it shares that, so that refusals make no loop.
 */

import type { Clock } from '../base/clock'

/** The first wait, and the longest: it is also how long it may take to notice that a worker is free again. */
const LEAST_MS = 10
const MOST_MS = 160
/** It is asked again after so long, whatever it said, unless another worker is free. */
const MOST_RETRY_MS = 1000

export class Rest {
  /** It gets nothing. */
  isOn = false
  #unplan = () => {}
  /** Refusals in a row. Those of calls that were sent before the last one are one: a server with 16 calls begins to refuse once. */
  #refusals = 0
  #refusedAt = Number.NEGATIVE_INFINITY
  /** Until when it wants to be left alone, by its own words. */
  #until = Number.NEGATIVE_INFINITY

  /** @param othersAreFree  whether it may be left alone for as long as it wants @param over  told when it may get something */
  constructor(
    private readonly clock: Clock,
    private readonly othersAreFree: () => boolean,
    private readonly over: () => void,
  ) {}

  /** @param sentAt  when the call was @param retryMs  what its worker said */
  refused(sentAt: number, retryMs = 0): void {
    const now = this.clock.now()
    if (sentAt > this.#refusedAt) this.#refusals++
    this.#refusedAt = now
    this.#until = Math.max(this.#until, now + retryMs)
    if (!this.isOn) this.#begin(now)
  }

  #begin(now: number): void {
    this.isOn = true
    const backoff = Math.min(MOST_MS, LEAST_MS * 2 ** (this.#refusals - 1))
    const ms = Math.max(backoff, Math.min(MOST_RETRY_MS, this.#until - now))
    this.#unplan = this.clock.after(ms, () => this.#look(), true)
  }

  #look(): void {
    const now = this.clock.now()
    if (now < this.#until && this.othersAreFree()) return this.#begin(now)
    this.end()
    this.over()
  }

  end(): void {
    this.#unplan()
    this.isOn = false
    this.#until = Number.NEGATIVE_INFINITY
  }
}
