/**
 * Measures how many concurrent calls a server can run, if the option `concurrency` is not given. While the server runs all open calls at
 * once, or they are still in the network, each takes as long as a call alone. With more, calls wait, and the time grows in proportion to
 * their number. So the right window is the number of open calls, times the time of a call alone, over the time with that many (Little's
 * law; TCP Vegas and Netflix's gradient limiter compare round trips likewise). Means are compared with their standard errors, since times
 * may vary by a factor of ten.
 */

import { Calls, errorOf, MOST_CALLS, SPARE } from './call-times'
import { SlowStart } from './slow-start'

/**
 * Standard errors that are added to a window's estimate. Without them 0.84 of the queries were answered where times have a coefficient of
 * variation of 1.
 */
const DOUBT = 3
/** Standard errors for concluding that calls wait, and that they do not. */
const SURE = 3
const HASTY = 1
/** Standard errors of a logarithm that suffice to begin a trial, and to end it. */
const KNOWN = 0.2
const GOOD = 0.06
/**
 * Numbers of calls: FEW are compared at least; ENOUGH are measured at a window of one before a trial may confirm it (with 6 an eighth of
 * the servers of 16 slots stayed at one); a trial of a window of two ends after MOST_OF_TWO.
 */
const FEW = 6
const ENOUGH = 16
const MOST_OF_TWO = 64
/** A window of two pays if the mean number of calls that do not wait is above this. */
const PAYS = 1.05
/** Factor of a trial with a smaller window, which measures calls that do not wait. */
const NARROW = 0.7
/** Calls of the smaller window wait as well if the larger window's calls take longer by this share of the difference in size, in logarithms. */
const MOSTLY = 0.75
/**
 * Factor of a trial with a larger window: while the window grows, and later. With a factor of two later p99 was 1.5 times as long in some
 * cases.
 */
const TWICE = 2
const WIDER = 1.4
/** Relative error of a window, as a logarithm, that is ignored. */
const OFF = 0.15
/**
 * Pauses between trials, in multiples of the last trial's calls: from `first`, doubled after each trial that changes nothing, up to
 * `last`. A window of one has pauses of its own.
 */
const GAP = { first: 16, last: 256 }
const GAP_OF_ONE = { first: 128, last: 512 }
/** A call that begins within this share of a call's time after another call's end had waited for that. */
const SOON = 0.05
/** Most calls until a trial is repeated that no waiting query has used. */
const MOST_VAIN = 30
/** The window is reduced if a block of BLOCK calls takes at least SLOWER times as long as before, with CERTAIN standard errors. */
const BLOCK = 32
const CERTAIN = 4
const SLOWER = 1.5

export interface WindowCall {
  readonly since: number
  /** Open calls when it began, itself included. */
  readonly open: number
  /** True: it waited for another call's end, so that the server's load is unchanged. */
  readonly refills: boolean
  /** True: it has as many queries as the call before, so that their times are comparable. */
  readonly alike: boolean
}

export class MeasuredWindow {
  #size = 1
  /** Active until the window is first known. */
  #start: SlowStart | undefined
  /** Times of calls that do not wait; of calls at the current size; of the last block of these */
  #base = new Calls()
  #own = this.#base
  #block = new Calls()
  #trial: { readonly size: number; readonly calls: Calls } | undefined
  /** Factor by which the next trial changes the window */
  #next = TWICE
  readonly #gap = { times: 1, left: 0 }
  /**
   * State of the demand. `refills` counts calls in a row that had waited for another's end: more than the window show that queries wait.
   * `vain` counts trials in a row without waiting queries.
   */
  readonly #demand = { open: 0, freedAt: Number.NEGATIVE_INFINITY, refills: 0, isFull: false, vain: 0, queries: 1 }

  /** @param most  upper bound of the window */
  constructor(readonly most: number) {
    this.#start = new SlowStart(most)
  }

