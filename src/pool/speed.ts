/**
 * How fast workers are: attempts go to the workers that answer first, and slow ones are passed over but not forgotten. Service times may vary by a
 * factor of ten by chance: a worker is slow only if chance does not explain it.
 */

import { observe } from '../base/stats'
import { type LastTime, LEAST_MS, Scaling } from './time-by-size'

/** A worker that fails gets no attempt until it has waited this many times the fastest worker's time for another. */
const FAILURE = 20
/** Workers within this factor of each other count as equally fast. */
const ALIKE = 2
/** Workers within this factor of a typical one get no later turn: queries go round, and no estimate grows old. */
const EQUAL = 1.2
/**
 * In standard deviations, half of which are a change of speed: three times in a row this far off on one side mean that the worker's speed has
 * changed.
 */
const CHANGE = 3
/**
 * With fewer answers a worker counts as fast as all, unless it is ALIKE times slower: a worker whose first answer came last would never be asked
 * again.
 */
const FEW = 3
/** A worker's mean is over this many answers. */
const RECENT = 16
/** The variance of one worker's times is averaged over this many answers of all workers. */
const WINDOW = 200

/**
 * The variance before there are answers, and the number of differences that it counts for: a first answer a third slower than another's proves
 * nothing.
 */
const UNKNOWN = { variance: 0.05, count: 8 }

/** One worker's recent times, since its speed last changed. */
export class Speed {
  /** Its expected time: Infinity for a worker that fails, undefined before the first outcome. Set by `Speeds`. */
  ms: number | undefined
  /** Its expected time relative to a typical worker's, by which workers are ranked; 0 for a new one. */
  slowness = 0
  /** Logarithms of its last times, the newest at the end. */
  readonly logs: number[] = []
  /** Their mean without the largest. */
  mean = Number.NaN
  /** Set by `Scaling`. */
  readonly last: LastTime = { size: 0, ms: 0 }
  /** Which of its last three outcomes were failures: one bit each, the newest the lowest. */
  #failures = 0

  /** Its slots when it was last counted. */
  slots = 1

  /**
   * @param log   logarithm of its time; undefined: it failed
   * @param pace  if its last three times are further off than this on one side, its speed has changed, and older times are forgotten
   * @returns whether most of its last outcomes were failures: a worker that fails fast is not fast. A single one is no failure yet
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

/**
 * Whether the last three times are all further off than `pace` on one side. A separate function: what closures read is allocated at each call of
 * the function around them.
 */
function hasChanged(logs: readonly number[], usual: number, pace: number): boolean {
  const last = logs.slice(-3)
  return last.every((log) => log - usual > pace) || last.every((log) => usual - log > pace)
}

/** The mean, without the largest if there are several: one slow answer is chance. A plain loop, since an iterator allocates each number. */
function typical(logs: readonly number[]): number {
  let sum = 0
  let most = Number.NEGATIVE_INFINITY
  for (let i = 0; i < logs.length; i++) {
    sum += logs[i]
    if (logs[i] > most) most = logs[i]
  }
  return logs.length > 1 ? (sum - most) / (logs.length - 1) : sum
}

/** Bins of times from LEAST_MS on, BINS_AN_OCTAVE for each factor of two: the last one holds 100 hours. */
const BINS = 128
const BINS_AN_OCTAVE = 4

/**
 * The speeds of all slots, counted in bins, so that ranking a worker costs the same for ten workers or a thousand. A worker's time is the geometric
 * mean of its own times, shrunk towards the mean of all workers as far as chance explains their differences (James and Stein, 1961). In a fleet of
 * equal machines all count as equally fast, however much their times vary.
 */
export class Speeds {
  readonly scaling = new Scaling()
  readonly serviceTimes = new ServiceTimes()
  readonly #slots = new Uint32Array(BINS)
  /** Answers per millisecond of all slots in a bin. */
  readonly #rates = new Float64Array(BINS)
  /**
   * Sums over the workers that answer: their number, their mean logarithms, the squares of these, and the reciprocals of their numbers of answers.
   */
  readonly #sums = { workers: 0, log: 0, square: 0, inverse: 0 }
  /** The expected time of a typical worker, and of a new one; Infinity while it is unknown. Set by `#sum`. */
  typicalMs = Number.POSITIVE_INFINITY
  /** The variance of the logarithm of one worker's times, from the differences of successive times; and how many these were. */
  readonly #within = { ...UNKNOWN }

  /** Counts a worker's answer by its time; Infinity: a failure. @param slots  attempts that it takes at once */
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

  forget(speed: Speed): void {
    if (!Number.isFinite(speed.ms)) return
    this.#sum(speed, -1)
    this.#bin(speed, -1)
  }

  /**
   * How many attempts must be queued before a worker of this speed is useful. The F faster slots together answer R attempts per millisecond, so an
   * attempt behind q others gets an answer from one of them after (q + 1 + F) / R. Where on average at least as many slots are busy as are faster,
   * these alone are not enough: then the time that attempts have waited counts as well.
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

  /**
   * By the ranks under which workers are listed. By their times, some of which were measured against another typical time, two workers might each
   * wait for the other.
   */
  isFaster({ slowness: one }: Speed, { slowness: other }: Speed): boolean {
    return (one || 1) < (other || 1) / ALIKE
  }

  /** The longest time that an attempt waits for faster workers while a worker of this speed is idle, whatever was expected. */
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

/** Attempts that `ServiceTimes` averages over; with fewer than ENOUGH nothing is known. */
const AVERAGED = 100
const ENOUGH = 20
/** The same for estimates of when waiting attempts are done: callers who come back should not pay for a slow phase that is over. */
const LATELY = 5
/** The least standard deviation of logarithms of times: they are not known more precisely. */
const LEAST_DEVIATION = 0.03

/** How long attempts keep a slot busy, and how much that varies: shows whether a waiting attempt can be answered in time. */
export class ServiceTimes {
  readonly #busy = { count: 0, ms: 0 }
  /** Milliseconds that an attempt keeps a slot busy; undefined while it is unknown. Set here only. */
  meanMs: number | undefined
  /** The same for the last few attempts. */
  latelyMs = 0
  /** Mean number of queries in one run. */
  rows = 1
  /** Logarithms of the times of attempts of typical size at workers of typical speed. */
  readonly #logs = { count: 0, mean: 0, variance: 0 }

  /** `count` attempts kept a slot busy for `ms` each. */
  add(ms: number, count: number): void {
    const busy = this.#busy
    busy.count = Math.max(count, Math.min(AVERAGED, busy.count + count))
    busy.ms += (count / busy.count) * (ms - busy.ms)
    if (busy.count >= ENOUGH) this.meanMs = busy.ms
    this.latelyMs += (count / Math.max(count, Math.min(busy.count, LATELY))) * (ms - this.latelyMs)
    this.rows += (count / busy.count) * (count - this.rows)
  }

  /** @param log  logarithm of an attempt's time */
  see(log: number): void {
    observe(this.#logs, log, AVERAGED)
  }

  /** The share of attempts that are answered within `ms`, if their times are lognormal. */
  chance(ms: number): number {
    const { count, mean, variance } = this.#logs
    if (count < ENOUGH) return 1
    if (ms <= 0) return 0
    const z = (Math.log(ms) - mean) / Math.max(LEAST_DEVIATION, Math.sqrt(variance))
    return 1 / (1 + Math.exp(-z * (1.5976 + 0.07056 * z * z))) // the normal distribution, to .0002 (Bowling and others, 2009)
  }
}
