/**
 * Limits the concurrent calls to a server that has refused calls: first to the number that it had accepted, then one more at a time while
 * it answers, until it refuses again (additive increase, as in TCP). This is separate from the measured window, since other clients may
 * have filled the server's queue.
 */

/** The limit grows by one after this many answers to each concurrent call. */
const ROUNDS = 2

export class Allowance {
  /** The limit; `most` means that there is none. */
  #calls: number
  /** The limit before the latest burst of refusals; and whether that burst refused all calls, so that one call now probes the server. */
  #before: number
  #isNone = false
  #refusedAt = Number.NEGATIVE_INFINITY

  /** @param most  upper bound of concurrent calls */
  constructor(readonly most: number) {
    this.#calls = most
    this.#before = most
  }

  get limit(): number {
    return Math.max(1, Math.floor(this.#calls))
  }

  /**
   * Records a refusal. Calls that were sent before the last refusal belong to the same burst.
   *
   * @param slots  the limit at that time @param left  open calls besides this one
   */
  refused(now: number, sentAt: number, slots: number, left: number): void {
    if (sentAt > this.#refusedAt && !this.#isNone) this.#before = Math.min(slots, this.#calls)
    this.#refusedAt = now
    this.#calls = left
    this.#isNone = left === 0
  }

  answered(): void {
    if (this.#isNone) this.#calls = this.#before
    else if (this.#calls < this.most) this.#calls = Math.min(this.most, this.#calls + 1 / (ROUNDS * this.#calls))
    this.#isNone = false
  }
}
