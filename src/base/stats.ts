/** Statistics of plain numbers. All are plain loops that add in order, so that results are the same to the bit, and fast. */

import * as saved from './saved'

export function mean(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]
  return sum / values.length
}

/** The upper median for an even number of values; undefined for none. */
export function median(values: Iterable<number>): number | undefined {
  const sorted = Float64Array.from(values).sort()
  return sorted[sorted.length >> 1]
}

/** Mean and population variance (divided by the number of values). */
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

/** Root mean square of a - b, which have equal lengths. */
export function rmsDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2
  return Math.sqrt(sum / a.length)
}

/** Mean variance of a value over the answers; 1 if no value varies. */
export function varianceOf(answers: readonly Float32Array[]): number {
  const outputs = answers[0].length
  return squaresAboutMeans(answers, 0, outputs) / (answers.length * outputs) || 1
}

/** Squares of values from .. to - 1 of all answers about their own means, added to `sum`. */
export function squaresAboutMeans(answers: readonly Float32Array[], from: number, to: number, sum = 0): number {
  for (let c = from; c < to; c++) {
    let mean = 0
    for (const answer of answers) mean += answer[c] / answers.length
    for (const answer of answers) sum += (answer[c] - mean) ** 2
  }
  return sum
}

/** Row sums of an n x n matrix (row-major), and the sum of all entries. */
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

/** Wilson's 95 % interval of a share (J. Am. Stat. Assoc. 22, 1927). @param count  0 gives [0, 1] */
export function wilson(successes: number, count: number): [low: number, high: number] {
  if (!count) return [0, 1]
  const z2 = NORMAL ** 2
  const centre = (successes + z2 / 2) / (count + z2)
  const half = (NORMAL / (count + z2)) * Math.sqrt((successes * (count - successes)) / count + z2 / 4)
  return [Math.max(0, centre - half), Math.min(1, centre + half)]
}

/** One step of Page's one-sided CUSUM ("Continuous inspection schemes", 1954). @param drift  values below it lower the sum */
export function cusum(sum: number, value: number, drift: number): number {
  return Math.max(0, sum + value - drift)
}

/** Plain data. */
export interface RunningMoments {
  /** Values seen; it stays at the window size once that is reached. */
  count: number
  mean: number
  variance: number
}

/** Adds a value in place. After `window` values each new one has the weight 1 / window, and older ones fade. */
export function observe(running: RunningMoments, value: number, window: number): void {
  const n = Math.min(running.count + 1, window)
  const off = value - running.mean
  running.count = n
  running.mean += off / n
  running.variance = (1 - 1 / n) * (running.variance + (off * off) / n)
}

/** Quantiles of the latest numbers of a stream. They are also kept in sorted order, so that nothing has to be sorted. */
export class SlidingQuantile {
  readonly #window: number
  /** A ring in order of arrival, and an array in ascending order. */
  readonly #latest: Float64Array
  readonly #sorted: Float64Array
  /** All numbers added so far. */
  count = 0

  /** @param window  how many numbers are kept */
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

  /** The numbers kept, ascending; valid until the next `add`. */
  get sorted(): Float64Array {
    return this.#sorted.subarray(0, this.size)
  }

  /** The quantile at `share`; needs at least one number. */
  quantile(share: number): number {
    return this.#sorted[Math.floor(share * (this.size - 1))]
  }
}

/** How many of the first `size` numbers, in ascending order, are below a value. */
function below(sorted: ArrayLike<number>, size: number, value: number): number {
  let [from, to] = [0, size]
  while (from < to) {
    const middle = (from + to) >> 1
    if (sorted[middle] < value) from = middle + 1
    else to = middle
  }
  return from
}

/** Values of an answer that are sampled, evenly spread: they give the deviation as well as all values would. */
const SAMPLE = 256
/** Answers over which the running deviation is averaged; older ones fade, so that it follows a changing stream. */
export const DEVIATION_WINDOW = 1000
/** The deviation is undefined until there are this many answers. */
const ENOUGH = 30
/** Values are clipped at this many deviations, so that a single odd query does not make all errors look small. */
const CLIP = 4
/** Answers further off than this many deviations are outliers, until a few hundred of them have widened the deviation. */
const OUTLIER = 20
/** Largest share of the first answers that may be outliers. */
const RARE = 0.1

/** Plain data. */
export interface DeviationState {
  count: number
  means: number[]
  variances: number[]
}

/** A checked copy of a saved state. @param outputs  values in an answer, if known */
export function savedDeviation(field: string, value: unknown, outputs: number | undefined): DeviationState {
  const state = saved.object(field, value, ['count', 'means', 'variances'])
  const count = saved.integer(`${field}.count`, state.count, 0, saved.MOST_COUNT)
  const most = count ? Math.min(SAMPLE, outputs ?? SAMPLE) : 0
  const { length } = saved.list(`${field}.means`, state.means, most, outputs ? most : Math.min(1, most))
  const means = saved.numbers(`${field}.means`, state.means, length, -saved.MOST, saved.MOST)
  return { count, means, variances: saved.numbers(`${field}.variances`, state.variances, length, 0, saved.MOST_SQUARE) }
}

/** How much a model's answers differ from each other: the unit in which errors are large or small. */
export class RunningDeviation {
  #state: DeviationState

  constructor(state: DeviationState = { count: 0, means: [], variances: [] }) {
    this.#state = structuredClone(state)
  }

  /** Adds one of the model's own answers, all of the same length. */
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

  /** Standard deviation of the values about their own means; undefined before 30 answers. */
  get deviation(): number | undefined {
    const { count, variances } = this.#state
    return count < ENOUGH ? undefined : Math.sqrt(mean(variances))
  }

  /** Whether an answer differs from all others so far; answers of a kind that is no longer rare do not. */
  isOutlier(answer: ArrayLike<number>): boolean {
    const { deviation } = this
    return !!deviation && rmsDifference(sampled(answer), this.#state.means) > OUTLIER * deviation
  }

  save(): DeviationState {
    return structuredClone(this.#state)
  }
}

/** The items whose answers are near the median of all answers; all items if more than a tenth would be left out. A generator that works in steps. */
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

/** The sampled values of an answer; read-only. */
function sampled(answer: ArrayLike<number>): ArrayLike<number> {
  if (answer.length <= SAMPLE) return answer
  const values = new Float64Array(SAMPLE)
  for (let i = 0; i < SAMPLE; i++) values[i] = answer[Math.floor((i * answer.length) / SAMPLE)]
  return values
}
