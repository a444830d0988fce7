/**
 * Cross-validation of a Gaussian process with an estimated mean: what it would say of pairs that it was fitted to, had it not seen them
 * (Dubrule, "Cross validation of kriging in a unique neighborhood", Math. Geology 15, 1983). No system is solved again for it.
 */

import { PRODUCTS, paced } from './steps'

/** With more outputs than this, the error is that of so many, evenly spread. */
const SAMPLE = 128

/** (K + noise I)^-1 of n pairs, in rows of `stride` values; the sums of its rows, and of all of it. */
export interface Precision {
  inverse: Float64Array
  n: number
  stride: number
  sums: Float64Array
  total: number
}

/** Some pairs and the Gaussian process on them. */
export interface Fitted {
  /** The caller's. */
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

export function precisionOf(inverse: Float64Array, n: number, stride = n): Precision {
  const sums = new Float64Array(n)
  let total = 0
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) sums[i] += inverse[i * stride + j]
    total += sums[i]
  }
  return { inverse, n, stride, sums, total }
}

/** Each pair predicted from all the others: its answer less the prediction, and the variance, noise included. In steps. */
export function* leftOut(precision: Precision, answers: readonly Float32Array[]) {
  const means = meansOf(precision, answers)
  const residuals: Float64Array[] = []
  const every = Math.max(1, Math.floor(PRODUCTS / (precision.n * means.length)))
  yield* paced(precision.n, every, (i) => residuals.push(residual(precision, answers, means, i)))
  return { means, residuals, variances: residuals.map((_, i) => 1 / pairPrecision(precision, i)) }
}

/** Means over all pairs, each predicted from all the others; the variance relative to k(x, x). In steps. */
export function* leaveOneOut({ precision, answers, noise, kxx }: Fitted): Generator<void, Uncertainty> {
  const some = sampled(answers)
  const { means, residuals, variances } = yield* leftOut(precision, some)
  const n = residuals.length
  let error = 0
  for (let c = 0; c < means.length; c++) {
    for (let i = 0; i < n; i++) error += residuals[i][c] ** 2 / (n * means.length)
  }
  return { error, variance: variances.reduce((sum, variance, i) => sum + (variance - noise) / kxx[i], 0) / n }
}

/** Mean squared error per output of the second half of the pairs, each predicted from those before it. In steps. */
export function* leaveLaterOut({ precision: { inverse, n: all }, answers }: Fitted): Generator<void, number> {
  const some = sampled(answers)
  const half = all >> 1
  let error = 0
  for (let n = all; n > half; n--) {
    const precision = precisionOf(inverse, n, all)
    const errors = residual(precision, some, meansOf(precision, some), n - 1)
    error += errors.reduce((sum, value) => sum + value ** 2, 0) / (errors.length * (all - half))
    // From here on the inverse is that of the pairs without the last one.
    const last = inverse.slice((n - 1) * all, (n - 1) * all + n)
    for (let i = 0; i < n - 1; i++) {
      const factor = last[i] / last[n - 1]
      for (let j = 0; j < n - 1; j++) inverse[i * all + j] -= factor * last[j]
    }
    yield
  }
  return error
}

/** One over the variance of a pair given all the others, noise included. */
function pairPrecision({ inverse, stride, sums, total }: Precision, i: number): number {
  return inverse[i * stride + i] - sums[i] ** 2 / total
}

/** The mean of each output, estimated by generalised least squares. */
function meansOf({ n, sums, total }: Precision, answers: readonly Float32Array[]): Float64Array {
  const means = new Float64Array(answers[0].length)
  for (let j = 0; j < n; j++) for (let c = 0; c < means.length; c++) means[c] += (sums[j] * answers[j][c]) / total
  return means
}

/** A pair's answer less what the others predict of it. */
function residual(precision: Precision, answers: readonly Float32Array[], means: Float64Array, i: number) {
  const { inverse, n, stride, sums } = precision
  const rest = means.map((mean) => -sums[i] * mean)
  for (let j = 0; j < n; j++) {
    const weight = inverse[i * stride + j]
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
