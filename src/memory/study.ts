/**
 * How well some metric predicts remembered answers, and which one would do better. Kernels are those of Gaussian processes
 * (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, 4.2).
 */

import { balanced, type Criterion, type Labels, sameChoice, sampleOf } from '../base/criterion'
import { type Random, seeded } from '../base/random'
import { MOST } from '../base/saved'
import { mean } from '../base/stats'
import type { Core } from '../core/core'
import { type Fitted, leftOut } from './leave-one-out'
import { inverted } from './matrix-inverse'
import { PRODUCTS, paced, perStep } from './steps'

/** k(x, x') by the squared distance of x and x' over the squared length scale; k(x, x) = 1. */
export interface Kernel {
  covariance(distance: number): number
  /** Minus the derivative of `covariance`. */
  slope(distance: number): number
  /** Noise variance added to the kernel's diagonal, relative to k(x, x). */
  noise: number
}

/** Covariances beyond this are 0; at an infinite distance Matern's would be Infinity * 0. */
const FARTHEST = 1e6
const root = (distance: number) => Math.sqrt(6 * Math.min(distance, FARTHEST))

/** Two RBF kernels; and Matern 3/2, for answers that jump (a checkerboard: 97 % of the labels right, RBF 58 %). */
export const kernels = {
  smooth: { covariance: (d) => Math.exp(-d), slope: (d) => Math.exp(-d), noise: 0.01 },
  narrow: { covariance: (d) => Math.exp(-2 * d), slope: (d) => 2 * Math.exp(-2 * d), noise: 0.05 },
  rough: { covariance: (d) => (1 + root(d)) * Math.exp(-root(d)), slope: (d) => 3 * Math.exp(-root(d)), noise: 0.01 },
} satisfies Record<string, Kernel>

export type KernelName = keyof typeof kernels

export const kernelNames = Object.keys(kernels) as KernelName[]

/**
 * The median squared distance between rows, in steps. Not the mean: one query far from all others would make these look alike.
 *
 * @param distances  squared, of row i to rows 0 .. i - 1, at least
 */
export function* squaredLengthScale(distances: readonly Float32Array[]): Generator<void, number> {
  const step = Math.ceil(distances.length / 256)
  const some = distances.flatMap((row, i) => (i % step ? [] : new Uint32Array(row.buffer, row.byteOffset, i)))
  let rank = some.reduce((sum, { length }) => sum + length, 0) >> 1
  if (distances.length < 2) return 1
  // The bits of floats that are not negative ascend as these do: the upper half of the median's first, then the lower. Sorting takes fifty times as long.
  let upper = -1
  for (let half = 0; half < 2; half++) {
    const counts = new Uint32Array(2 ** 16)
    yield* paced(some.length, perStep(some.length), (i) => {
      const row = some[i]
      if (!half) for (let j = 0; j < row.length; j++) counts[row[j] >>> 16]++
      else for (let j = 0; j < row.length; j++) if (row[j] >>> 16 === upper) counts[row[j] & 0xffff]++
    })
    let at = 0
    for (; rank >= counts[at]; at++) rank -= counts[at]
    upper = half ? upper * 2 ** 16 + at : at
  }
  return new Float32Array(Uint32Array.of(upper).buffer)[0] || 1
}

export interface Metric {
  /** What every value of a query is multiplied with. */
  scales: Float32Array
  kernel: KernelName
}

/** A metric and its leave-one-out error: share of wrong labels, or of the answers' variance. */
export interface TriedMetric extends Metric {
  loss: number
}

/** Random sums of outputs that gradients are taken of: the mean of their squares is that of all outputs. */
const PROJECTIONS = 8
/** Where outputs have no label, or there are several, only this many values of each are predicted: their error is that of all. */
const OUTPUTS = 128
/** The same of labels, where there are more classes: with 100,000 of them it took minutes to begin. */
const MOST_CLASSES = 4096
/** Rows that gradients are taken at together, some columns at a time: with few rows most of the time went into laying the others out for the core. */
const TOGETHER = 64
/** A scale falls to this share of what it was, at most: 0 could not be undone. */
const LEAST = 1e-3
/**
 * And never so far that a deviation comes to less than this of all together: nothing is left of it in a distance, but squares of smaller numbers are
 * too small for f32 as well, and take processors five times as long (784 columns of which few matter: .3 ms a lookup instead of .08).
 */