  get limit(): number {
    if (this.#start) return this.#start.size
    return this.#trial && this.#demand.isFull ? this.#trial.size : this.#size
  }

  /** @param queries  number of queries in this call */
  begin(now: number, queries = 1): WindowCall {
    const demand = this.#demand
    const refills = this.#isSoon(now)
    demand.open++
    if (refills || demand.open > this.#size) demand.refills++
    else {
      demand.refills = Math.min(demand.refills, 0)
      demand.isFull = false
    }
    const alike = queries === demand.queries
    demand.queries = queries
    const call = { since: now, open: demand.open, refills, alike }
    this.#start?.begin(call)
    return call
  }

  /** @param answered  whether the call's time is representative */
  end(call: WindowCall, now: number, answered: boolean): void {
    const { since, open, refills, alike } = call
    const trial = this.#trial
    const isUp = trial !== undefined && trial.size > this.#size
    this.#ended(isUp, now)
    const ms = now - since
    if (this.#start) return this.#learn(this.#start, call, answered && alike ? ms : undefined)
    if (!answered || !alike) return
    if (trial && (isUp ? refills && open > this.#size : open <= trial.size && open > NARROW * trial.size)) {
      trial.calls.add(open, ms)
      if (isUp) this.#judgeMore(trial.calls, trial.size)
      else this.#judgeFewer(trial.calls, trial.size)
    } else if (open <= this.#size && open > 0.75 * this.#size) this.#addOwn(open, ms)
  }

  #learn(start: SlowStart, call: WindowCall, ms: number | undefined): void {
    const found = start.end(call, ms)
    this.#base = start.base
    if (found !== undefined) this.#started(found)
  }

  /** Ends the slow start @param found  the window that it has found */
  #started(found: number): void {
    this.#start = undefined
    this.#size = found
    this.#own = found === 1 ? this.#base : new Calls()
    if (found > 1) return this.#go(NARROW) // first measure calls that do not wait
    this.#next = TWICE
    this.#gap.left = Math.max(0, ENOUGH - this.#base.count)
  }

  /** Whether another call has only just ended. */
  #isSoon(now: number): boolean {
    return now - this.#demand.freedAt <= SOON * (this.#base.meanMs || 1)
  }

  /** @param isUp  a larger window is being tried */
  #ended(isUp: boolean, now: number): void {
    const demand = this.#demand
    if (demand.isFull && isUp && !this.#isSoon(now)) {
      demand.vain = demand.open > this.#size ? 0 : Math.min(MOST_VAIN, 2 * demand.vain + 1)
      if (demand.vain) demand.refills = -demand.vain
    }
    demand.isFull = demand.refills > this.#size
    demand.open--
    demand.freedAt = now
  }

  /**
   * The server refused a call, which ends a trial of a larger window: it does not show how many calls the server can run, since other
   * clients may have filled its queue.
   */
  refused(): void {
    if (this.#start) {
      this.#started(Math.max(1, Math.min(this.#start.size, this.#demand.open)))
      return this.#rest(MOST_CALLS)
    }
    if (!this.#trial) return
    this.#trial = undefined
    this.#next = NARROW
    this.#rest(MOST_CALLS)
  }

  #addOwn(open: number, ms: number): void {
    this.#own.add(open, ms)
    this.#block.add(open, ms)
    this.#gap.left--
    if (this.#trial) return
    if (this.#block.count >= Math.max(BLOCK, 2 * this.#size)) this.#check()
    const few = this.#next === NARROW ? ENOUGH : FEW
    if (this.#gap.left <= 0 && this.#own.count >= few && this.#own.error < KNOWN) this.#begin()
  }

  #check(): void {
    const block = this.#block
    this.#block = new Calls()
    const slower = Math.log(block.meanMs / this.#own.meanMs)
    if (this.#size === 1 || slower < Math.log(SLOWER) + CERTAIN * errorOf(block, this.#own)) return
    this.#use(Math.max(1, Math.round(this.#size * Math.exp(-slower))))
    this.#go(NARROW)
    this.#gap.times = GAP.first
  }

  /** Makes the next trial due. */
  #go(next: number): void {
    this.#next = next
    this.#gap.left = 0
  }

  #begin(): void {
    const isUp = this.#next > 1 || this.#size === 1
    const more = Math.min(this.most, Math.max(this.#size + 1, Math.round(this.#size * this.#next)))
    const size = isUp ? more : Math.round(NARROW * this.#size)
    if (size !== this.#size) this.#trial = { size, calls: new Calls() }
    else this.#rest(MOST_CALLS)
  }

  #judgeMore(calls: Calls, size: number): void {
    // While the window grows, one answer of each additional call suffices, so that it nearly doubles with each round trip.
    if (calls.count < Math.max(FEW, this.#next === TWICE ? size - this.#size : calls.meanOpen)) return
    const longer = Math.log(calls.meanMs / this.#base.meanMs)
    const error = errorOf(calls, this.#base)
    const open = calls.meanOpen
    const off = longer - Math.log(open / this.#size) / 2
    const isFree = off < 0
    const atWork = open / Math.exp(longer)
    const isSureNot = size === 2 ? atWork * (1 + 2 * error) < PAYS || atWork * (1 - 2 * error) > PAYS : error < GOOD
    const isSure = isFree ? off < -(size === 2 ? 2 : HASTY) * error : off > SURE * error && isSureNot
    if (!isSure && calls.count < (size === 2 ? MOST_OF_TWO : MOST_CALLS)) return
    this.#trial = undefined
    if (isFree) {
      if (longer < error) this.#base = this.#base.with(calls)
      this.#use(Math.min(this.most, Math.round(open)), calls)
      this.#go(TWICE)
      this.#gap.times = GAP.first
      return this.#begin()
    }
    this.#next = NARROW
    this.#settle(this.#sizeFor(atWork, error, size), error, calls.count)
    if (this.#size === 1 && this.#base.count < ENOUGH) this.#gap.left = ENOUGH - this.#base.count
    else if (this.#base.error > GOOD) this.#gap.left = this.#size > 1 ? 0 : MOST_CALLS / 2 // first measure calls that do not wait
  }

  #judgeFewer(calls: Calls, size: number): void {
    if (calls.count < Math.max(FEW, size)) return
    const error = errorOf(calls, this.#own)
    if (error > GOOD && calls.count < MOST_CALLS) return
    this.#trial = undefined
    this.#base = calls
    const longer = Math.log(this.#own.meanMs / calls.meanMs)
    const right = this.#sizeFor(this.#own.meanOpen / Math.exp(longer), error, this.most)
    const wait = longer - error > MOSTLY * Math.log(this.#size / size)
    const isRight = right > this.#size * Math.exp(-OFF) && !wait
    if (!isRight) this.#use(wait ? size : Math.max(size, right))
    this.#go(isRight ? WIDER : NARROW)
  }

  /** The window for a server that runs `atWork` calls at once, those in the network included. */
  #sizeFor(atWork: number, error: number, most: number): number {
    const size = Math.min(most, Math.floor(SPARE * atWork * (1 + DOUBT * error) + 0.25))
    if (size > 2) return size
    return atWork * (1 - 2 * error) > PAYS ? 2 : 1
  }

  #settle(right: number, error: number, tried: number): void {
    const size = Math.min(this.most, Math.max(1, right))
    if (Math.abs(Math.log(size / this.#size)) > OFF + error) this.#use(size)
    this.#rest(tried)
  }

  #rest(tried: number): void {
    const gap = this.#gap
    const { first, last } = this.#size === 1 ? GAP_OF_ONE : GAP
    gap.times = Math.min(last, Math.max(first, gap.times))
    gap.left = tried * gap.times
    gap.times *= 2
  }

  #use(size: number, own = new Calls()): void {
    if (size === this.#size) return
    this.#size = size
    this.#own = size === 1 ? this.#base : own
    this.#block = new Calls()
  }
}
