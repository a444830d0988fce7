/**
 * How many rows a worker gets in one run of its model. What that gains differs by model and machine (LeNet: 1.4 times as many
 * rows a second, ResNet-8: as many as before), so that it is measured on every worker, where much waits: now and then runs of
 * two sizes take turns, and the larger one is used on if it pays.
 */

import { SlidingQuantile } from '../stats'

/** Runs of each of the two sizes in a trial: the medians are compared. */
const RUNS = 9
/** Times as many rows a millisecond that twice as many in a run must bring, since each waits for all; less ends it again. */
const GAIN = 1.1
const LEAST_GAIN = 1.05
/** Runs between two trials: twice as many each time that nothing changes. */
const PAUSE = 64
const MOST_PAUSE = 1024
/** Clocks tick. */
const LEAST_MS = 0.01
/** What nobody has tried takes as long as row after row. */
const UNTRIED = 2

/** Sizes are powers of two: 2^step. */
export class Batches {
  /** The one in use. */
  #step = 0
  /** How much longer a run of 2^(i + 1) rows takes than one of 2^i. */
  readonly #factors: number[] = []
  /** Times of runs of 2^low rows and of twice as many. */
  #trial: { low: number; times: readonly [SlidingQuantile, SlidingQuantile] } | undefined
  #second = false
  /** Whether the last trial was of a larger size than the one in use. */
  #triedMore = false
  #pause = PAUSE
  /** Runs until the next trial. */
  #left = 0

  /**
   * Rows for the run that begins now, while much waits.
   *
   * @param most  of which it is a power of two at most
   */
  next(most: number): number {
    this.#trial ??= this.#left-- > 0 ? undefined : this.#begin(most)
    if (this.#trial) this.#second = !this.#second
    const step = this.#trial ? this.#trial.low + Number(this.#second) : this.#step
    return 2 ** Math.min(step, Math.floor(Math.log2(most)))
  }

  /** Rows in a run that have turned out to pay. */
  get size(): number {
    return 2 ** this.#step
  }

  /** How many times as long as one row such a run takes, as far as is known. */
  factor(rows: number): number {
    let factor = 1
    for (let step = 0; 2 ** step < rows; step++) factor *= this.#factors[step] ?? UNTRIED
    return factor
  }

  /** Whether it was measured. */
  knows(rows: number): boolean {
    for (let step = 0; 2 ** step < rows; step++) if (this.#factors[step] === undefined) return false
    return true
  }

  /** A run of so many rows took so long. */
  see(rows: number, ms: number): void {
    if (!this.#trial) return
    const { low, times } = this.#trial
    const which = Math.log2(rows) - low
    if (which !== 0 && which !== 1) return
    times[which].add(ms)
    if (times[0].count < RUNS || times[1].count < RUNS) return
    this.#trial = undefined
    const [one, two] = times.map((each) => Math.max(LEAST_MS, each.quantile(0.5)))
    this.#learn(low, two / one)
  }

  /** A run of so many rows came to nothing. They may be too many, as for the worker's memory, so that fewer are given for a while. */
  fail(rows: number): void {
    this.#trial = undefined
    this.#step = Math.min(this.#step, Math.log2(rows) - 1)
    this.#pauseLonger()
  }

  #begin(most: number) {
    const more = 2 ** (this.#step + 1) <= most
    if (!more && !this.#step) return undefined
    this.#triedMore = more && !(this.#triedMore && this.#step) // larger and smaller in turn
    return {
      low: this.#triedMore ? this.#step : this.#step - 1,
      times: [new SlidingQuantile(RUNS), new SlidingQuantile(RUNS)] as const,
    }
  }

  /** @param factor  how much longer a run of 2^(low + 1) rows takes than one of 2^low */
  #learn(low: number, factor: number): void {
    this.#factors[low] = Math.max(1, factor)
    const gain = 2 / this.#factors[low]
    const before = this.#step
    if (low === before && gain >= GAIN) this.#step++
    else if (low < before && gain < LEAST_GAIN) this.#step--
    const changed = this.#step !== before
    if (changed) this.#triedMore = this.#step < before // it goes on in the same direction
    if (!changed) return this.#pauseLonger()
    this.#pause = PAUSE
    this.#left = 0
  }

  #pauseLonger(): void {
    this.#pause = Math.min(MOST_PAUSE, 2 * this.#pause)
    this.#left = this.#pause
  }
}
