/** Log odds that a recovered answer is right, were every one of its values off by a normal error of its own. */

import type { Labels } from '../criterion'

/** Log odds beyond which one recovery is as certain as another. */
export const CERTAIN = 8
/** Log odds beyond which exp overflows. */
const FARTHEST = 700
/** Runners-up that may be the largest in truth. Of 100 classes 99 would add up to a doubt that is not there. */
const RIVALS = 3

/**
 * Log odds that the largest value is the largest in truth, at every position, and how far it leads over the runner-up, where that is least.
 *
 * @param answer  starts with the scores
 * @param error   standard deviation of a value's error
 */
export function labelLead(answer: Float32Array, { positions, classes }: Labels, error: number) {
  const unit = 1 / (Math.SQRT2 * Math.max(error, 1e-9))
  let [log, margin] = [0, Number.POSITIVE_INFINITY]
  for (let position = 0; position < positions; position++) {
    const [top, ...rivals] = largest(answer, position * classes, classes, RIVALS + 1)
    margin = Math.min(margin, top - rivals[0])
    for (const rival of rivals) log += Math.log(normal((top - rival) * unit))
  }
  return { odds: fromLog(log), margin }
}

/** The `many` largest of `count` values from `from` on, the largest first. */
function largest(values: Float32Array, from: number, count: number, many: number): number[] {
  const found: number[] = []
  for (let i = from; i < from + count; i++) {
    const value = values[i]
    if (found.length === many && value <= found[many - 1]) continue
    if (found.length === many) found.pop()
    let at = found.length
    while (at && found[at - 1] < value) at--
    found.splice(at, 0, value)
  }
  return found
}

/** Log odds that an error of this standard deviation stays within the tolerance. */
export function withinOdds(error: number, tolerance: number): number {
  if (!(tolerance > 0)) return error > 0 ? -CERTAIN : CERTAIN // all answers alike so far
  return fromLog(Math.log(Math.max(1e-12, 2 * normal(tolerance / Math.max(error, 1e-12 * tolerance)) - 1)))
}

/** Log odds that all of several things are true that have nothing to do with each other. */
export function jointOdds(all: readonly number[]): number {
  return fromLog(all.reduce((log, odds) => log - Math.log1p(Math.exp(Math.min(-odds, FARTHEST))), 0))
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
