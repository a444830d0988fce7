/**
 * Leave-one-out cross-validation of a Gaussian process with an estimated mean, from one inverse (Dubrule, "Cross
 * validation of kriging in a unique neighborhood", Math. Geology 15, 1983).
 */

import { rowSums } from '../base/stats'
import { paced, perStep } from './steps'

/** A Gaussian process fitted to some pairs. */
export interface Fitted {
  answers: readonly Float32Array[]
  /** (K + noise I)^-1, row-major. */
  inverse: Float64Array
  /** The sum of each row of the inverse. */
  sums: Float64Array
  /** The sum of the whole inverse. */
  total: number
}

export function fittedTo(answers: readonly Float32Array[], inverse: Float64Array): Fitted {
  return { answers, inverse, ...rowSums(inverse) }
}

interface LeftOut {
  /** The pair's answer minus its prediction from all other pairs. */
  residual: Float64Array
  /** The variance of that prediction, noise included. */
  variance: number
}

/** Predicts each pair from all the others. In steps. @returns the estimated mean of each output */
export function* leftOut(
  { answers, inverse, sums, total }: Fitted,
  each: (i: number, left: LeftOut, means: Float64Array) => void,
): Generator<void> {
  const n = answers.length
  const means = weightedMeans(
    answers,
    sums.map((sum) => sum / total), // generalised least squares
  )
  yield* paced(n, perStep(n * means.length), (i) => {
    const precision = inverse[i * n + i] - sums[i] ** 2 / total
    const residual = new Float64Array(means.length)
    for (let c = 0; c < residual.length; c++) residual[c] = -sums[i] * means[c]
    for (let j = 0; j < n; j++) {
      const [weight, answer] = [inverse[i * n + j], answers[j]]
      for (let c = 0; c < residual.length; c++) residual[c] += weight * answer[c]
    }
    for (let c = 0; c < residual.length; c++) residual[c] /= precision
    each(i, { residual, variance: 1 / precision }, means)
  })
}

/** The weighted mean of each output. @param weights  they add up to 1 */
export function weightedMeans(answers: readonly Float32Array[], weights: Float64Array): Float64Array {
  const means = new Float64Array(answers[0].length)
  for (const [j, answer] of answers.entries()) {
    for (let c = 0; c < means.length; c++) means[c] += weights[j] * answer[c]
  }
  return means
}
