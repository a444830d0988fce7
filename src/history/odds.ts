/** Log odds that a recovered answer is right, were every one of its values off by a normal error of its own. */

import { type Labels, labelAt } from '../criterion'

/** Log odds beyond which one recovery is as certain as another. */
export const CERTAIN = 8

/**
 * Log odds that the largest values are the largest in truth, at every position.
 *
 * @param answer  starts with the scores
 * @param error   standard deviation of a value's error
 */
export function labelOdds(answer: Float32Array, labels: Labels, error: number): number {
  const { positions, classes } = labels
  const unit = 1 / (Math.SQRT2 * Math.max(error, 1e-9))
  let log = 0
  for (let position = 0; position < positions; position++) {
    const top = labelAt(answer, labels, position)
    const from = position * classes
    for (let c = 0; c < classes; c++) {
      if (c !== top) log += Math.log(normal((answer[from + top] - answer[from + c]) * unit))
    }
  }
  return fromLog(log)
}

/** Log odds that an error of this standard deviation stays within the tolerance. */
export function withinOdds(error: number, tolerance: number): number {
  if (!(tolerance > 0)) return error > 0 ? -CERTAIN : CERTAIN // all answers alike so far
  return fromLog(Math.log(Math.max(1e-12, 2 * normal(tolerance / Math.max(error, 1e-12 * tolerance)) - 1)))
}

function fromLog(log: number): number {
  return log - Math.log(Math.max(1e-12, -Math.expm1(Math.min(log, -1e-12))))
}

/** The normal distribution function (Abramowitz, Stegun 26.2.17; error below 1e-7), for z >= 0. */
function normal(z: number): number {
  const t = 1 / (1 + 0.2316419 * z)
  const tail = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return 1 - Math.exp((-z * z) / 2) * 0.3989422804014327 * tail
}
