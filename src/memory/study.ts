/**
 * How well a metric predicts remembered answers, and which metric would predict them better. The kernels are those of Gaussian processes (Rasmussen and
 * Williams, Gaussian Processes for Machine Learning, 2006, 4.2).
 */

import { joined } from '../base/arrays'
import { balanced, type Criterion, judgedOf, type Labels, sameChoice, sampleOf } from '../base/criterion'
import { type Random, seeded } from '../base/random'
import { MOST } from '../base/saved'
import { mean } from '../base/stats'
import type { Core } from '../core/core'
import { type Fitted, fittedTo, leftOut } from './leave-one-out'
import { inverted } from './matrix-inverse'
import { PRODUCTS, paced, perStep } from './steps'

/** A covariance function of the squared distance over the squared length scale; k(x, x) = 1. */
export interface Kernel {
  covariance(distance: number): number
  /** Minus the derivative of `covariance`. */
  slope(distance: number): number
  /** Noise variance, added to the kernel's diagonal. */
  noise: number
}

/** Larger distances count as this one: at Infinity, Matern's covariance would be Infinity * 0. */
const FARTHEST = 1e6
const root = (distance: number) => Math.sqrt(6 * Math.min(distance, FARTHEST))

/** Two RBF kernels, and Matern 3/2 for answers that jump (labels of a checkerboard: 97 % right, with RBF 58 %). */
export const kernels = {
  smooth: { covariance: (d) => Math.exp(-d), slope: (d) => Math.exp(-d), noise: 0.01 },
  narrow: { covariance: (d) => Math.exp(-2 * d), slope: (d) => 2 * Math.exp(-2 * d), noise: 0.05 },
  rough: { covariance: (d) => (1 + root(d)) * Math.exp(-root(d)), slope: (d) => 3 * Math.exp(-root(d)), noise: 0.01 },
} satisfies Record<string, Kernel>

export type KernelName = keyof typeof kernels

export const kernelNames = Object.keys(kernels) as KernelName[]

/** Rows whose distances decide the length scale. */
const SCALED_BY = 128

/**
 * The median squared distance between rows. The mean would not do: one query far from all others would make these look alike.
 *
 * @param distances  squared, of row i to rows 0 .. i - 1, at least
 */
export function squaredLengthScale(distances: readonly Float32Array[]): number {
  const step = Math.ceil(distances.length / SCALED_BY)
  const some = distances.flatMap((row, i) => (i % step ? [] : [row.subarray(0, i)]))
  const sorted = joined(some, Float32Array).sort()
  return sorted[sorted.length >> 1] || 1
}

export interface Metric {
  /** Each value of a query is multiplied by its scale. */
  scales: Float32Array
  kernel: KernelName
}

export interface TriedMetric extends Metric {
  /** The leave-one-out error: the share of wrong labels, or the unexplained share of the answers' variance. */
  loss: number
}

/** Random projections of the outputs whose gradients are averaged. The mean of their squares is that of all outputs. */
const PROJECTIONS = 8
/** Values of each output that are predicted if it has no labels: their error is that of all. */
const OUTPUTS = 128
/** With more classes than this only OUTPUTS scores are predicted: with 100,000 classes a memory took minutes to begin. */
const MOST_CLASSES = 4096
/** Rows whose gradients are computed together: row by row, most of the time went into laying the other rows out for the core. */
const TOGETHER = 64
/** One update shrinks a scale to this share at most: a scale of 0 could never grow again. */
const LEAST = 1e-3
/**
 * No scale makes the deviation of its value smaller than this, all deviations together being 1. Squares of smaller numbers are too small for f32, and
 * processors take five times as long for such numbers (784 columns of which few matter: .3 ms a lookup instead of .08).
 */
const FAINTEST = 1e-15

/** Some pairs, and the Gaussian process on them under the metric that was tried last. */
export class Study {
  readonly #core: Core
  readonly #rows: readonly Float32Array[]
  readonly #answers: readonly Float32Array[]
  /** Where the loss is the share of wrong labels. */
  readonly #labels: Labels | undefined
  /** If there are several outputs: the values of each, and the share of its variance that the last metric explained. */
  readonly #spans: { from: number; size: number; explained: number }[] = []
  readonly #table: ReturnType<Core['table']>
  readonly #random: Random = seeded(1)
  /** The rows times the metric's scales. */
  #scaled: Float32Array[] = []
  /** The kernel's slope between each two rows, row-major; 0 on the diagonal. */
  readonly #slopes: Float64Array
  #fitted: Fitted

  constructor(core: Core, rows: readonly Float32Array[], answers: readonly Float32Array[], criterion: Criterion) {
    this.#core = core
    this.#rows = rows
    this.#table = core.table(rows[0].length, rows.length)
    if (criterion.kind === 'label' && answers[0].length <= MOST_CLASSES) {
      this.#labels = criterion
      this.#answers = answers
    } else {
      const sample = sampleOf(answers, judgedOf(criterion), OUTPUTS)
      this.#answers = balanced(sample)
      if (sample.spans.length > 1) this.#spans = sample.spans.map((span) => ({ ...span, explained: 1 }))
    }
    this.#slopes = new Float64Array(rows.length ** 2)
    this.#fitted = { answers: this.#answers, inverse: this.#slopes, sums: this.#slopes, total: 0 }
  }

