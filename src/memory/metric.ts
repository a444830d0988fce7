/**
 * How queries that are no images are compared: which of their values count, how much, and how fast likeness fades with
 * distance. Chosen by leaving remembered answers out one by one, never assumed: columns in mixed units, of which a few matter,
 * are worthless as they are (54 columns over four decades: 48 % of the labels right, 79 % with what is chosen here).
 */

import type { Core } from '../core/core'
import { ARRAY_BYTES } from '../core/rows'
import { type Criterion, sameLabels } from '../criterion'
import { type Random, seeded } from '../random'
import { MOST } from '../saved'
import { median } from '../stats'
import { PRODUCTS } from './regression'

/** Similarity by squared distance over the median one. */
export interface Fading {
  similarity(distance: number): number
  /** Less its derivative. */
  slope(distance: number): number
  /** On the kernel's diagonal: what a remembered answer says of the next of its kind is off by that much. */
  noise: number
}

/**
 * `smooth` and `narrow`: Gaussians of two widths, for answers that change slowly. `rough`: Matérn's kernel of order 3/2, for
 * answers that jump (a checkerboard: 97 % of the labels right, where Gaussians have 58 %).
 */
export const fadings = {
  smooth: { similarity: (d) => Math.exp(-d), slope: (d) => Math.exp(-d), noise: 0.01 },
  narrow: { similarity: (d) => Math.exp(-2 * d), slope: (d) => 2 * Math.exp(-2 * d), noise: 0.05 },
  rough: {
    similarity: (d) => (1 + root(d)) * Math.exp(-root(d)),
    slope: (d) => 3 * Math.exp(-root(d)),
    noise: 0.01,
  },
} satisfies Record<string, Fading>

/** Squared distances beyond which nothing is alike: of an infinite one the similarity would be Infinity * 0. */
const FARTHEST = 1e6
const root = (distance: number) => Math.sqrt(6 * Math.min(distance, FARTHEST))

export type FadingName = keyof typeof fadings

export const fadingNames = Object.keys(fadings) as FadingName[]

export interface Metric {
  /** What every value of a query is multiplied with. */
  scales: Float32Array
  fading: FadingName
}

/** A metric, and the share of answers that it gets wrong when they are left out: of labels, or of the answers' variance. */
export interface Tried extends Metric {
  loss: number
}

/** Pairs to look at, at most, and values of theirs. */
const MOST_PAIRS = 512
const MOST_VALUES = 2 ** 19
/** Values of a query beyond which their weights are not learned: it would take minutes. */
const WIDEST = 1024
/** Times that weights are learned from the regression that they gave: more changes nothing. Ends after so many without gain. */
const ROUNDS = 8
const VAIN = 3
/** Sums of outputs at random that the gradients are taken of: their squares tell those of all. */
const PROJECTIONS = 8
/** Outputs up to which all are predicted; beyond, so many tell the error as well. */
const OUTPUTS = 128

/** How many pairs of so many values can be studied. */
export function studied(inputs: number): number {
  return Math.min(MOST_PAIRS, Math.max(128, Math.floor(MOST_VALUES / inputs)))
}

/** Bytes that it takes to study so many: rows under one metric, here and in a table, answers, and matrices of two metrics. */
export function studyBytes(count: number, inputs: number, outputs: number): number {
  return count * (2 * 4 * (inputs + outputs) + 3 * ARRAY_BYTES + (4 * 8 + 4) * count)
}

/**
 * The best of: queries as they are (several inputs at one scale each), standardised, and weighted by the gradients of what is
 * regressed (a recursive feature machine with a diagonal metric: Radhakrishnan, Beaglehole, Pandit, Belkin, Science 2024), with
 * each fading. In steps of a few milliseconds.
 *
 * @param rows     queries of equal length, at most `studied` of them
 * @param answers  to them
 * @param parts    lengths of the inputs that a query is made of
 * @param known    metrics to try as well
 */
export function* chooseMetric(
  core: Core,
  rows: readonly Float32Array[],
  answers: readonly Float32Array[],
  { criterion, parts, known = [] }: { criterion: Criterion; parts: readonly number[]; known?: readonly Metric[] },
): Generator<void, { best: Tried; known: Tried[] }> {
  const study = new Study(core, rows, answers, criterion)
  const deviations = deviationsOf(rows)
  const whole = perPart(deviations, parts)
  const standard = deviations.map((deviation, i) => 1 / (deviation || 1 / whole[i]))
  const again: Tried[] = []
  for (const metric of known) again.push(yield* study.try(metric))
  const all: Tried[] = [...again]
  for (const fading of fadingNames) {
    all.push(yield* study.try({ scales: whole, fading }))
    let last = yield* study.try({ scales: standard, fading })
    let best = last
    const rounds = whole.length > WIDEST ? 0 : ROUNDS
    for (let round = 0, vain = 0; round < rounds && vain < VAIN; round++) {
      last = yield* study.try({ scales: yield* study.learned(last.scales, deviations), fading })
      vain = last.loss < best.loss ? 0 : vain + 1
      if (!vain) best = last
    }
    all.push(best)
  }
  return { best: all.reduce((best, each) => (each.loss < best.loss ? each : best)), known: again }
}

