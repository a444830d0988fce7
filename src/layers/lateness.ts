/**
 * Decides at which age of an attempt a recovery is given, and at which age another worker is asked: where the expected gain less its price
 * is greatest.
 *
 * A fixed percentile fails in both directions: with more stragglers than it allows for, it lies among them; with fewer, it hedges in vain.
 */

import { NONE } from '../base/arrays'
import { SlidingQuantile } from '../base/stats'
import type { Attempt, Attempts } from '../pool/attempt'

/** Service times that are kept, and how many make them reliable. */
const WINDOW = 500
const ENOUGH = 50
/**
 * The ages are recomputed after this many outcomes: `least`, or a share of the times kept. With a share of a twentieth that took a tenth of
 * a coordinator's time.
 */
const EVERY = { least: 25, share: 0.1 }
/** From this many times on, an attempt is late after three medians; with fewer none is late. */
const FEW = 10
const FEW_MEDIANS = 3
/**
 * Longer times than any seen may still come: `count` times of `medians` medians are added to the sample. Without them, five workers of
 * which one is slow at a time have a p99.9 of 46 ms instead of 23.
 */
const UNSEEN = { count: 2, medians: 10 }
/** `older`: largest share of attempts that may be late; a larger share is no tail. `inVain`: largest share that may answer while its hedge runs. */
const MOST = { older: 0.15, inVain: 0.05 }
/** Factor beyond the optimal age, so that an answer which takes exactly as long as an earlier one comes before the hedge. */
const PAST = 1.02
/** Added to the median: timers fire a millisecond early or late, and an answer may wait as long for the thread. */
const TIMER_MS = 2
/**
 * Price of a recovery in medians: it takes a lookup, and is an approximation. With 3 to 20 results differ little; with 2 there are a tenth
 * more recoveries.
 */
const RECOVERY = 3
/**
 * Price of a second inference. `own`: its own time. `wait`: how much longer other queries wait because of it. Up to a share `free` of the
 * attempts, waiting costs nothing, so that hedges go on in bursts: p99.9 of 27 workers at load .9 is .68 of that of a hand-tuned hedge,
 * else .79. A price that ignored the number of workers and the variance of the times made the median at load .8 up to 1.54 times that of a
 * hand-tuned hedge.
 */
const INFERENCE = { own: 0.4, wait: 25, free: 0.04, mostLoad: 0.98, mostVaried: 8 }

/** `utilisation`: share of the slots that run indispensable attempts. `slots`: their number. */
type Load = Pick<Attempts, 'utilisation' | 'slots'>

/** Ages of an attempt in milliseconds since a worker began it. */
export interface Ages {
  /** From this age on a recovery may be given. */
  readonly giveMs: number
  /** From this age on another worker is asked. */
  readonly hedgeMs: number
  /** Inferences that a hedge at that age saves. */
  readonly worth: number
}

export class Lateness {
  readonly #times = new SlidingQuantile(WINDOW)
  /** Ages at which attempts were cut short (censored times), each with the number of outcomes before it. */
  readonly #cut: { readonly ms: number; readonly at: number }[] = []
  #count = 0
  #lookAt = FEW
  readonly #load: () => Load
  /** The ages from which an attempt is late, and the median time; undefined until enough times were seen. */
  ages: Ages | undefined
  medianMs: number | undefined
  /** Called each time the ages were recomputed. */
  known = () => {}

  constructor(load: () => Load) {
    this.#load = load
  }

  /**
   * Adds the time of a query's first attempt, even if another attempt answered long before: answer times of callers alone would leave out
   * stragglers, and more and more attempts would count as late. An attempt that was cancelled, or whose worker hung or went down, is a
   * censored time: it would have taken longer.
   */
  tell({ outcome, comparable, ranMs, factor }: Attempt): void {
    const isCut = outcome?.kind === 'cancelled' || (outcome?.kind === 'failed' && outcome.lost !== undefined)
    if (comparable && (outcome?.kind === 'answered' || (isCut && ranMs > 0))) this.see(ranMs / factor, isCut)
  }

  /** @param ms  since a worker began the attempt @param isCut  whether the attempt was cut short at that age */
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
 * The ages with the greatest gain. A hedge takes a median and saves what an attempt is expected to take beyond that. Its price grows with
 * the square of the share of attempts that are hedged: hedging a thin tail is cheap, hedging much is dear.
 *
 * @param seen  times in ascending order
 * @param cut  censored times in ascending order
 * @param usual  the median of both
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
  let past = 0 // index of the first time that is a median longer
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
 * Price of a second inference for a share of the attempts, in inferences per attempt. The wait is the derivative of the waiting time of a
 * queue with several servers (Sakasegawa, Ann. Inst. Stat. Math. 29, 1977).
 *
 * @param varied  mean of the squared times, divided by the square of the mean time
 */
function priceOf({ utilisation, slots }: Load, varied: number): (share: number) => number {
  const { own, wait, free, mostLoad, mostVaried } = INFERENCE
  const load = Math.min(mostLoad, utilisation)
  const power = Math.sqrt(2 * (slots + 1)) - 1
  const waits = (Math.min(mostVaried, varied) / 2) * (load ** power / (slots * (1 - load)))
  const more = waits * (power + load / (1 - load)) // derivative by the load
  return (share) => (own * share ** 2) / 2 + wait * more * Math.max(0, share - free) ** 2
}

/**
 * Survival function of the times with censoring (Kaplan and Meier, J. Am. Stat. Assoc. 53, 1958). `left`: attempts that take at least as
 * long as each time; `beyond`: the sum of their times; `squares`: the sum of all squared times.
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

/** Adds the unseen times, and the longest censored time if no attempt took longer. */
function withUnseen(seen: Float64Array, unseen: number, cut: ArrayLike<number>): Float64Array {
  const longest = cut[cut.length - 1]
  const isLongest = longest > Math.max(unseen, seen[seen.length - 1] ?? 0)
  const times = new Float64Array(seen.length + UNSEEN.count + Number(isLongest))
  let at = seen.length
  while (at && seen[at - 1] > unseen) at-- // few times are longer than `unseen`
  times.set(seen.subarray(0, at))
  times.fill(unseen, at, at + UNSEEN.count)
  times.set(seen.subarray(at), at + UNSEEN.count)
  if (isLongest) times[times.length - 1] = longest
  return times
}
