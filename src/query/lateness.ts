/**
 * When to give a recovery and when to ask another worker: at the age of an attempt at which the expected gain, less a price, is greatest.
 * A fixed percentile fails on both sides: where more calls are stragglers it lies among them, where fewer are it asks in vain.
 */

import { SlidingQuantile } from '../stats'

/** Times that are kept; those that tell; and how many come between two looks at them. */
const WINDOW = 500
const ENOUGH = 50
const EVERY = 25
/** With so few, three medians are late; with fewer nothing is. */
const FEW = 10
const FEW_MEDIANS = 3
/**
 * What was not seen may come: so many times of so many medians are added. Without them five workers of which one is slow at a time have a
 * p99.9 of 46 ms instead of 23.
 */
const UNSEEN = { count: 2, medians: 10 }
/** Share of attempts that may be older: more are no tail. And share that may be answered while a second worker is at it, in vain. */
const MOST = { older: 0.15, inVain: 0.05 }
/** Beyond the age itself: an answer that takes as long as another took is not to come at the same moment as what is done for want of it. */
const PAST = 1.02
/** Nothing is late by less than this: a timer comes a millisecond early or late, and an answer may wait for this thread as long. */
const TIMER_MS = 2
/** Price of a recovery in medians: it takes a lookup, and is an approximation. 3 to 20 differ little, 2 gives a tenth more of them. */
const RECOVERY = 3
/** Price of a second inference, over the share of free machines to the power: spare ones are cheap, queued ones are not. */
const INFERENCE = { price: 0.3, least: 0.01, power: 1.5 }

/** Ages of an attempt, in ms at work. */
export interface Ages {
  /** From which a recovery may be given. */
  readonly giveMs: number
  /** From which another worker is asked. */
  readonly hedgeMs: number
}

export class Lateness {
  readonly #times = new SlidingQuantile(WINDOW)
  readonly #utilisation: () => number
  #ages: Ages | undefined
  /** Told when it is known anew what is late. */
  known = () => {}

  /** @param utilisation  share of the workers at work on what cannot be done without */
  constructor(utilisation: () => number) {
    this.#utilisation = utilisation
  }

  /**
   * Takes how long a query's first attempt was at work, when its answer comes, also long after another one was given: times at which callers
   * were served would censor themselves, and more and more would be late.
   */
  see(ms: number): void {
    this.#times.add(ms)
    const { count } = this.#times
    if (count < FEW || (count > ENOUGH && count % EVERY)) return
    this.#ages = count < ENOUGH ? this.#first() : bestAges(this.#times.sorted, this.#utilisation())
    this.known()
  }

  #first(): Ages {
    const late = FEW_MEDIANS * (this.medianMs as number)
    return { giveMs: late, hedgeMs: late }
  }

  /** undefined before enough were seen. */
  get ages(): Ages | undefined {
    return this.#ages
  }

  get medianMs(): number | undefined {
    return this.#times.count < FEW ? undefined : this.#times.quantile(0.5)
  }
}

/**
 * The ages with the greatest gain. That of another worker, which takes a median, is what it saves of what is expected beyond; its price is
 * proportional to the share of attempts that is asked again, squared: 2 % pay .02 of an inference each, 12 % .12.
 *
 * @param seen  times, ascending
 */
export function bestAges(seen: Float64Array, utilisation: number): Ages {
  const times = withUnseen(seen)
  const n = times.length
  const median = times[(n - 1) >> 1]
  const beyond = sumsFromBehind(times)
  const { price, least, power } = INFERENCE
  const inference = (price / Math.max(least, 1 - utilisation) ** power) * (beyond[0] / n)
  const none = { gain: 0, ms: times[n - 1] }
  let [hedge, give] = [none, none]
  let past = 0 // the first that takes a median longer
  for (let at = Math.max(0, Math.ceil(n * (1 - MOST.older)) - 1); at < n; at++) {
    const ms = times[at]
    const older = (n - 1 - at) / n
    while (past < n && times[past] <= ms + median) past++
    const saved = (beyond[past] - (ms + median) * (n - past)) / n
    const gain = saved - (inference * older ** 2) / 2
    const inVain = (past - 1 - at) / n
    if (inVain <= MOST.inVain && gain > hedge.gain) hedge = { gain, ms }
    const given = (beyond[at + 1] - ms * (n - 1 - at)) / n - (RECOVERY * median * older ** 2) / 2
    if (given > give.gain) give = { gain: given, ms }
  }
  const late = (ms: number) => Math.max(median + TIMER_MS, PAST * ms)
  return { giveMs: late(Math.min(give.ms, hedge.ms)), hedgeMs: late(hedge.ms) }
}

/** The times, and those that may yet come. */
function withUnseen(seen: Float64Array): Float64Array {
  const times = new Float64Array(seen.length + UNSEEN.count)
  const ms = UNSEEN.medians * seen[(seen.length - 1) >> 1]
  let at = 0
  for (; at < seen.length && seen[at] <= ms; at++) times[at] = seen[at]
  times.fill(ms, at, at + UNSEEN.count)
  times.set(seen.subarray(at), at + UNSEEN.count)
  return times
}

/** Of each the sum of it and all behind it; 0 behind the last. */
function sumsFromBehind(times: Float64Array): Float64Array {
  const sums = new Float64Array(times.length + 1)
  for (let at = times.length - 1; at >= 0; at--) sums[at] = sums[at + 1] + times[at]
  return sums
}
