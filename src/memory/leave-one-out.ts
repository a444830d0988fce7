/**
 * Cross-validation of a Gaussian process with an estimated mean: what it would say of pairs that it was fitted to, had it not seen them
 * (Dubrule, "Cross validation of kriging in a unique neighborhood", Math. Geology 15, 1983). No system is solved again for it.
 */

import { mean, rootMeanSquare } from '../stats'
import { PRODUCTS, paced } from './steps'

/** With more outputs than this, the error is that of so many, evenly spread. */
const SAMPLE = 128

/** (K + noise I)^-1 of n pairs, row-major; the sums of its rows, and of all of it. */
export interface Precision {
  inverse: Float64Array
  n: number
  sums: Float64Array
  total: number
}

/** Some pairs and the Gaussian process on them. */
export interface Fitted {
  precision: Precision
  answers: readonly Float32Array[]
  noise: number
  /** k(x, x) of each pair. */
  kxx: readonly number[]
}

/** Of a prediction: squared error per output, and variance. */
export interface Uncertainty {
  error: number
  variance: number
}

export function precisionOf(inverse: Float64Array, n: number): Precision {
  const sums = new Float64Array(n)
  let total = 0
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) sums[i] += inverse[i * n + j]
    total += sums[i]
  }
  return { inverse, n, sums, total }
}

/** Each pair predicted from all the others; in steps. @param each  is given its answer less the prediction, which has the mean `means` */
export function* leftOut(
  precision: Precision,
  answers: readonly Float32Array[],
  each: (i: number, residual: Float64Array, means: Float64Array) => void,
): Generator<void> {
  const means = meansOf(precision, answers)
  const every = Math.max(1, Math.floor(PRODUCTS / (precision.n * means.length)))
  yield* paced(precision.n, every, (i) => each(i, residual(precision, answers, means, i), means))
}

/** Means over all pairs, each predicted from all the others; the variance relative to k(x, x). In steps. */
export function* leaveOneOut({ precision, answers, noise, kxx }: Fitted): Generator<void, Uncertainty> {
  const { n } = precision
  const some = sampled(answers)
  const outputs = some[0].length
  const residuals: Float64Array[] = []
  yield* leftOut(precision, some, (_, residual) => residuals.push(residual))
  let [error, variance] = [0, 0]
  for (let c = 0; c < outputs; c++) for (let i = 0; i < n; i++) error += residuals[i][c] ** 2 / (n * outputs)
  for (let i = 0; i < n; i++) variance += (1 / pairPrecision(precision, i) - noise) / kxx[i]
  return { error, variance: variance / n }
}

/** Mean squared error per output of the second half of the pairs, each predicted from those before it. In steps. */
export function* leaveLaterOut({ precision, answers }: Fitted): Generator<void, number> {
  const some = sampled(answers)
  const half = precision.n >> 1
  const errors: number[] = []
  for (let n = precision.n; n > half; n--) {
    errors.push(rootMeanSquare(residual(precision, some, meansOf(precision, some), n - 1)) ** 2)
    precision = withoutLast(precision)
    yield
  }
  return mean(errors)
}

function withoutLast({ inverse, n }: Precision): Precision {
  const last = inverse.subarray((n - 1) * n)
  const less = new Float64Array((n - 1) ** 2)
  for (let i = 0; i < n - 1; i++) {
    const factor = last[i] / last[n - 1]
    for (let j = 0; j < n - 1; j++) less[i * (n - 1) + j] = inverse[i * n + j] - factor * last[j]
  }
  return precisionOf(less, n - 1)
}

/** One over the variance of a pair given all the others, noise included. */
function pairPrecision({ inverse, n, sums, total }: Precision, i: number): number {
  return inverse[i * n + i] - sums[i] ** 2 / total
}

/** The mean of each output, estimated by generalised least squares. */
function meansOf({ n, sums, total }: Precision, answers: readonly Float32Array[]): Float64Array {
  const means = new Float64Array(answers[0].length)
  for (let j = 0; j < n; j++) for (let c = 0; c < means.length; c++) means[c] += (sums[j] * answers[j][c]) / total
  return means
}

/** A pair's answer less what the others predict of it. */
function residual(precision: Precision, answers: readonly Float32Array[], means: Float64Array, i: number) {
  const { inverse, n, sums } = precision
  const rest = means.map((mean) => -sums[i] * mean)
  for (let j = 0; j < n; j++) {
    const weight = inverse[i * n + j]
    for (let c = 0; c < rest.length; c++) rest[c] += weight * answers[j][c]
  }
  const own = pairPrecision(precision, i)
  return rest.map((value) => value / own)
}

function sampled(answers: readonly Float32Array[]): readonly Float32Array[] {
  const { length } = answers[0]
  if (length <= SAMPLE) return answers
  return answers.map((answer) =>
    Float32Array.from({ length: SAMPLE }, (_, o) => answer[Math.floor((o * length) / SAMPLE)]),
  )
}