  /** Fits the Gaussian process under a metric. In steps. */
  *try({ scales, kernel: name }: Metric): Generator<void, TriedMetric> {
    const n = this.#rows.length
    const { covariance, slope, noise } = kernels[name]
    this.#scaled = this.#rows.map((row) => scaled(row, scales))
    for (const [i, row] of this.#scaled.entries()) this.#table.set(i, row)
    yield
    const distances: Float32Array[] = []
    const every = Math.max(1, Math.floor(PRODUCTS / (n * scales.length)))
    yield* paced(n, every, (i) => distances.push(this.#table.distances(this.#scaled[i], n)))
    const unit = squaredLengthScale(distances)
    yield
    const [inverse, slopes] = [new Float64Array(n * n), this.#slopes]
    yield* paced(n, perStep(16 * n), (i) => {
      const row = distances[i]
      for (let j = 0; j < n; j++) {
        inverse[i * n + j] = i === j ? 1 + noise : covariance(row[j] / unit)
        slopes[i * n + j] = i === j ? 0 : slope(row[j] / unit)
      }
    })
    yield* inverted(inverse, n)
    this.#fitted = fittedTo(this.#answers, inverse)
    return { scales, kernel: name, loss: yield* this.#loss() }
  }

  /** The leave-one-out error. Of metrics with equally many wrong labels, the one with the smaller error of scores has the smaller loss. */
  *#loss(): Generator<void, number> {
    const answers = this.#answers
    const labels = this.#labels
    const variances = new Float64Array(answers[0].length)
    const errors = new Float64Array(variances.length)
    let wrong = 0
    yield* leftOut(this.#fitted, (i, { residual }, means) => {
      const predicted = answers[i].slice()
      for (let c = 0; c < means.length; c++) {
        predicted[c] -= residual[c]
        errors[c] += residual[c] ** 2
        variances[c] += (answers[i][c] - means[c]) ** 2
      }
      if (labels) wrong += Number(!sameChoice(predicted, answers[i], labels))
    })
    const unexplained = (from: number, to?: number) => {
      const [error, variance] = [errors, variances].map((all) => all.subarray(from, to).reduce((a, b) => a + b, 0))
      return error / (variance || 1)
    }
    for (const span of this.#spans) span.explained = Math.max(LEAST, 1 - unexplained(span.from, span.from + span.size))
    if (this.#spans.length) return mean(this.#spans.map(({ explained }) => 1 - explained)) // noise is no worse than unknown
    return labels ? (wrong + Math.min(1, unexplained(0))) / answers.length : unexplained(0)
  }

  /**
   * New scales of the inputs: the old ones times the root mean square gradient of the regression along each input, so that an input without
   * influence on the answer fades out. Yields between steps of a millisecond or so.
   */
  *improved(scales: Float32Array, deviations: Float32Array): Generator<void, Float32Array> {
    const n = this.#rows.length
    const width = scales.length
    const squares = new Float64Array(width)
    const piece = 12 * Math.ceil(PRODUCTS / (2 * TOGETHER * n * 12))
    for (let projection = 0; projection < PROJECTIONS; projection++) {
      yield
      const coefficients = this.#dualCoefficients()
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

  /** The weight of every row in the gradients at rows from .. to - 1, and the sum of the weights at each of these rows. */
  #weighted(coefficients: Float64Array, from: number, to: number): { weights: Float32Array; sums: Float64Array } {
    const n = coefficients.length
    const [slopes, weights, sums] = [this.#slopes, new Float32Array((to - from) * n), new Float64Array(to - from)]
    for (let i = 0; i < sums.length; i++) {
      for (let j = 0; j < n; j++) {
        const weight = coefficients[j] * slopes[(from + i) * n + j]
        weights[i * n + j] = weight
        sums[i] += weight
      }
    }
    return { weights, sums }
  }

  /** The dual coefficients of the regression on a random projection of the outputs. */
  #dualCoefficients(): Float64Array {
    const { answers, inverse, sums, total } = this.#fitted
    const n = answers.length
    const signs = Float64Array.from(answers[0], () => this.#random.gauss())
    // An output that no metric explains changes everywhere; its gradients would be noise in the scales.
    for (const { from, size, explained } of this.#spans) {
      for (let c = from; c < from + size; c++) signs[c] *= explained
    }
    const values = Float64Array.from(answers, (answer) => {
      let sum = 0
      for (let c = 0; c < signs.length; c++) sum += answer[c] * signs[c]
      return sum
    })
    const mean = values.reduce((sum, value, i) => sum + sums[i] * value, 0) / total
    return values.map((_, i) => {
      let sum = -sums[i] * mean
      for (let j = 0; j < n; j++) sum += inverse[i * n + j] * values[j]
      return sum
    })
  }
}

/** A query's values times the scales of a metric; fresh, and finite, since a table with Infinity in it could not be saved. */
export function scaled(values: Float32Array, scales: Float32Array): Float32Array {
  const out = new Float32Array(values.length)
  for (let i = 0; i < out.length; i++) out[i] = Math.max(-MOST, Math.min(MOST, values[i] * scales[i]))
  return out
}
