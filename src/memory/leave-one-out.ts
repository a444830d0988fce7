/**
 * Leave-one-out cross-validation of a Gaussian process with an estimated mean, from one inverse (Dubrule, "Cross
 * validation of kriging in a unique neighborhood", Math. Geology 15, 1983).
 */

import { mean, rootMeanSquare, rowSums } from '../stats'
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
export function* leftOut(fitted: Fitted, each: (i: number, left: ReturnType<typeof one>) => void): Generator<void> {
  const n = fitted.answers.length
  const means = meansOf(fitted)
  yield* paced(n, perStep(n * means.length), (i) => each(i, one(fitted, means, i)))
}

/** Mean squared error per output of the second half of the pairs, each predicted from those before it. In steps. */
export function* leaveLaterOut(fitted: Fitted): Generator<void, number> {
  const half = fitted.answers.length >> 1
  const errors: number[] = []
  for (let n = fitted.answers.length; n > half; n--) {
    errors.push(rootMeanSquare(one(fitted, meansOf(fitted), n - 1).residual) ** 2)
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

/** The mean of each output, by generalised least squares. */
function meansOf({ answers, sums, total }: Fitted): Float64Array {
  const means = new Float64Array(answers[0].length)
  for (const [j, answer] of answers.entries()) {
    for (let c = 0; c < means.length; c++) means[c] += (sums[j] * answer[c]) / total
  }
  return means
}

/** A pair's answer less what the others predict; the variance of that, noise included; and the estimated means. */
function one({ answers, inverse, sums, total }: Fitted, means: Float64Array, i: number) {
  const n = answers.length
  const precision = inverse[i * n + i] - sums[i] ** 2 / total
  const rest = means.map((mean) => -sums[i] * mean)
  for (let j = 0; j < n; j++) {
    const weight = inverse[i * n + j]
    for (let c = 0; c < rest.length; c++) rest[c] += weight * answers[j][c]
  }
  return { residual: rest.map((value) => value / precision), variance: 1 / precision, means }
}
