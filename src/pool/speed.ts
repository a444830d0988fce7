/**
 * How fast workers are, so that attempts go to those that answer first and a slow one is passed over, but not forgotten. Answer times may
 * vary by a factor of ten by chance: a worker is slow only where it is beyond what chance explains.
 */

import { observe } from '../base/stats'
import { type LastTime, LEAST_MS, Scaling } from './time-by-size'

/** An attempt is kept from workers that fail for this many times what the fastest takes, in case another gets free. */
const FAILURE = 20
/** A worker within this factor of another is as fast as it. */
const ALIKE = 2
/** One within this factor of a typical worker is none the later: queries go round, and no estimate grows old. */
const EQUAL = 1.2
/** Standard deviations of one time, of which half are a change of pace where three times in a row are so far off on one side. */
const CHANGE = 3
/** With fewer answers a worker is as fast as all, unless it is ALIKE times slower: one that came last once would never be asked again. */
const FEW = 3
/** Answers that a worker's mean is taken over. */
const RECENT = 16
/** Answers of all workers over which the variance of one worker's times is averaged. */
const WINDOW = 200

/** The variance before there are answers, and how many differences it counts for: a first answer a third slower than another's proves nothing. */
const UNKNOWN = { variance: 0.05, count: 8 }

/** One worker's recent times, since its pace last changed. */
export class Speed {
  /** What its next answer will take: Infinity for a worker that fails, undefined before the first outcome. Written by `Speeds`. */
  ms: number | undefined
  /** That over what workers take typically, to rank those by that are listed at different times: 0 for a new one. */
  slowness = 0
  /** Logarithms of its last times, the newest at the end. */
  readonly logs: number[] = []
  /** Their mean, but for the largest. */
  mean = Number.NaN
  /** Written by `Scaling`. */
  readonly last: LastTime = { size: 0, ms: 0 }
  /** Which of its last three outcomes were failures: bits, the newest the lowest. */
  #failures = 0

  /** Attempts that the worker took at once when it was counted last. */
  slots = 1

  /**
   * @param log   of its time; undefined: it failed
   * @param pace  its pace has changed if its last three times are all further off than this on one side: others are forgotten
   * @returns whether most of its last outcomes were failures: failing fast is not being fast. One alone is none
   */
  add(log: number | undefined, pace: number): boolean {
    const { logs } = this
    const bits = ((this.#failures << 1) | Number(log === undefined)) & 7
    this.#failures = bits
    if (log !== undefined) logs.push(log)
    if (logs.length > RECENT) logs.shift()
    const usual = typical(logs)
    this.mean = usual
    if (log !== undefined && logs.length > 3 && Math.abs(log - usual) > pace && hasChanged(logs, usual, pace)) {
      logs.splice(0, logs.length - 3)
      this.mean = typical(logs)
    }
    return !logs.length || (bits & 1) + ((bits >> 1) & 1) + (bits >> 2) > 1
  }
}

/** Whether the last three are all further off than a pace on one side. Apart: what closures read is allocated at each call of the function that has them. */
function hasChanged(logs: readonly number[], usual: number, pace: number): boolean {
  const last = logs.slice(-3)
  return last.every((log) => log - usual > pace) || last.every((log) => usual - log > pace)
}

/** Without the largest, where there are more: one slow answer is chance. A plain loop: an iterator allocates each number. */
function typical(logs: readonly number[]): number {
  let sum = 0
  let most = Number.NEGATIVE_INFINITY
  for (let i = 0; i < logs.length; i++) {
    sum += logs[i]
    if (logs[i] > most) most = logs[i]
  }
  return logs.length > 1 ? (sum - most) / (logs.length - 1) : sum
}

/** Bins of times from LEAST_MS on, BINS_AN_OCTAVE for every factor of two: 100 hours are in the last one. */
const BINS = 128
const BINS_AN_OCTAVE = 4

/**
 * What all slots take, counted in bins, so that to rank one costs the same whether there are ten or a thousand. A worker's time is the
 * geometric mean of its own, drawn towards that of all workers by as much as chance explains how far they are apart (the estimate of
 * James and Stein, 1961): in a fleet of equal machines all count as equally fast, however much their times vary.
 */
export class Speeds {
  readonly scaling = new Scaling()
  readonly serviceTimes = new ServiceTimes()
  readonly #slots = new Uint32Array(BINS)
  /** Answers per millisecond of a bin's slots together. */
  readonly #rates = new Float64Array(BINS)
  /** Of the workers that answer: how many there are, the sums of their mean logarithms, of its square, and of one over their answers. */
  readonly #sums = { workers: 0, log: 0, square: 0, inverse: 0 }
  /** What an answer of theirs takes, and one of a new worker will; Infinity where nobody knows. Written by `#sum`. */
  typicalMs = Number.POSITIVE_INFINITY
  /** Of the logarithm of one worker's times, by the differences of two in a row; and how many these were. */
  readonly #within = { ...UNKNOWN }

  /** Counts a worker's answer by its time, or its failure: Infinity. @param slots  attempts that it takes at once */
  add(speed: Speed, ms: number, slots = 1): void {
    this.forget(speed)
    speed.slots = slots
    const log = Number.isFinite(ms) ? Math.log(Math.max(ms, LEAST_MS)) : undefined
    const within = this.#within
    const before = speed.logs.at(-1)
    if (log !== undefined && before !== undefined) {
      within.count = Math.min(WINDOW, within.count + 1)
      within.variance += ((log - before) ** 2 / 2 - within.variance) / within.count
    }
    const isFailing = speed.add(log, Math.max(Math.log(ALIKE), CHANGE * Math.sqrt(within.variance)) / 2)
    if (!isFailing) this.#sum(speed, 1)
    speed.slowness = isFailing ? Number.POSITIVE_INFINITY : this.#slowness(speed)
    speed.ms = speed.slowness * this.typicalMs
    if (log !== undefined) this.serviceTimes.see(speed.slowness < Infinity ? log - Math.log(speed.slowness) : log)
    this.#bin(speed, 1)
  }

  #slowness({ logs, mean: own }: Speed): number {
    const { workers, log, square, inverse } = this.#sums
    const all = log / workers
    const between = workers > 1 ? (square - workers * all * all) / (workers - 1) : 0
    const { variance } = this.#within
    const byChance = ((variance * inverse) / workers) * (1 + 2 * Math.sqrt(2 / Math.max(1, workers - 1))) // 2 standard errors above it
    const apart = Math.max(0, between - byChance)
    const chance = variance / logs.length
    const slower = (apart + chance > 0 ? apart / (apart + chance) : 1) * (own - all)
    return Math.abs(slower) < Math.log(logs.length < FEW ? ALIKE : EQUAL) ? 1 : Math.exp(slower)
  }

  /** A worker has left. */
  forget(speed: Speed): void {
    if (!Number.isFinite(speed.ms)) return
    this.#sum(speed, -1)
    this.#bin(speed, -1)
  }

  /**
   * How many attempts have to be queued before a worker of this speed is of use: the F faster slots together answer R attempts per
   * millisecond, so that one with q others before it gets an answer from one of them in (q + 1 + F) / R. Where as many slots are at work on
   * average as there are faster ones, these alone are not enough: that others have waited for so long counts as well.
   */
  passOverThreshold({ ms = 0 }: Speed, atWork = 0, waitedMs = 0): number {
    let [faster, rate] = [0, 0]
    for (let bin = binOf(ms / ALIKE) - 1; bin >= 0; bin--) {
      faster += this.#slots[bin]
      rate += this.#rates[bin]
    }
    const leftMs = atWork < faster ? ms : ms - waitedMs
    return faster ? Math.max(0, Math.ceil(leftMs * rate - faster - 1)) : 0
  }

  /** As they are listed: by their times, of which some were taken when others seemed typical, it may be the other way round, and each would wait for the other. */
  isFaster({ slowness: one }: Speed, { slowness: other }: Speed): boolean {
    return (one || 1) < (other || 1) / ALIKE
  }

  /** How long an attempt waits for faster workers at most, whatever was expected of them, while one of this speed is idle. */
  passOverMs({ ms = 0 }: Speed): number {
    if (Number.isFinite(ms)) return ms
    const fastest = this.#slots.findIndex((count) => count > 0)
    return FAILURE * (fastest < 0 ? 1 : this.#slots[fastest] / this.#rates[fastest])
  }

  #sum({ logs, mean }: Speed, sign: 1 | -1): void {
    const sums = this.#sums
    sums.workers += sign
    sums.log += sign * mean
    sums.square += sign * mean * mean
    sums.inverse += sign / logs.length
    this.typicalMs = sums.workers ? Math.exp(sums.log / sums.workers) : Number.POSITIVE_INFINITY
  }

  #bin({ ms = 0, slots }: Speed, sign: 1 | -1): void {
    if (!Number.isFinite(ms)) return
    const bin = binOf(ms)
    this.#slots[bin] += sign * slots
    this.#rates[bin] += (sign * slots) / Math.max(ms, LEAST_MS)
  }
}

