/**
 * The first calls to a server of which nobody said how many it answers at once: two more with each answer that another call had waited for, so that a
 * server that is at work on all of them has three times as many after each round, and one that is at work on one at a time two more with each. It
 * ends where calls surely wait. Two things tell that. Times: as the n-th of n a call takes n times as long where the others go first. Order: servers
 * begin in the order in which calls come, so that one that ends as the r-th oldest has overtaken r - 1, and r were at work. Order needs no times to
 * compare with: where these vary by a factor of ten, two of five servers of 16 slots stayed below four by times alone.
 */

import { Calls, errorOf, SPARE } from './call-times'
import type { WindowCall } from './window'

/** More calls with each answer. */
const GROWTH = 2
/** Calls that may be under way before anything tells that as many are at work; over those that surely are, also where times speak against it; and at most, unless what a call takes is known so well. */
const BLIND = 3
const LIKELY = 3
const MOST_OVER_ORDER = 8
const KNOWN = 0.2
/** Standard errors that make it sure that calls wait; and against their order, since some servers begin with all that come at once. */
const SURE = 3
const SURER = 5
/** Answers in a row with which it would not grow: then the window is what it seems to be. */
const HELD = 400

/** What answers tell so far. */
interface WindowEstimate {
  /** Times of calls that did not wait. */
  readonly base: Calls
  /** Calls at work at once, surely and likely at most. */
  readonly least: number
  readonly likely: number
  /** The window for them, and whether it is sure that calls wait. */
  readonly right: number
  readonly isSure: boolean
}

export class SlowStart {
  size = 1
  #estimate: WindowEstimate = { base: new Calls(), least: 1, likely: Number.POSITIVE_INFINITY, right: 1, isSure: false }
  /** By how many calls were under way: one, two and three, four to seven, .. */
  readonly #levels: Calls[] = []
  /** Under way, the oldest first. */
  readonly #open: WindowCall[] = []
  /** How many were surely at work at once. */
  #overtaking = 1
  #isFreed = false
  #held = 0
  readonly #most: number

  /** @param most  calls at once, however many would pay */
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

  /** @param ms  undefined where it tells nothing  @returns the window, once it is known */
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

  /** By the lowest level whose calls seem to wait. Where no call overtook another a few at work are one. */
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
