/** Statistics of plain numbers. All are loops that add in order: results are the same to the bit, and none waits for an iterator. */

import * as saved from './saved'

export function mean(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]
  return sum / values.length
}

/** Of an even number of values the upper one of the two in the middle; undefined of none. */
export function median(values: Iterable<number>): number | undefined {
  const sorted = Float64Array.from(values).sort()
  return sorted[sorted.length >> 1]
}

/** Mean and variance (over all values, not all but one). */
export function moments(values: ArrayLike<number>): { mean: number; variance: number } {
  let [sum, square] = [0, 0]
  for (let i = 0; i < values.length; i++) {
    sum += values[i]
    square += values[i] * values[i]
  }
  const mean = sum / values.length
  return { mean, variance: Math.max(0, square / values.length - mean * mean) }
}

export function rootMeanSquare(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i]
  return Math.sqrt(sum / values.length)
}

/** Root mean square of a - b; both have as many values. */
export function rmsDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2
  return Math.sqrt(sum / a.length)
}

/** Mean over the values of an answer of their variance about their own means; 1 where none varies. */
export function varianceOf(answers: readonly Float32Array[]): number {
  const outputs = answers[0].length
  return squaresAboutMeans(answers, 0, outputs) / (answers.length * outputs) || 1
}

/** The squares of values from .. to - 1 of all answers about their own means, added to a sum. */
export function squaresAboutMeans(answers: readonly Float32Array[], from: number, to: number, sum = 0): number {
  for (let c = from; c < to; c++) {
    let mean = 0
    for (const answer of answers) mean += answer[c] / answers.length
    for (const answer of answers) sum += (answer[c] - mean) ** 2
  }
  return sum
}

/** Sums of the rows of a matrix (n x n, row-major), and of all of it. */
export function rowSums(matrix: Float64Array): { sums: Float64Array; total: number } {
  const n = Math.round(Math.sqrt(matrix.length))
  const sums = new Float64Array(n)
  let total = 0
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) sums[i] += matrix[i * n + j]
    total += sums[i]
  }
  return { sums, total }
}

/** Quantile 0.975 of the standard normal distribution. */
export const NORMAL = 1.96

/** Wilson's 95 % interval of a share (J. Am. Stat. Assoc. 22, 1927). @param count  0: nothing is known, [0, 1] */
export function wilson(successes: number, count: number): [low: number, high: number] {
  if (!count) return [0, 1]
  const z2 = NORMAL ** 2
  const centre = (successes + z2 / 2) / (count + z2)
  const half = (NORMAL / (count + z2)) * Math.sqrt((successes * (count - successes)) / count + z2 / 4)
  return [Math.max(0, centre - half), Math.min(1, centre + half)]
}

/** One step of Page's one-sided CUSUM ("Continuous inspection schemes", 1954). @param drift  a value of this changes nothing */
export function cusum(sum: number, value: number, drift: number): number {
  return Math.max(0, sum + value - drift)
}

/** Plain data. */
export interface RunningMoments {
  /** Values seen; it stays at the size of the window once that is full. */
  count: number
  mean: number
  variance: number
}

/** Adds a value in place. From `window` values on each new one has the weight 1 / window, and older ones fade. */
export function observe(running: RunningMoments, value: number, window: number): void {
  const n = Math.min(running.count + 1, window)
  const off = value - running.mean
  running.count = n
  running.mean += off / n
  running.variance = (1 - 1 / n) * (running.variance + (off * off) / n)
}

/** Quantiles of the latest of a stream of numbers, which are kept in order of size as well, so that nothing is sorted. */
export class SlidingQuantile {
  readonly #window: number
  /** In the order in which they came, in a ring; and in order of size. */
  readonly #latest: Float64Array
  readonly #sorted: Float64Array
  /** Numbers that came, those that are forgotten included. */
  count = 0

  /** @param window  how many are kept */
  constructor(window: number) {
    this.#window = window
    this.#latest = new Float64Array(window)
    this.#sorted = new Float64Array(window)
  }