function binOf(ms: number): number {
  const bin = Math.floor(BINS_AN_OCTAVE * Math.log2(Math.max(ms, LEAST_MS) / LEAST_MS))
  return Math.min(BINS - 1, bin)
}

/** Attempts that `Pace` averages over; with fewer than these nothing is known. */
const AVERAGED = 100
const ENOUGH = 20
/** The same for what is told of the time until what waits is done: a slow spell that is over is over for those who come back. */
const LATELY = 5
/** Times do not differ by less than this, in logarithms: they are not known better. */
const LEAST_DEVIATION = 0.03

/** How long attempts keep a slot busy, and how much what they take differs: what tells whether one that waits can be answered in time. */
export class ServiceTimes {
  readonly #busy = { count: 0, ms: 0 }
  /** Milliseconds that an attempt keeps a slot busy; undefined while nobody knows. Written here alone. */
  meanMs: number | undefined
  /** The same of the last ones. */
  latelyMs = 0
  /** How many go in one run. */
  rows = 1
  /** Logarithms of what attempts of typical size take at workers of typical speed. */
  readonly #logs = { count: 0, mean: 0, variance: 0 }

  /** Attempts kept a slot busy for so long, each. */
  add(ms: number, count: number): void {
    const busy = this.#busy
    busy.count = Math.max(count, Math.min(AVERAGED, busy.count + count))
    busy.ms += (count / busy.count) * (ms - busy.ms)
    if (busy.count >= ENOUGH) this.meanMs = busy.ms
    this.latelyMs += (count / Math.max(count, Math.min(busy.count, LATELY))) * (ms - this.latelyMs)
    this.rows += (count / busy.count) * (count - this.rows)
  }

  /** @param log  of the milliseconds that one took */
  see(log: number): void {
    observe(this.#logs, log, AVERAGED)
  }

  /** Share of attempts that are answered within `ms`, were their times lognormal. */
  chance(ms: number): number {
    const { count, mean, variance } = this.#logs
    if (count < ENOUGH) return 1
    if (ms <= 0) return 0
    const z = (Math.log(ms) - mean) / Math.max(LEAST_DEVIATION, Math.sqrt(variance))
    return 1 / (1 + Math.exp(-z * (1.5976 + 0.07056 * z * z))) // the normal distribution, within .0002 (Bowling and others, 2009)
  }
}
