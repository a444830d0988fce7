/** Logistic regression with a normal prior on the weights, fitted to weighted examples. */

import type { Core } from '../core/core'
import { inSlices, perStep } from './steps'

/** The precision of the normal prior: of the intercept, and of each slope. Slopes are small until the examples show otherwise. */
const PRIOR = [0.01, 1]
/** Newton's method ends when no weight moves by more than this, since the next step would be a millionth; or after NEWTON_STEPS. */
const SETTLED = 1e-3
const NEWTON_STEPS = 8

export interface Standardised {
  /** For each example a 1, then its inputs, scaled to mean 0 and variance 1; row-major. */
  xs: Float64Array
  means: Float64Array
  scales: Float64Array
}

export interface Examples extends Standardised {
  /** The probability of each example: 0 or 1 if its outcome is known. */
  targets: readonly number[]
  /** The weight of each example. */
  counts: readonly number[]
  /** Added to the log odds that the weights give. */
  offsets: Float64Array
}

export interface Fit extends Omit<Standardised, 'xs'> {
  /** The intercept, then the slopes. */
  weights: Float64Array
  /** Of the weights, row-major. */
  covariance: Float64Array
}

export const sigmoid = (z: number) => 1 / (1 + Math.exp(-z))

const prior = (i: number) => PRIOR[Math.min(i, 1)]

/** The most probable weights, by iteratively reweighted least squares. In steps. @param start  weights to start from */
export function* fitted(core: Core, examples: Examples, start?: Float64Array): Generator<void, Fit> {
  const { means, scales, targets } = examples
  const n = means.length + 1
  const weights = start?.slice() ?? new Float64Array(n)
  let covariance = new Float64Array(n * n)
  for (let step = 0, moved = 1; step < NEWTON_STEPS && moved > SETTLED; step++) {
    const precision = new Float64Array(n * n)
    const gradient = weights.map((weight, i) => -prior(i) * weight)
    yield* inSlices(targets.length, perStep(8 * n * n), (from, to) =>
      derive(examples, weights, from, to, gradient, precision),
    )
    for (let i = 0; i < n; i++) {
      precision[i * n + i] += prior(i)
      for (let j = 0; j < i; j++) precision[j * n + i] = precision[i * n + j]
    }
    covariance = Float64Array.from(core.inverse(precision))
    moved = 0
    for (let i = 0; i < n; i++) {
      let move = 0
      for (let j = 0; j < n; j++) move += covariance[i * n + j] * gradient[j]
      weights[i] += move
      moved = Math.max(moved, Math.abs(move))
    }
  }
  return { means, scales, weights, covariance }
}

/** Adds what examples `from` to `to` - 1 contribute to the gradient of the log posterior, and to the lower half of its negative second derivative. */
function derive(
  { xs, targets, counts, offsets }: Examples,
  weights: Float64Array,
  from: number,
  to: number,
  gradient: Float64Array,
  precision: Float64Array,
): void {
  const n = weights.length
  for (let k = from, at = from * n; k < to; k++, at += n) {
    let odds = offsets[k]
    for (let i = 0; i < n; i++) odds += weights[i] * xs[at + i]
    const predicted = sigmoid(odds)
    const slope = counts[k] * (targets[k] - predicted)
    const curvature = counts[k] * predicted * (1 - predicted)
    for (let i = 0; i < n; i++) {
      gradient[i] += slope * xs[at + i]
      for (let j = 0; j <= i; j++) precision[i * n + j] += curvature * xs[at + i] * xs[at + j]
    }
  }
}

/** Scales inputs to mean 0 and variance 1; an input that never varies becomes 0. */
export function standardised(rows: readonly (readonly number[])[]): Standardised {
  const width = rows[0].length
  const [means, squares] = [new Float64Array(width), new Float64Array(width)]
  for (const row of rows) for (let i = 0; i < width; i++) means[i] += row[i] / rows.length
  for (const row of rows) for (let i = 0; i < width; i++) squares[i] += (row[i] - means[i]) ** 2 / rows.length
  const scales = squares.map((square) => (square > 1e-12 ? 1 / Math.sqrt(square) : 0))
  const xs = new Float64Array(rows.length * (width + 1))
  let at = 0
  for (const row of rows) {
    xs[at++] = 1
    for (let i = 0; i < width; i++) xs[at++] = (row[i] - means[i]) * scales[i]
  }
  return { xs, means, scales }
}

/** Log odds, averaged over the posterior of the weights (MacKay, The evidence framework applied to classification networks, 1992, eq. 20). */
export function logOdds(fit: Fit, inputs: readonly number[]): number {
  const { means, scales } = fit
  const x = new Float64Array(means.length + 1)
  x[0] = 1
  for (let i = 1; i < x.length; i++) x[i] = (inputs[i - 1] - means[i - 1]) * scales[i - 1]
  return logOddsAt(fit, x, 0)
}

/** The log odds of a standardised example: the row of `xs` that begins at `at`. */
export function logOddsAt({ weights, covariance }: Fit, xs: Float64Array, at: number): number {
  const n = weights.length
  let [mean, variance] = [0, 0]
  for (let i = 0; i < n; i++) {
    mean += weights[i] * xs[at + i]
    for (let j = 0; j < n; j++) variance += xs[at + i] * xs[at + j] * covariance[i * n + j]
  }
  return mean / Math.sqrt(1 + (Math.PI / 8) * variance)
}
