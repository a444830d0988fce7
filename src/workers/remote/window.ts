/**
 * How many calls a server is given at once where nobody says it. A call that begins as the n-th under way takes as long as one alone while
 * the server is at work on all of them or they are on their way, and n / w times as long where that is w of them, the others waiting: so
 * w is n times what a call takes alone over what it takes then (Little's law; TCP Vegas and Netflix's gradient compare round trips to the
 * same end). Means of calls are compared, and count for as much as chance does not explain: times may vary by a factor of ten.
 */

import { Calls, errorOf, MOST_CALLS, SPARE } from './call-times'
import { SlowStart } from './slow-start'

/** Standard errors that a window may be more than that: without them .84 of the queries were answered where times have a deviation of 1. */
const DOUBT = 3
/** Standard errors that make it sure that calls wait, and that they do not. */
const SURE = 3
const HASTY = 1
/** Standard error of a logarithm that is small enough, to begin a trial, and to end one. */
const KNOWN = 0.2
const GOOD = 0.06
/** Calls that are compared at least; alone, before a trial that says one at once is believed (with 6 an eighth of servers of 16 slots stayed at one); in a trial of two at once at most. */
const FEW = 6
const ENOUGH = 16
const MOST_OF_TWO = 64
/** A window of two pays where this many calls on average are at work or on their way. */
const PAYS = 1.05
/** Of the window, what tells how long calls take that do not wait. */
const NARROW = 0.7
/** Calls of that window wait as well where those of the larger one take longer by so much of what they then would. */
const MOSTLY = 0.75
/** How many more are tried while the window grows, and later: with twice as many there p99 was 1.5 in some cells. */
const TWICE = 2
const WIDER = 1.4
/** A window that is off by less (in logarithm) is right. */
const OFF = 0.15
/** Calls between trials over those of the last one, doubled each time that nothing has changed: least, most, and these for one at once. */
const GAP = { first: 16, last: 256 }
const GAP_OF_ONE = { first: 128, last: 512 }
/** A call begins soon after another has ended, for which it has waited, within this share of what a call takes. */
const SOON = 0.05
/** Calls after which a trial for which no query waited is tried again, at most. */
const MOST_VAIN = 30
/** Where a block of calls surely took SLOWER times as long as before there are fewer at once. */
const BLOCK = 32
const CERTAIN = 4
const SLOWER = 1.5

export interface WindowCall {
  readonly since: number
  /** Calls under way when it began, itself included. */
  readonly open: number
  /** Another had just ended: it had waited for that, and the server has no more to do than before. */
  readonly refills: boolean
  /** It has as many queries as the one before: other calls take another time. */
  readonly alike: boolean
}

export class MeasuredWindow {
  #size = 1
  /** While little is known yet. */
  #start: SlowStart | undefined
  /** Times of calls that do not wait; of the calls in this window; of the last ones among them. */
  #base = new Calls()
  #own = this.#base
  #block = new Calls()
  #trial: { readonly size: number; readonly calls: Calls } | undefined
  /** What is tried next over what is in use. */
  #next = TWICE
  readonly #gap = { times: 1, left: 0 }
  /** Calls in a row that began when another had ended: more than the window say that queries wait. And trials in a row during which none waited. */
  readonly #demand = { open: 0, freedAt: Number.NEGATIVE_INFINITY, refills: 0, isFull: false, vain: 0, queries: 1 }

  /** @param most  calls at once, however many would pay */
  constructor(readonly most: number) {
    this.#start = new SlowStart(most)
  }

  get limit(): number {
    if (this.#start) return this.#start.size
    return this.#trial && this.#demand.isFull ? this.#trial.size : this.#size
  }

  /** @param queries  in this call */
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

  /** @param answered  it tells what calls take */
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

  /** @param found  calls at once that seem to be right */
  #started(found: number): void {
    this.#start = undefined
    this.#size = found
    this.#own = found === 1 ? this.#base : new Calls()
    if (found > 1) return this.#go(NARROW) // what calls take that do not wait is learned first
    this.#next = TWICE
    this.#gap.left = Math.max(0, ENOUGH - this.#base.count)
  }

  /** Whether another call has only just ended. */
  #isSoon(now: number): boolean {
    return now - this.#demand.freedAt <= SOON * (this.#base.meanMs || 1)
  }

  /** @param isUp  more calls may be under way than the window has, and would be if queries waited */
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

  /** The server refused a call: a trial of more calls is over. That it refuses what it had room for before says nothing of how many it can run. */
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

  /** The next trial is due. */
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
    // While it grows each of those that are more is heard once, so that it nearly doubles with each round trip.
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
    else if (this.#base.error > GOOD) this.#gap.left = this.#size > 1 ? 0 : MOST_CALLS / 2 // first learn what a call takes that does not wait
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

  /** The window for `atWork` calls at work or on their way. */
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
