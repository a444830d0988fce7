/**
 * How unusual the scores of a group's answers are: a locator's scores compare with nothing but what the same row had in earlier
 * groups, since rows differ. So nobody need be accused where nobody lies; and who is a little unusual every time stands out.
 */

import { observe, type RunningMoments, SlidingQuantile } from '../stats'

/** Groups that a row's usual score is averaged over, and whose largest ones decide what is unusual. */
const WINDOW = 5000
/** Groups below which nothing is known. */
const ENOUGH = 50
/** No single score counts for more, in deviations. */
const MOST = 3
/**
 * What a worker's sum keeps of older groups, and from which standard deviations of it the worker is suspected: as if over ten
 * groups. Of 17,640 honest groups none (MNIST) and 6 (Fashion) had one so far off; who lies always is found in 10 to 20 groups, also
 * where it did from the first on (gauss:10, flip, constant; swap on Fashion in 20 to 60).
 */
const LEFT = 0.9
const SUSPICIOUS = 4 / Math.sqrt(1 - LEFT ** 2)

/** One answer of a group, by its row and its worker. */
export interface Scored {
  row: number
  worker: string
  /** Above 0. */
  score: number
}

export class Scores {
  readonly #falseAlarms: number
  /** Of the logarithms, by row. */
  readonly #rows: RunningMoments[] = []
  readonly #sums = new Map<string, number>()
  /** The largest of each group, in deviations. */
  readonly #largest = new SlidingQuantile(WINDOW)

  /** @param falseAlarms  share of the honest groups in which somebody is accused */
  constructor(falseAlarms: number) {
    this.#falseAlarms = falseAlarms
  }

  /** Whether enough groups were seen to say what is unusual in one. */
  get isReady(): boolean {
    return !this.#falseAlarms || this.#largest.size >= Math.min(WINDOW, 1 / this.#falseAlarms)
  }

  /**
   * Takes the scores of a group.
   *
   * @returns those that are unusual by themselves, the strongest first; and workers that were a little unusual too often
   */
  see(group: readonly Scored[]): { unusual: Scored[]; suspects: string[] } {
    const off = new Map<Scored, number>()
    for (const each of group) {
      const deviations = this.#usual(each)
      if (deviations !== undefined) off.set(each, deviations)
    }
    if (!off.size) return { unusual: [], suspects: [] }
    const bound = this.#bound
    const unusual = [...off.keys()].filter((each) => (off.get(each) as number) > bound)
    unusual.sort((a, b) => (off.get(b) as number) - (off.get(a) as number))
    this.#largest.add(Math.max(...off.values()))
    const suspects: string[] = []
    for (const [{ worker }, deviations] of off) {
      const sum = LEFT * (this.#sums.get(worker) ?? 0) + Math.max(-MOST, Math.min(MOST, deviations))
      this.#sums.set(worker, sum)
      if (sum > SUSPICIOUS) suspects.push(worker)
    }
    return { unusual, suspects }
  }

  /** A suspect was looked at: it begins anew. */
  clear(worker: string): void {
    this.#sums.delete(worker)
  }

  /** How far a score is above what its row usually has, in deviations; undefined while that is not known. */
  #usual({ row, score }: Scored): number | undefined {
    this.#rows[row] ??= { count: 0, mean: 0, variance: 0 }
    const usual = this.#rows[row]
    const log = Math.log(score + 1e-12)
    const { count, mean, variance } = usual
    observe(usual, log, WINDOW)
    return count < ENOUGH ? undefined : (log - mean) / Math.sqrt(variance + 1e-9)
  }

  /** Which of the largest is exceeded by so few as may be false alarms. */
  get #bound(): number {
    if (!this.isReady || !this.#falseAlarms) return Number.POSITIVE_INFINITY
    return this.#largest.quantile(1 - this.#falseAlarms)
  }
}
