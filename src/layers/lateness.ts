/**
 * When to give a recovery and when to ask another worker: at the age of an attempt at which the expected gain, less a price, is greatest.
 * A fixed percentile fails on both sides: where more calls are stragglers it lies among them, where fewer are it asks in vain.
 */

import { NONE } from '../base/arrays'
import { SlidingQuantile } from '../base/stats'
import type { Attempt, Attempts } from '../pool/attempt'

/** Times that are kept, and those that tell. */
const WINDOW = 500
const ENOUGH = 50
/** How many come between two looks at them: so many, or a share of those that are kept. A twentieth took a tenth of a coordinator's time. */
const EVERY = { least: 25, share: 0.1 }
/** With so few, three medians are late; with fewer nothing is. */
const FEW = 10
const FEW_MEDIANS = 3
/**
 * Times that were never seen may still come: `count` times of `medians` medians are added. Without them five workers, one of them slow at a time, have a
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
/**
 * Price of a second inference. `own`: its own time. `wait`: how much longer others wait for it; up to a share `free` of the attempts that costs
 * nothing, so that hedges go on in bursts: p99.9 of 27 workers at load .9 is .68 of a hedge's by hand, else .79. A price that knew neither how
 * many workers share the load nor how much times vary made the median at load .8 up to 1.54 times a hedge's by hand.
 */
const INFERENCE = { own: 0.4, wait: 25, free: 0.04, mostLoad: 0.98, mostVaried: 8 }

/** Share of the slots at work on what cannot be done without, and how many there are. */
type Load = Pick<Attempts, 'utilisation' | 'slots'>

/** Ages of an attempt, in ms at work. */
export interface Ages {
  /** From which a recovery may be given. */
  readonly giveMs: number
  /** From which another worker is asked. */
  readonly hedgeMs: number
  /** What another worker saves then, in inferences. */
  readonly worth: number
}

export class Lateness {
  readonly #times = new SlidingQuantile(WINDOW)
  /** Of the latest outcomes, ages at which attempts were cut short, and how many outcomes came before. */
  readonly #cut: { readonly ms: number; readonly at: number }[] = []
  #count = 0
  #lookAt = FEW
  readonly #load: () => Load
  /** From when an attempt is late, and how long it usually takes; undefined before enough were seen. Written here alone. */
  ages: Ages | undefined
  medianMs: number | undefined
  /** Told when it is known anew what is late. */
  known = () => {}

  constructor(load: () => Load) {
    this.#load = load
  }

  /**
   * A query's first attempt has an outcome, also long after another one was given: times at which callers were served would censor
   * themselves, and more and more would be late. One that was cancelled, or whose worker hung or went down, would have taken longer.
   */
  tell({ outcome, comparable, ranMs, factor }: Attempt): void {
    const isCut = outcome?.kind === 'cancelled' || (outcome?.kind === 'failed' && outcome.lost !== undefined)
    if (comparable && (outcome?.kind === 'answered' || (isCut && ranMs > 0))) this.see(ranMs / factor, isCut)
  }