const FAINTEST = 1e-15

/** Some pairs, and the Gaussian process on them under the metric that was tried last. */
export class Study {
  readonly #core: Core
  readonly #rows: readonly Float32Array[]
  readonly #answers: readonly Float32Array[]
  /** When a label is right, where each answer's is looked at. */
  readonly #labels: Labels | undefined
  /** Of several outputs where each is, and what share of its variance was explained last. */
  readonly #spans: { from: number; size: number; explained: number }[]
  readonly #table: ReturnType<Core['table']>
  readonly #random: Random = seeded(1)
  /** The rows times the metric's scales. */
  #scaled: Float32Array[] = []
  /** Slope of the kernel between each two rows; 0 on the diagonal. */
  readonly #slopes: Float64Array
  readonly #fitted: Fitted & { inverse: Float64Array<ArrayBuffer> }

  constructor(core: Core, rows: readonly Float32Array[], answers: readonly Float32Array[], criterion: Criterion) {
    this.#core = core
    this.#rows = rows
    this.#table = core.table(rows[0].length, rows.length)
    const { length } = answers[0]
    this.#labels = criterion.kind === 'label' && length <= MOST_CLASSES ? criterion : undefined
    const stride = this.#labels ? 1 : Math.ceil(length / OUTPUTS)
    const sample = criterion.kind === 'outputs' && sampleOf(answers, criterion.outputs, OUTPUTS)
    this.#answers = sample ? balanced(sample) : answers.map((answer) => every(answer, stride))
    this.#spans = sample ? sample.spans.map((span) => ({ ...span, explained: 1 })) : []
    const n = rows.length
    this.#slopes = new Float64Array(n * n)
    this.#fitted = { answers: this.#answers, inverse: new Float64Array(n * n), sums: new Float64Array(n), total: 0 }
  }

