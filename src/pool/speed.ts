/** How fast workers are, so that attempts go to those that answer first and a slow one is passed over, but not forgotten. */

/** An attempt is kept from workers that fail for this many times what the fastest takes, in case another gets free. */
const FAILURE = 20
/** A worker within this factor of another is as fast as it: their times differ by chance. */
export const ALIKE = 2

/** Clocks tick, some of them in steps of .1 ms: nothing counts as faster than this. */
const LEAST_MS = 0.1

/**
 * One worker's recent times: the median of its last three. One that was slow once (2 % of calls may be) is not a slow worker;
 * of two the faster counts.
 */
export class Speed {
  #last: number | undefined
  #second = Number.NaN
  #third = Number.NaN
  #ms: number | undefined

  /** @param slots  attempts that the worker takes at once */
  constructor(readonly slots = 1) {}

  /** What its next answer will take: Infinity for a worker that fails, undefined before the first outcome. */
  get ms(): number | undefined {
    return this.#ms
  }

  /** @param ms  Infinity for a failure: failing fast is not being fast */
  add(ms: number): void {
    this.#third = this.#second
    this.#second = this.#last ?? Number.NaN
    this.#last = ms
    this.#ms = median(this.#last, this.#second, this.#third)
  }
}

/** Of those that are numbers. */
function median(a: number, b: number, c: number): number {
  if (Number.isNaN(b)) return a
  if (Number.isNaN(c)) return Math.min(a, b)
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c))
}

/** Bins of times from LEAST_MS on, BINS_AN_OCTAVE for every factor of two: 100 hours are in the last one. */
const BINS = 128
const BINS_AN_OCTAVE = 4

/** What all slots take, counted in bins, so that to rank one costs the same whether there are ten or a thousand. */
export class Speeds {
  readonly #slots = new Uint32Array(BINS)
  /** Answers per millisecond of a bin's slots together. */
  readonly #rates = new Float64Array(BINS)
  readonly #useAll: boolean

  /** @param useAll  slow workers are not passed over */
  constructor(useAll = false) {
    this.#useAll = useAll
  }

  /** Counts a worker's answer by its time, or its failure: Infinity. */
  add(speed: Speed, ms: number): void {
    this.#count(speed, -1)
    speed.add(ms)
    this.#count(speed, 1)
  }

  /** A worker has left. */
  forget(speed: Speed): void {
    this.#count(speed, -1)
  }

  /**
   * How many attempts have to be queued before a worker of this speed is of use: the F faster slots together answer R attempts per
   * millisecond, so that one with q others before it gets an answer from one of them in (q + 1 + F) / R.
   */
  patience({ ms = 0 }: Speed): number {
    if (this.#useAll) return 0
    let [faster, rate] = [0, 0]
    for (let bin = binOf(ms / ALIKE) - 1; bin >= 0; bin--) {
      faster += this.#slots[bin]
      rate += this.#rates[bin]
    }
    return faster ? Math.max(0, Math.ceil(ms * rate - faster - 1)) : 0
  }

  /** How long an attempt waits for faster workers at most, whatever was expected of them, while one of this speed is idle. */
  patienceMs({ ms = 0 }: Speed): number {
    if (Number.isFinite(ms)) return ms
    const fastest = this.#slots.findIndex((count) => count > 0)
    return FAILURE * (fastest < 0 ? 1 : this.#slots[fastest] / this.#rates[fastest])
  }

  #count({ ms, slots }: Speed, sign: 1 | -1): void {
    if (ms === undefined || !Number.isFinite(ms)) return
    const bin = binOf(ms)
    this.#slots[bin] += sign * slots
    this.#rates[bin] += (sign * slots) / Math.max(ms, LEAST_MS)
  }
}

function binOf(ms: number): number {
  const bin = Math.floor(BINS_AN_OCTAVE * Math.log2(Math.max(ms, LEAST_MS) / LEAST_MS))
  return Math.min(BINS - 1, bin)
}