  get size(): number {
    return Math.min(this.count, this.#window)
  }

  add(value: number): void {
    const at = this.count % this.#window
    let { size } = this
    if (size === this.#window) {
      const oldest = below(this.#sorted, size, this.#latest[at])
      this.#sorted.copyWithin(oldest, oldest + 1, size--)
    }
    const place = below(this.#sorted, size, value)
    this.#sorted.copyWithin(place + 1, place, size)
    this.#sorted[place] = value
    this.#latest[at] = value
    this.count++
  }

  /** Those that are kept, ascending; until the next is added. */
  get sorted(): Float64Array {
    return this.#sorted.subarray(0, this.size)
  }

  /** The number that this share of the others are below; there must be one. */
  quantile(share: number): number {
    return this.#sorted[Math.floor(share * (this.size - 1))]
  }
}

/** How many of the first `size` numbers, which ascend, are below a value. */
function below(sorted: ArrayLike<number>, size: number, value: number): number {
  let [from, to] = [0, size]
  while (from < to) {
    const middle = (from + to) >> 1
    if (sorted[middle] < value) from = middle + 1
    else to = middle
  }
  return from
}

/** Values of an answer that are used, evenly spread over it: they tell the deviation as well as all of them would. */
const SAMPLE = 256
/** Answers over which a running deviation is averaged; older ones fade, so that it follows a stream that changes. */
export const DEVIATION_WINDOW = 1000
/** Answers before which there is no deviation. */
const ENOUGH = 30
/** A value is clipped at this many deviations: one odd query must not make all errors look small. */
const CLIP = 4
/** Answers further off than this many deviations are not counted as the model's, until a few hundred of them have widened it. */
const OUTLIER = 20
/** Share of the first answers that may be outliers. */
const RARE = 0.1

/** Plain data. */
export interface DeviationState {
  count: number
  means: number[]
  variances: number[]
}

/** A fresh copy of a saved state, checked. @param outputs  values in an answer, where that is known */
export function savedDeviation(field: string, value: unknown, outputs: number | undefined): DeviationState {
  const state = saved.object(field, value, ['count', 'means', 'variances'])
  const count = saved.integer(`${field}.count`, state.count, 0, saved.MOST_COUNT)
  const most = count ? Math.min(SAMPLE, outputs ?? SAMPLE) : 0
  const { length } = saved.list(`${field}.means`, state.means, most, outputs ? most : Math.min(1, most))
  const means = saved.numbers(`${field}.means`, state.means, length, -saved.MOST, saved.MOST)
  return { count, means, variances: saved.numbers(`${field}.variances`, state.variances, length, 0, saved.MOST_SQUARE) }
}

/** How much a model's answers differ from each other: the unit in which an error is large or small. */
export class RunningDeviation {
  #state: DeviationState

  constructor(state: DeviationState = { count: 0, means: [], variances: [] }) {
    this.#state = structuredClone(state)
  }

  /** Takes one of the model's own answers, of always as many values. */
  add(answer: ArrayLike<number>): void {
    const { means, variances } = this.#state
    const n = Math.min(++this.#state.count, DEVIATION_WINDOW)
    const values = sampled(answer)
    for (let i = 0; i < values.length; i++) {
      const most = n > ENOUGH ? CLIP * Math.sqrt(variances[i]) : Number.POSITIVE_INFINITY
      const off = Math.max(-most, Math.min(most, values[i] - (means[i] ?? 0)))
      means[i] = (means[i] ?? 0) + off / n
      variances[i] = (1 - 1 / n) * ((variances[i] ?? 0) + (off * off) / n)
    }
  }

  /** Standard deviation of a value about its own mean, over all values; undefined before 30 answers. */
  get deviation(): number | undefined {
    const { count, variances } = this.#state
    return count < ENOUGH ? undefined : Math.sqrt(mean(variances))
  }

  /** Whether an answer is unlike all others so far; those that are no longer rare are not. */
  isOutlier(answer: ArrayLike<number>): boolean {
    const { deviation } = this
    return !!deviation && rmsDifference(sampled(answer), this.#state.means) > OUTLIER * deviation
  }

  save(): DeviationState {
    return structuredClone(this.#state)
  }
}

/** The items whose answers are not far from the median of all; all items, where more than one in ten would be left out. In steps. */
export function* withoutOutliers<T>(
  items: readonly T[],
  answerOf: (item: T) => ArrayLike<number>,
): Generator<void, T[]> {
  const answers = items.map((item) => sampled(answerOf(item)))
  const medians: number[] = []
  for (let i = 0; i < answers[0].length; i++) {
    medians.push(median(answers.map((answer) => answer[i])) as number)
    if (i % 8 === 7) yield
  }
  const off = answers.map((answer) => rmsDifference(answer, medians))
  const usual = median(off)
  const kept = items.filter((_, i) => !usual || off[i] <= OUTLIER * usual)
  return items.length - kept.length > RARE * items.length ? [...items] : kept
}

/** The values of an answer that are used; read-only. */
function sampled(answer: ArrayLike<number>): ArrayLike<number> {
  if (answer.length <= SAMPLE) return answer
  const values = new Float64Array(SAMPLE)
  for (let i = 0; i < SAMPLE; i++) values[i] = answer[Math.floor((i * answer.length) / SAMPLE)]
  return values
}
