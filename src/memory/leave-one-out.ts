/**
 * Leave-one-out cross-validation of a Gaussian process with an estimated mean, from one inverse (Dubrule, "Cross
 * validation of kriging in a unique neighborhood", Math. Geology 15, 1983).
 */

import { mean, rootMeanSquare, rowSums } from '../base/stats'
import { paced, perStep } from './steps'

/** The answers of some pairs, and the Gaussian process on them. */
export interface Fitted {
  answers: readonly Float32Array[]
  /** (K + noise I)^-1, row-major; the sums of its rows, and of all of it. */
  inverse: Float64Array
  sums: Float64Array
  total: number
}

export function fittedTo(answers: readonly Float32Array[], inverse: Float64Array): Fitted {
  return { answers, inverse, ...rowSums(inverse) }
}

/** Each pair predicted from all the others. In steps. */
export function* leftOut(fitted: Fitted, each: (i: number, left: LeftOut) => void): Generator<void> {
  const n = fitted.answers.length
  const means = yield* meansOf(fitted)
  const every = perStep(n * means.length)
  for (let i = 0; i < n; i++) {
    each(i, yield* one(fitted, means, i))
    if (i % every === every - 1) yield
  }
}

/** Mean squared error per output of the second half of the pairs, each predicted from those before it. In steps. */
export function* leaveLaterOut(fitted: Fitted): Generator<void, number> {
  const half = fitted.answers.length >> 1
  const errors: number[] = []
  for (let n = fitted.answers.length; n > half; n--) {
    const means = yield* meansOf(fitted)
    errors.push(rootMeanSquare((yield* one(fitted, means, n - 1)).residual) ** 2)
    yield
    fitted = withoutLast(fitted)
    yield
  }
  return mean(errors)
}

function withoutLast({ answers, inverse }: Fitted): Fitted {
  const n = answers.length
  const last = inverse.subarray((n - 1) * n)
  const less = new Float64Array((n - 1) ** 2)
  for (let i = 0; i < n - 1; i++) {
    const factor = last[i] / last[n - 1]
    for (let j = 0; j < n - 1; j++) less[i * (n - 1) + j] = inverse[i * n + j] - factor * last[j]
  }
  return fittedTo(answers.slice(0, -1), less)
}

/** The mean of each output, by generalised least squares: of answers that are weighed by the sums. In steps. */
export function* meansOf({ answers, sums, total }: Omit<Fitted, 'inverse'>): Generator<void, Float64Array> {
  const means = new Float64Array(answers[0].length)
  const width = Math.min(means.length, perStep(1))
  const pieces = Math.ceil(means.length / width)
  yield* paced(answers.length * pieces, perStep(width), (at) => {
    const [j, first] = [Math.floor(at / pieces), (at % pieces) * width]
    const answer = answers[j]
    const last = Math.min(first + width, means.length)
    for (let c = first; c < last; c++) means[c] += (sums[j] * answer[c]) / total
  })
  return means
}

/** A pair's answer less what the others predict; the variance of that, noise included; and the estimated means. */
interface LeftOut {
  residual: Float64Array
  variance: number
  means: Float64Array
}

/** In steps, where there are many outputs. */
function* one({ answers, inverse, sums, total }: Fitted, means: Float64Array, i: number): Generator<void, LeftOut> {
  const n = answers.length
  const precision = inverse[i * n + i] - sums[i] ** 2 / total
  const residual = new Float64Array(means.length)
  for (let c = 0; c < means.length; c++) residual[c] = -sums[i] * means[c]
  const columns = perStep(n)
  for (let first = 0; first < residual.length; first += columns) {
    if (first) yield
    const last = Math.min(first + columns, residual.length)
    for (let j = 0; j < n; j++) {
      const [weight, answer] = [inverse[i * n + j], answers[j]]
      for (let c = first; c < last; c++) residual[c] += weight * answer[c]
    }
    for (let c = first; c < last; c++) residual[c] /= precision
  }
  return { residual, variance: 1 / precision, means }
}