  /** @param ms  that an attempt took, at work @param isCut  it would have taken longer */
  see(ms: number, isCut = false): void {
    if (isCut) this.#cut.push({ ms, at: this.#count })
    else this.#times.add(ms)
    if (this.#cut[0]?.at <= this.#count - WINDOW) this.#cut.shift()
    this.#count++
    if (this.#count < this.#lookAt) return
    const { sorted } = this.#times
    this.#lookAt = this.#count + (this.#count < ENOUGH ? 1 : Math.max(EVERY.least, EVERY.share * sorted.length))
    const cut = this.#cut.length ? this.#cut.map(({ ms }) => ms).sort((a, b) => a - b) : NONE
    this.medianMs = medianOf(sorted, cut)
    const late = FEW_MEDIANS * this.medianMs
    const isKnown = this.#count >= ENOUGH
    this.ages = isKnown
      ? bestAges(sorted, this.#load(), cut, this.medianMs)
      : { giveMs: late, hedgeMs: late, worth: Number.POSITIVE_INFINITY }
    this.known()
  }
}

/**
 * The ages with the greatest gain. That of another worker, which takes a median, is what it saves of what is expected beyond; its price grows
 * with the square of the share of attempts that is asked again: a tail pays little, what comes late by chance much.
 *
 * @param seen  times, ascending @param cut  ages of attempts that would have taken longer, ascending @param usual  the median of both
 */
export function bestAges(
  seen: Float64Array,
  load: Load,
  cut: ArrayLike<number> = NONE,
  usual = medianOf(seen, cut),
): Ages {
  const times = withUnseen(seen, UNSEEN.medians * usual, cut)
  const { left, beyond, squares } = lawOf(times, cut)
  const median = medianOf(times, cut, left)
  const [n] = left
  const mean = beyond[0] / n
  const price = priceOf(load, squares / n / mean ** 2)
  const last = times[times.length - 1]
  let hedge = { gain: 0, ms: last, worth: 0 }
  let give = { gain: 0, ms: last }
  let past = 0 // the first that takes a median longer
  let first = 0
  while (left[first + 1] > MOST.older * n) first++
  for (let at = first; at < times.length; at++) {
    const ms = times[at]
    const older = left[at + 1] / n
    while (past < times.length && times[past] <= ms + median) past++
    const saved = (beyond[past] - (ms + median) * left[past]) / n
    const gain = saved - mean * price(older)
    const inVain = (left[at + 1] - left[past]) / n
    if (inVain <= MOST.inVain && gain > hedge.gain) hedge = { gain, ms, worth: saved / older / mean }
    const given = (beyond[at + 1] - ms * left[at + 1]) / n - (RECOVERY * median * older ** 2) / 2
    if (given > give.gain) give = { gain: given, ms }
  }
  const late = (ms: number) => Math.max(median + TIMER_MS, PAST * ms)
  return { giveMs: late(Math.min(give.ms, hedge.ms)), hedgeMs: late(hedge.ms), worth: hedge.worth }
}

/**
 * Price, in inferences an attempt, of a second one for a share of the attempts. The wait is that of a queue for several servers, by its derivative
 * (Sakasegawa, Ann. Inst. Stat. Math. 29, 1977).
 *
 * @param varied  the mean of the squared times, over that of the times squared
 */
function priceOf({ utilisation, slots }: Load, varied: number): (share: number) => number {
  const { own, wait, free, mostLoad, mostVaried } = INFERENCE
  const load = Math.min(mostLoad, utilisation)
  const power = Math.sqrt(2 * (slots + 1)) - 1
  const waits = (Math.min(mostVaried, varied) / 2) * (load ** power / (slots * (1 - load)))
  const more = waits * (power + load / (1 - load)) // where the load grows by a share of itself
  return (share) => (own * share ** 2) / 2 + wait * more * Math.max(0, share - free) ** 2
}

/**
 * How many attempts take as long as each of the times at least, the sum of what these take, and that of the squares of all. One that was cut
 * short counts for all that took longer, each as much (Kaplan and Meier, J. Am. Stat. Assoc. 53, 1958).
 */
function lawOf(times: Float64Array, cut: ArrayLike<number>) {
  const { length } = times
  const [left, beyond] = [new Float64Array(length + 1), new Float64Array(length + 1)]
  let known = length + cut.length
  left[0] = known
  for (let at = 0, before = 0; at < length; at++) {
    for (; before < cut.length && cut[before] <= times[at]; before++) known--
    left[at + 1] = known === left[at] ? known - 1 : left[at] - left[at] / known
    known--
  }
  let squares = 0
  for (let at = length - 1; at >= 0; at--) {
    const taken = (left[at] - left[at + 1]) * times[at]
    beyond[at] = beyond[at + 1] + taken
    squares += taken * times[at]
  }
  return { left, beyond, squares }
}

function medianOf(times: Float64Array, cut: ArrayLike<number>, left?: Float64Array): number {
  if (!cut.length) return times[(times.length - 1) >> 1]
  left ??= lawOf(times, cut).left
  let half = 0
  while (left[half + 1] > left[0] / 2) half++
  return times[half] ?? cut[cut.length - 1]
}

/** The times, and those that may yet come; the longest of all that were cut short stands for itself, where none took longer. */
function withUnseen(seen: Float64Array, unseen: number, cut: ArrayLike<number>): Float64Array {
  const longest = cut[cut.length - 1]
  const isLongest = longest > Math.max(unseen, seen[seen.length - 1] ?? 0)
  const times = new Float64Array(seen.length + UNSEEN.count + Number(isLongest))
  let at = seen.length
  while (at && seen[at - 1] > unseen) at-- // few are longer
  times.set(seen.subarray(0, at))
  times.fill(unseen, at, at + UNSEEN.count)
  times.set(seen.subarray(at), at + UNSEEN.count)
  if (isLongest) times[times.length - 1] = longest
  return times
}
