/**
 * How many calls a server gets at once that has refused some: as many as it had not refused, and more with each answer, until it refuses again
 * (additive increase, as in TCP). How many it can run is another question, since others may have filled its queue.
 */

/** One call more is tried after this many answers to each of the calls at once. */
const ROUNDS = 2

export class Allowance {
  /** At `most` it bounds nothing. */
  #calls: number
  /** Calls at once before the latest burst of refusals; and whether that was all of them, so that one call is to show when more are taken again. */
  #before: number
  #isNone = false
  #refusedAt = Number.NEGATIVE_INFINITY

  /** @param most  calls at once in any case */
  constructor(readonly most: number) {
    this.#calls = most
    this.#before = most
  }

  get limit(): number {
    return Math.max(1, Math.floor(this.#calls))
  }

  /**
   * A call was refused. Calls that were sent before the last refusal are of one burst with it.
   *
   * @param slots  calls that the server would have been given at once  @param left  those under way beside this one
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