  *try({ scales, kernel: name }: Metric): Generator<void, TriedMetric> {
    const n = this.#rows.length
    const { covariance, slope, noise } = kernels[name]
    yield* paced(n, perStep(4 * scales.length), (i) => {
      this.#scaled[i] = scaled(this.#rows[i], scales)
      this.#table.set(i, this.#scaled[i])
    })
    const distances: Float32Array[] = []
    const every = Math.max(1, Math.floor(PRODUCTS / (n * scales.length)))
    yield* paced(n, every, (i) => distances.push(this.#table.distances(this.#scaled[i], n)))
    const unit = yield* squaredLengthScale(distances)
    const { inverse: matrix, sums } = this.#fitted
    const slopes = this.#slopes
    yield* paced(n, perStep(16 * n), (i) => {
      const row = distances[i]
      for (let j = 0; j < n; j++) {
        matrix[i * n + j] = i === j ? 1 + noise : covariance(row[j] / unit)
        slopes[i * n + j] = i === j ? 0 : slope(row[j] / unit)
      }
    })
    yield* inverted(matrix, n)
    this.#fitted.total = 0
    yield* paced(n, perStep(n), (i) => {
      sums[i] = 0
      for (let j = 0; j < n; j++) sums[i] += matrix[i * n + j]
      this.#fitted.total += sums[i]
    })
    return { scales, kernel: name, loss: yield* this.#loss() }
  }

  /** Leave-one-out: share of wrong labels, and of equal ones the more precise; or share of variance not explained. */
  *#loss(): Generator<void, number> {
    const answers = this.#answers
    const labels = this.#labels
    const variances = new Float64Array(answers[0].length)
    const errors = new Float64Array(variances.length)
    let [error, wrong] = [0, 0]
    yield* leftOut(this.#fitted, (i, { residual, means }) => {
      const predicted = answers[i].slice()
      for (let c = 0; c < means.length; c++) {
        predicted[c] -= residual[c]
        error += residual[c] ** 2
        errors[c] += residual[c] ** 2
        variances[c] += (answers[i][c] - means[c]) ** 2
      }
      if (labels) wrong += Number(!sameChoice(predicted, answers[i], labels))
    })
    const sumIn = (values: Float64Array, from: number, size: number) =>
      values.subarray(from, from + size).reduce((a, b) => a + b, 0)
    for (const span of this.#spans) {
      const { from, size } = span
      span.explained = Math.max(LEAST, 1 - sumIn(errors, from, size) / (sumIn(variances, from, size) || 1))
    }
    if (this.#spans.length) return mean(this.#spans.map(({ explained }) => 1 - explained)) // noise is no worse than unknown
    const unexplained = error / (variances.reduce((a, b) => a + b, 0) || 1)
    if (!labels) return unexplained
    return (wrong + Math.min(1, unexplained)) / answers.length
  }

  /** The scales times the root mean square gradient of the regression: a value that changes nothing fades. */
  *improved(scales: Float32Array, deviations: Float32Array): Generator<void, Float32Array> {
    const n = this.#rows.length
    const width = scales.length
    const squares = new Float64Array(width)
    const piece = 12 * Math.ceil(PRODUCTS / (2 * TOGETHER * n * 12))
    for (let projection = 0; projection < PROJECTIONS; projection++) {
      const coefficients = yield* this.#dualCoefficients()
      for (let from = 0; from < n; from += TOGETHER) {
        const { weights, sums } = this.#weighted(coefficients, from, Math.min(from + TOGETHER, n))
        for (let first = 0; first < width; first += piece) {
          yield
          const columns = this.#scaled.map((row) => row.subarray(first, first + piece))
          const weighted = this.#core.combine(weights, columns)
          for (let i = 0; i < sums.length; i++) {
            const [row, others] = [columns[from + i], weighted[i]]
            for (let k = 0; k < row.length; k++) squares[first + k] += (sums[i] * row[k] - others[k]) ** 2
          }
        }
      }
    }
    yield
    const next = scales.map((scale, k) => scale * Math.sqrt(squares[k]))
    let length = 0
    for (let k = 0; k < width; k++) length += (next[k] * deviations[k]) ** 2
    if (!(length > 0)) return scales
    const least = (k: number) => Math.max(LEAST * scales[k], deviations[k] && FAINTEST / deviations[k])
    return next.map((scale, k) => Math.max(scale / Math.sqrt(length), least(k)))
  }

  /** What each row adds to the gradients at rows from .. to - 1, and the sums of that. */
  #weighted(coefficients: Float64Array, from: number, to: number): { weights: Float32Array; sums: Float64Array } {
    const n = coefficients.length
    const [slopes, weights, sums] = [this.#slopes, new Float32Array((to - from) * n), new Float64Array(to - from)]
    for (let i = 0; i < sums.length; i++) {
      let sum = 0
      for (let j = 0; j < n; j++) {
        const weight = coefficients[j] * slopes[(from + i) * n + j]
        weights[i * n + j] = weight
        sum += weight
      }
      sums[i] = sum
    }
    return { weights, sums }
  }

  /** Of the regression on a sum of the outputs with random weights. In steps. */
  *#dualCoefficients(): Generator<void, Float64Array> {
    const { answers, inverse, sums, total } = this.#fitted
    const n = answers.length
    const signs = new Float64Array(answers[0].length)
    yield* paced(signs.length, perStep(16), (c) => (signs[c] = this.#random.gauss()))
    // An output that nothing explains changes everywhere, and would tell the scales of the others nothing but noise.
    for (const { from, size, explained } of this.#spans) {
      for (let c = from; c < from + size; c++) signs[c] *= explained
    }
    const values = new Float64Array(n)
    yield* paced(n, perStep(signs.length), (i) => {
      const answer = answers[i]
      for (let c = 0; c < signs.length; c++) values[i] += answer[c] * signs[c]
    })
    const mean = values.reduce((sum, value, i) => sum + sums[i] * value, 0) / total
    const coefficients = new Float64Array(n)
    yield* paced(n, perStep(n), (i) => {
      let sum = -sums[i] * mean
      for (let j = 0; j < n; j++) sum += inverse[i * n + j] * values[j]
      coefficients[i] = sum
    })
    return coefficients
  }
}

function every(answer: Float32Array, stride: number): Float32Array {
  if (stride === 1) return answer
  return Float32Array.from({ length: Math.ceil(answer.length / stride) }, (_, i) => answer[i * stride])
}

/** A query's values times the scales of a metric; fresh, and finite: a table with Infinity in it could not be saved. */
export function scaled(values: Float32Array, scales: Float32Array): Float32Array {
  const out = new Float32Array(values.length)
  for (let i = 0; i < out.length; i++) out[i] = Math.max(-MOST, Math.min(MOST, values[i] * scales[i]))
  return out
}