/** One over the deviation of an input's values, all together. */
function perPart(deviations: Float32Array, parts: readonly number[]): Float32Array {
  const scales = new Float32Array(deviations.length)
  let at = 0
  for (const length of parts) {
    let square = 0
    for (let i = at; i < at + length; i++) square += deviations[i] ** 2 / length
    scales.fill(Math.min(MOST, 1 / Math.sqrt(square || 1)), at, at + length)
    at += length
  }
  return scales
}

/** Of less, f32 has no inverse. */
const LEAST_DEVIATION = 1e-37

/** Standard deviation of each value over the rows; 0 for one that hardly varies. */
function deviationsOf(rows: readonly Float32Array[]): Float32Array {
  return rows[0].map((_, i) => {
    let [sum, most] = [0, 0]
    for (const row of rows) {
      sum += row[i]
      most = Math.max(most, Math.abs(row[i]))
    }
    const mean = sum / rows.length
    let square = 0
    for (const row of rows) square += (row[i] - mean) ** 2
    const deviation = Math.sqrt(square / rows.length)
    return deviation > Math.max(1e-6 * most, LEAST_DEVIATION) ? deviation : 0
  })
}

/** Some pairs, under one metric after the other. */
class Study {
  readonly #core: Core
  readonly #rows: readonly Float32Array[]
  readonly #answers: readonly Float32Array[]
  readonly #criterion: Criterion
  readonly #table: ReturnType<Core['table']>
  readonly #random: Random = seeded(1)
  /** Under the last metric tried: the rows as it sees them, slopes at each pair's distance, (K + noise I)^-1. */
  #seen: Float32Array[] = []
  #slopes = new Float64Array()
  #inverse = new Float64Array()

  constructor(core: Core, rows: readonly Float32Array[], answers: readonly Float32Array[], criterion: Criterion) {
    this.#core = core
    this.#rows = rows
    this.#criterion = criterion
    this.#table = core.table(rows[0].length, rows.length)
    const { length } = answers[0]
    const stride = criterion.kind === 'label' ? 1 : Math.ceil(length / OUTPUTS)
    this.#answers = answers.map((answer) => answer.filter((_, i) => i % stride === 0))
  }

