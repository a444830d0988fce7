/**
 * How many queries a worker gets in one run of its model. The gain differs by model and machine (LeNet: 1.4 times the throughput, ResNet-8: none),
 * so it is measured on each worker under load: now and then runs of two sizes alternate, and the larger size stays in use if it pays.
 */

import { median } from '../base/stats'

/** Runs of each size in a trial; their medians are compared. */
const RUNS = 9
/** Doubling a run must raise the throughput by the first factor, since each query waits for the whole run; below the second it is undone. */
const GAIN = 1.1
const LEAST_GAIN = 1.05
/** Runs between two trials; doubled each time that a trial changes nothing. */
const PAUSE = 64
const MOST_PAUSE = 1024
/** The resolution of clocks. */
const LEAST_MS = 0.01
/** An untried size is assumed to gain nothing. */
const UNTRIED = 2

/** Sizes are powers of two: 2^step. */
export class Batching {
  /** The step of the size in use. */
  #step = 0
  /** Time of a run of 2^(i + 1) queries relative to one of 2^i. */
  readonly #factors: number[] = []
  #trial: SizeTrial | undefined
  /** Whether the last trial tested a larger size than the one in use. */
  #triedMore = false
  #pause = PAUSE
  /** Runs until the next trial. */
  #left = 0

  /** @param most  queries that the worker takes in one run */
  constructor(readonly most: number) {}

  /**
   * The number of queries for the next run, while many wait.
   *
   * @param most  the result is a power of two up to this
   */
  next(most: number): number {
    this.#trial ??= this.#left-- > 0 ? undefined : this.#begin(most)
    const step = this.#trial ? this.#trial.next() : this.#step
    return 2 ** Math.min(step, Math.floor(Math.log2(most)))
  }

  /** The size that has turned out to pay. */
  get size(): number {
    return 2 ** this.#step
  }

  /** The time of a run of this size relative to a run of one query, as far as it is known. */
  factor(rows: number): number {
    let factor = 1
    for (let step = 0; 2 ** step < rows; step++) factor *= this.#factors[step] ?? UNTRIED
    return factor
  }

  /** Whether that was measured. */
  knows(rows: number): boolean {
    for (let step = 0; 2 ** step < rows; step++) if (this.#factors[step] === undefined) return false
    return true
  }

  add(rows: number, ms: number): void {
    const factor = this.#trial?.add(rows, ms)
    if (!this.#trial || factor === undefined) return
    const { low } = this.#trial
    this.#trial = undefined
    this.#learn(low, factor)
  }

  /** A run of this size failed, perhaps for lack of memory: smaller runs are used for a while. */
  fail(rows: number): void {
    this.#trial = undefined
    this.#step = Math.min(this.#step, Math.log2(rows) - 1)
    this.#pauseLonger()
  }

  #begin(most: number): SizeTrial | undefined {
    const more = 2 ** (this.#step + 1) <= most
    if (!more && !this.#step) return undefined
    this.#triedMore = more && !(this.#triedMore && this.#step) // larger and smaller alternately
    return new SizeTrial(this.#triedMore ? this.#step : this.#step - 1)
  }

  /** @param factor  time of a run of 2^(low + 1) queries relative to one of 2^low */
  #learn(low: number, factor: number): void {
    this.#factors[low] = Math.max(1, factor)
    const gain = 2 / this.#factors[low]
    const before = this.#step
    if (low === before && gain >= GAIN) this.#step++
    else if (low < before && gain < LEAST_GAIN) this.#step--
    const changed = this.#step !== before
    if (changed) this.#triedMore = this.#step < before // the next trial goes in the same direction
    if (!changed) return this.#pauseLonger()
    this.#pause = PAUSE
    this.#left = 0
  }

  #pauseLonger(): void {
    this.#pause = Math.min(MOST_PAUSE, 2 * this.#pause)
    this.#left = this.#pause
  }
}

/** Alternates runs of 2^low queries and of twice as many. */
class SizeTrial {
  readonly #times: [number[], number[]] = [[], []]
  #larger = false

  constructor(readonly low: number) {}

  next(): number {
    this.#larger = !this.#larger
    return this.low + Number(this.#larger)
  }

  /** Records the time of a run. @returns the ratio of the medians, once there are enough runs */
  add(rows: number, ms: number): number | undefined {
    const which = Math.log2(rows) - this.low
    if (which !== 0 && which !== 1) return undefined
    this.#times[which].push(ms)
    if (this.#times.some(({ length }) => length < RUNS)) return undefined
    const [one, two] = this.#times.map((each) => Math.max(LEAST_MS, median(each.slice(-RUNS)) as number))
    return two / one
  }
}
