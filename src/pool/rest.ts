/**
 * How long a busy worker is left alone: for a time that doubles with each refusal, and as long as it asks for while no query waits. It ends when
 * the worker answers an earlier call, since it has room again then. The wait holds for all attempts, so that refusals make no loop.
 *
 * A `Retry-After` has whole seconds, and is a guess: a query with a deadline of a second cannot wait for it. With such waits nine in ten queries
 * failed where four servers refused three calls in ten.
 */

import type { Clock } from '../base/clock'

/** The first wait, and the longest, which bounds how late a free worker is noticed. */
const LEAST_MS = 10
const MOST_MS = 160

export class Rest {
  /** The worker gets nothing. */
  isOn = false
  #unplan = () => {}
  /** Refusals in a row. Those of calls that were sent before the last refusal count as one: a server with 16 calls begins to refuse once. */
  #refusals = 0
  #refusedAt = Number.NEGATIVE_INFINITY
  /** Until when the worker asked to be left alone. */
  #until = Number.NEGATIVE_INFINITY

  /** @param isWaited  whether queries wait, which no other worker may take now @param over  called when it may get attempts again */
  constructor(
    private readonly clock: Clock,
    private readonly isWaited: () => boolean,
    private readonly over: () => void,
  ) {}

  /** It has refused so often in a row that it is left alone for the longest time. */
  get isLasting(): boolean {
    return this.#backoffMs >= MOST_MS
  }

  get #backoffMs(): number {
    return Math.min(MOST_MS, LEAST_MS * 2 ** (this.#refusals - 1))
  }

  /** @param sentAt  when the call was sent @param retryMs  the wait that the worker asked for */
  refused(sentAt: number, retryMs = 0): void {
    const now = this.clock.now()
    if (sentAt > this.#refusedAt) this.#refusals++
    this.#refusedAt = now
    this.#until = Math.max(this.#until, now + retryMs)
    if (!this.isOn) this.#begin()
  }

  #begin(): void {
    this.isOn = true
    this.#unplan = this.clock.after(this.#backoffMs, () => this.#look(), true)
  }

  #look(): void {
    if (this.clock.now() < this.#until && !this.isWaited()) return this.#begin()
    this.end()
    this.over()
  }

  end(): void {
    this.#unplan()
    this.isOn = false
    this.#until = Number.NEGATIVE_INFINITY
  }
}