  *try({ scales, fading }: Metric): Generator<void, Tried> {
    const n = this.#rows.length
    const { similarity, slope, noise } = fadings[fading]
    this.#seen = this.#rows.map((row) => scaled(row, scales))
    for (const [i, row] of this.#seen.entries()) this.#table.set(i, row)
    const distances: Float32Array[] = []
    const every = Math.max(1, Math.floor(PRODUCTS / (n * scales.length)))
    for (const [i, row] of this.#seen.entries()) {
      distances.push(this.#table.distances(row, n))
      if (i % every === every - 1) yield
    }
    const unit = unitOf(distances)
    const kernel = new Float64Array(n * n)
    this.#slopes = new Float64Array(n * n)
    for (const [i, row] of distances.entries()) {
      for (let j = 0; j < n; j++) {
        kernel[i * n + j] = i === j ? 1 + noise : similarity(row[j] / unit)
        this.#slopes[i * n + j] = i === j ? 0 : slope(row[j] / unit)
      }
      if (i % 128 === 127) yield
    }
    this.#inverse = yield* inverted(kernel, n)
    return { scales, fading, loss: yield* this.#loss() }
  }

  /** Pairs left out one by one, each predicted from the others. */
  *#loss(): Generator<void, number> {
    const n = this.#rows.length
    const answers = this.#answers
    const outputs = answers[0].length
    const predicted = answers.map((answer) => answer.slice())
    const { sums, total } = sumsOf(this.#inverse, n)
    const [mean, spread] = [new Float64Array(outputs), new Float64Array(outputs)]
    for (let j = 0; j < n; j++) for (let c = 0; c < outputs; c++) mean[c] += (sums[j] * answers[j][c]) / total
    let error = 0
    const every = Math.max(1, Math.floor(PRODUCTS / (n * outputs)))
    for (let i = 0; i < n; i++) {
      const precision = this.#inverse[i * n + i] - sums[i] ** 2 / total
      const rest = mean.map((m) => -sums[i] * m)
      for (let j = 0; j < n; j++) {
        const weight = this.#inverse[i * n + j]
        for (let c = 0; c < outputs; c++) rest[c] += weight * answers[j][c]
      }
      for (let c = 0; c < outputs; c++) {
        predicted[i][c] -= rest[c] / precision
        error += (rest[c] / precision) ** 2
        spread[c] += (answers[i][c] - mean[c]) ** 2
      }
      if (i % every === every - 1) yield
    }
    const criterion = this.#criterion
    const variance = error / (spread.reduce((a, b) => a + b, 0) || 1)
    if (criterion.kind !== 'label') return variance
    const wrong = predicted.filter((answer, i) => !sameLabels(answer, answers[i], criterion)).length
    return (wrong + Math.min(1, variance)) / n // of equal ones the more precise
  }

  /** The scales, each by how much the regression changes along its value, on average over the rows. */
  *learned(scales: Float32Array, deviations: Float32Array): Generator<void, Float32Array> {
    const n = this.#rows.length
    const width = scales.length
    const squares = new Float64Array(width)
    const piece = Math.max(1, Math.floor(PRODUCTS / (n * width)))
    for (let projection = 0; projection < PROJECTIONS; projection++) {
      const shares = this.#shares()
      for (let from = 0; from < n; from += piece) {
        const to = Math.min(n, from + piece)
        const weights = new Float32Array((to - from) * n)
        const sums = new Float64Array(to - from)
        for (let i = from; i < to; i++) {
          for (let j = 0; j < n; j++) {
            const weight = shares[j] * this.#slopes[i * n + j]
            weights[(i - from) * n + j] = weight
            sums[i - from] += weight
          }
        }
        const pulled = this.#core.combine(weights, this.#seen)
        for (let i = from; i < to; i++) {
          for (let k = 0; k < width; k++) {
            squares[k] += (sums[i - from] * this.#seen[i][k] - pulled[i - from][k]) ** 2
          }
        }
        yield
      }
    }
    const next = scales.map((scale, k) => scale * Math.sqrt(squares[k]))
    let length = 0
    for (let k = 0; k < width; k++) length += (next[k] * deviations[k]) ** 2
    if (!(length > 0)) return scales
    return next.map((scale, k) => Math.max(scale / Math.sqrt(length), LEAST * scales[k])) // 0 could not be undone
  }

  /** What every pair adds to the prediction of a sum of the outputs at random. */
  #shares(): Float64Array {
    const n = this.#rows.length
    const signs = Array.from(this.#answers[0], () => this.#random.gauss())
    const values = Float64Array.from(this.#answers, (answer) => answer.reduce((sum, y, c) => sum + y * signs[c], 0))
    const { sums, total } = sumsOf(this.#inverse, n)
    const mean = values.reduce((sum, value, i) => sum + sums[i] * value, 0) / total
    return values.map((_, i) => {
      let sum = -sums[i] * mean
      for (let j = 0; j < n; j++) sum += this.#inverse[i * n + j] * values[j]
      return sum
    })
  }
}

/** A value's weight falls at most so far at a time. */
const LEAST = 1e-3

function sumsOf(inverse: Float64Array, n: number): { sums: Float64Array; total: number } {
  const sums = new Float64Array(n)
  let total = 0
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) sums[i] += inverse[i * n + j]
    total += sums[i]
  }
  return { sums, total }
}

/** A query's values as a metric sees them; fresh, and finite: a table with Infinity in it could not be saved. */
export function scaled(values: Float32Array, scales: Float32Array): Float32Array {
  return values.map((value, i) => Math.max(-MOST, Math.min(MOST, value * scales[i])))
}

/**
 * The unit of distances: the median of those between different rows, each of which counts once.
 *
 * @param distances  of row i to rows 0 .. i - 1, at least
 */
export function unitOf(distances: readonly Float32Array[]): number {
  const step = Math.ceil(distances.length / 256)
  const some = distances.flatMap((row, i) => (i % step ? [] : [...row.subarray(0, i)]))
  return median(some) || 1
}

/**
 * Inverse of a symmetric positive definite matrix, in place, by Gauss-Jordan sweeps over its lower triangle (Goodnight, "A
 * tutorial on the SWEEP operator", The American Statistician, 1979): unlike `core.inverse` in steps.
 */
function* inverted(matrix: Float64Array<ArrayBuffer>, n: number): Generator<void, Float64Array<ArrayBuffer>> {
  const every = Math.max(1, Math.floor((2 * PRODUCTS) / (n * n)))
  const line = new Float64Array(n)
  for (let k = 0; k < n; k++) {
    for (let j = 0; j < n; j++) line[j] = j <= k ? matrix[k * n + j] : matrix[j * n + k]
    const pivot = 1 / line[k]
    for (let i = 0; i < n; i++) {
      const factor = line[i] * pivot
      const at = i * n
      for (let j = 0; j <= i; j++) matrix[at + j] -= factor * line[j]
    }
    for (let j = 0; j < n; j++) matrix[j <= k ? k * n + j : j * n + k] = line[j] * pivot
    matrix[k * n + k] = -pivot
    if (k % every === every - 1) yield
  }
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) matrix[i * n + j] = matrix[j * n + i] = -matrix[i * n + j]
  }
  return matrix
}
