/** How fast workers are, so that rows go to those that answer first and a slow one is passed over, but not forgotten. */

/** A row is kept from workers that fail for so many times what the fastest takes, in case another gets free. */
const FAILURE = 20
/** Workers that answer within so many times the time of another are as fast as it: their times differ by chance. */
const ALIKE = 2

/** Clocks tick, some of them in steps of .1 ms: nothing counts as faster than this. */
const LEAST_MS = 0.1

/**
 * One worker's recent times: the median of its last three. One that was slow once (2 % of calls may be) is not a slow worker;
 * of two the faster counts.
 */
export class Pace {
  #last: number | undefined
  #second = Number.NaN
  #third = Number.NaN
  #ms: number | undefined

  /** What its next answer will take: Infinity for a worker that fails, undefined before the first outcome. */
  get ms(): number | undefined {
    return this.#ms
  }

  /** @param ms  Infinity for a failure: failing fast is not being fast */
  see(ms: number): void {
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

/** What all workers take, counted in bins, so that to rank one costs the same whether there are ten or a thousand. */
export class Speeds {
  readonly #workers = new Uint32Array(BINS)
  /** Answers per millisecond of a bin's workers together. */
  readonly #rates = new Float64Array(BINS)

  /** Counts a worker's answer, which took so long, or its failure: Infinity. */
  see(pace: Pace, ms: number): void {
    this.#count(pace, -1)
    pace.see(ms)
    this.#count(pace, 1)
  }

  /** A worker has left. */
  forget(pace: Pace): void {
    this.#count(pace, -1)
  }

  /**
   * How many rows have to wait before a worker of this pace is of use: the F faster ones together take R rows per
   * millisecond, so that a row with q others before it gets an answer from one of them in (q + 1 + F) / R.
   */
  patience({ ms = 0 }: Pace): number {
    let [faster, rate] = [0, 0]
    for (let bin = binOf(ms / ALIKE) - 1; bin >= 0; bin--) {
      faster += this.#workers[bin]
      rate += this.#rates[bin]
    }
    return faster ? Math.max(0, Math.ceil(ms * rate - faster - 1)) : 0
  }

  /** How long a row waits for faster workers at most, whatever was expected of them, while one of this pace is idle. */
  patienceMs({ ms = 0 }: Pace): number {
    if (Number.isFinite(ms)) return ms
    const fastest = this.#workers.findIndex((count) => count > 0)
    return FAILURE * (fastest < 0 ? 1 : this.#workers[fastest] / this.#rates[fastest])
  }

  #count({ ms }: Pace, workers: 1 | -1): void {
    if (ms === undefined || !Number.isFinite(ms)) return
    const bin = binOf(ms)
    this.#workers[bin] += workers
    this.#rates[bin] += workers / Math.max(ms, LEAST_MS)
  }
}

function binOf(ms: number): number {
  const bin = Math.floor(BINS_AN_OCTAVE * Math.log2(Math.max(ms, LEAST_MS) / LEAST_MS))
  return Math.min(BINS - 1, bin)
}
