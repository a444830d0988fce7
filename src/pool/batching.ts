/**
 * How many rows a worker gets in one run of its model. What that gains differs by model and machine (LeNet: 1.4 times as many
 * rows a second, ResNet-8: as many as before), so that it is measured on every worker, where much waits: now and then runs of
 * two sizes take turns, and the larger one is used on if it pays.
 */

import { median } from '../base/stats'

/** Runs of each of the two sizes in a trial: the medians are compared. */
const RUNS = 9
/** Gain in rows per millisecond that doubling a run must bring, since each row waits for all; below the second it is undone. */
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
export class Batching {
  /** Of the size in use. */
  #step = 0
  /** How much longer a run of 2^(i + 1) rows takes than one of 2^i. */
  readonly #factors: number[] = []
  #trial: SizeTrial | undefined
  /** Whether the last trial was of a larger size than the one in use. */
  #triedMore = false
  #pause = PAUSE
  /** Runs until the next trial. */
  #left = 0

  /** @param most  rows that the worker takes in one run */
  constructor(readonly most: number) {}

  /**
   * Rows for the run that begins now, while much waits.
   *
   * @param most  of which it is a power of two at most
   */
  next(most: number): number {
    this.#trial ??= this.#left-- > 0 ? undefined : this.#begin(most)
    const step = this.#trial ? this.#trial.next() : this.#step
    return 2 ** Math.min(step, Math.floor(Math.log2(most)))
  }

  /** Rows in a run that have turned out to pay. */
  get size(): number {
    return 2 ** this.#step
  }

  /** How many times as long as one row a run of this size takes, as far as is known. */
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

  /** What a run took. */
  add(rows: number, ms: number): void {
    const factor = this.#trial?.add(rows, ms)
    if (!this.#trial || factor === undefined) return
    const { low } = this.#trial
    this.#trial = undefined
    this.#learn(low, factor)
  }

  /** A run of this many rows failed. They may be too many, as for the worker's memory, so that fewer are given for a while. */
  fail(rows: number): void {
    this.#trial = undefined
    this.#step = Math.min(this.#step, Math.log2(rows) - 1)
    this.#pauseLonger()
  }

  #begin(most: number): SizeTrial | undefined {
    const more = 2 ** (this.#step + 1) <= most
    if (!more && !this.#step) return undefined
    this.#triedMore = more && !(this.#triedMore && this.#step) // larger and smaller in turn
    return new SizeTrial(this.#triedMore ? this.#step : this.#step - 1)
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

/** Runs of 2^low rows and of twice as many take turns. */
class SizeTrial {
  readonly #times: [number[], number[]] = [[], []]
  #larger = false

  constructor(readonly low: number) {}

  /** The step of the next run. */
  next(): number {
    this.#larger = !this.#larger
    return this.low + Number(this.#larger)
  }

  /** What a run took. @returns how much longer the larger ones take, by the medians of enough runs */
  add(rows: number, ms: number): number | undefined {
    const which = Math.log2(rows) - this.low
    if (which !== 0 && which !== 1) return undefined
    this.#times[which].push(ms)
    if (this.#times.some(({ length }) => length < RUNS)) return undefined
    const [one, two] = this.#times.map((each) => Math.max(LEAST_MS, median(each.slice(-RUNS)) as number))
    return two / one
  }
}
