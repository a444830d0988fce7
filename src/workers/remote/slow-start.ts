/**
 * Finds the window of a new server, whose concurrency is unknown, by growing it: by two with each answer that a waiting call replaces. A
 * server that runs all calls at once so gets three times as many after each round trip; a server that runs one at a time gets two more.
 * Growth ends when calls certainly wait at the server.
 *
 * Two observations show that. Times: in a queue, the n-th of n calls takes n times as long. Order: servers start calls in the order in
 * which they come, so a call that ends while r - 1 older ones are open shows that r calls were running. Order is needed since times may
 * vary by a factor of ten: by times alone two of five servers of 16 slots stayed below a window of four.
 */

import { Calls, errorOf, SPARE } from './call-times'
import type { WindowCall } from './window'

/** Growth of the window with each answer. */
const GROWTH = 2
/**
 * Limits of the window's growth: BLIND calls without any evidence; LIKELY times the concurrency that the order proves, even if times
 * contradict; and MOST_OVER_ORDER times that, unless the mean time has a relative error below KNOWN.
 */
const BLIND = 3
const LIKELY = 3
const MOST_OVER_ORDER = 8
const KNOWN = 0.2
/** Standard errors for concluding that calls wait; SURER if the order contradicts, since some servers start all calls at once. */
const SURE = 3
const SURER = 5
/** Answers in a row without growth after which the window is final. */
const HELD = 400

/** The estimate from the answers so far. */
interface WindowEstimate {
  /** Times of calls that did not wait. */
  readonly base: Calls
  /** Concurrency of the server: a proven lower bound, and a probable upper bound. */
  readonly least: number
  readonly likely: number
  /** The window for that concurrency, and whether calls certainly wait. */
  readonly right: number
  readonly isSure: boolean
}

export class SlowStart {
  size = 1
  #estimate: WindowEstimate = { base: new Calls(), least: 1, likely: Number.POSITIVE_INFINITY, right: 1, isSure: false }
  /** Times by the number of open calls: 1, 2 to 3, 4 to 7, ... */
  readonly #levels: Calls[] = []
  /** Open calls, the oldest first. */
  readonly #open: WindowCall[] = []
  /** Concurrency that the order of answers proves. */
  #overtaking = 1
  #isFreed = false
  #held = 0
  readonly #most: number

  /** @param most  upper bound of the window */
  constructor(most: number) {
    this.#most = most
  }

  /** Times of calls that did not wait. */
  get base(): Calls {
    return this.#estimate.base
  }

  begin(call: WindowCall): void {
    this.#open.push(call)
    if (!this.#isFreed || !call.refills || this.#open.length < this.size) return
    this.#isFreed = false
    const { base, least, likely } = this.#estimate
    const isKnown = this.size < MOST_OVER_ORDER * least || base.error < KNOWN
    const mayGrow = this.size < BLIND || (likely > this.size && isKnown)
    this.#held = mayGrow ? 0 : this.#held + 1
    if (mayGrow) this.size = Math.min(this.#most, this.size + GROWTH)
  }

  /** Records the end of a call. @param ms  undefined if its time is not representative @returns the window, once it is final */
  end(call: WindowCall, ms: number | undefined): number | undefined {
    const place = this.#open.indexOf(call)
    this.#open.splice(place, 1)
    if (ms === undefined) return undefined
    this.#isFreed = true
    this.#overtaking = Math.max(this.#overtaking, place + 1)
    const level = Math.floor(Math.log2(call.open))
    while (this.#levels.length <= level) this.#levels.push(new Calls())
    this.#levels[level].add(call.open, ms)
    this.#estimate = this.#judge()
    const { right, isSure } = this.#estimate
    if (!isSure && this.size < this.#most && this.#held < HELD) return undefined
    return Math.max(1, Math.min(this.size, right))
  }

  /**
   * Compares the levels of concurrency from the lowest on, until calls wait. If no call has overtaken another, a window of a few is taken
   * for one.
   */
  #judge(): WindowEstimate {
    const least = this.#overtaking
    const [first = new Calls(), ...higher] = this.#levels
    let base = first
    for (const calls of higher) {
      if (!calls.count) continue
      const longer = base.count ? Math.log(calls.meanMs / base.meanMs) : 0
      if (longer < Math.log(calls.meanOpen / base.meanOpen) / 2) {
        base = base.count ? base.with(calls) : calls
        continue
      }
      const error = errorOf(calls, base)
      const open = calls.meanOpen / Math.exp(longer)
      const isSure = longer > (open < least ? SURER : SURE) * error
      const more = Math.floor(SPARE * open * (1 + error / 2) + 0.25)
      const right = least === 1 && more <= BLIND + 1 ? 1 : more
      const likely = Math.max(open * Math.exp(error), LIKELY * least)
      return { base, least, likely, right: Math.max(least, right), isSure }
    }
    return { base, least, likely: Number.POSITIVE_INFINITY, right: this.size, isSure: false }
  }
}
