/** Log odds that a recovered answer is right, if the errors of its values are normal and independent. */

import { type Choice, type Labels, scoresFrom, type Tags, topOf } from '../base/criterion'

/** Larger log odds count as this. */
export const CERTAIN = 8
/** exp overflows at larger log odds. */
const FARTHEST = 700
/** Only this many runners-up are considered: the small chances of 99 runners-up would add up to a doubt that is not there. */
const RIVALS = 3

/** Log odds that the choice of a recovered output is right, and its margin as `lead` in criterion.ts. @param error  the standard deviation of a value's error */
export function choiceLead(answer: Float32Array, right: Choice, error: number): { odds: number; margin: number } {
  const unit = 1 / Math.max(error, 1e-9)
  if (right.kind === 'labels') return tagsLead(answer, right, unit)
  const difference = unit / Math.SQRT2
  if (right.kind === 'label') return labelLead(answer, right, difference)
  const items = topOf(answer, right.k + RIVALS).map((item) => answer[item])
  let [log, margin] = [0, Number.POSITIVE_INFINITY]
  for (let i = 0; i < right.k; i++) {
    const rivals = i + 1 < right.k ? [items[i + 1]] : items.slice(right.k)
    for (const rival of rivals) log += Math.log(normal((items[i] - rival) * difference))
    if (rivals.length) margin = Math.min(margin, items[i] - rivals[0])
  }
  return { odds: fromLog(log), margin }
}

/** Log odds that the labels at all positions are right. */
function labelLead(answer: Float32Array, labels: Labels, unit: number) {
  let [log, margin] = [0, Number.POSITIVE_INFINITY]
  for (let position = 0; position < labels.positions; position++) {
    const [top, ...rivals] = largest(answer, labels, position, RIVALS + 1)
    margin = Math.min(margin, top - rivals[0])
    for (const rival of rivals) log += Math.log(normal((top - rival) * unit))
  }
  return { odds: fromLog(log), margin }
}

/** Log odds that no value is on the wrong side of the threshold. */
function tagsLead(answer: Float32Array, { threshold }: Tags, unit: number) {
  let [log, margin] = [0, Number.POSITIVE_INFINITY]
  for (const value of answer) {
    const away = Math.abs(value - threshold)
    margin = Math.min(margin, away)
    log += Math.log(normal(away * unit))
  }
  return { odds: fromLog(log), margin }
}

/** The largest scores of a position, at most `many`, the largest first. */
function largest(values: Float32Array, labels: Labels, position: number, many: number): number[] {
  const { classes, step = 1 } = labels
  const from = scoresFrom(labels, position)
  const found: number[] = []
  for (let i = from; i < from + classes * step; i += step) {
    const value = values[i]
    if (found.length === many && value <= found[many - 1]) continue
    if (found.length === many) found.pop()
    let at = found.length
    while (at && found[at - 1] < value) at--
    found.splice(at, 0, value)
  }
  return found
}

/** Log odds that each of `count` values is within a share of the true value. @param error  the standard deviation of a logarithm's error */
export function relativeOdds(count: number, share: number, error: number): number {
  return fromLog(count * Math.log(Math.max(1e-12, 2 * normal(Math.log1p(share) / Math.max(error, 1e-12)) - 1)))
}

/** Log odds that a normal error is within the tolerance. @param error  its standard deviation */
export function withinOdds(error: number, tolerance: number): number {
  if (!(tolerance > 0)) return error > 0 ? -CERTAIN : CERTAIN // all answers were equal so far
  return fromLog(Math.log(Math.max(1e-12, 2 * normal(tolerance / Math.max(error, 1e-12 * tolerance)) - 1)))
}

/** Log odds that all of several independent events happen, from the log odds of each. */
export function jointOdds(all: readonly number[]): number {
  return fromLog(all.reduce((log, odds) => log - Math.log1p(Math.exp(Math.min(-odds, FARTHEST))), 0))
}

/** Log odds from the logarithm of a probability. */
function fromLog(log: number): number {
  return log - Math.log(Math.max(1e-12, -Math.expm1(Math.min(log, -1e-12))))
}

/** The normal distribution function for z >= 0 (Abramowitz, Stegun 26.2.17; error below 1e-7). */
function normal(z: number): number {
  const t = 1 / (1 + 0.2316419 * z)
  const tail = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  return 1 - Math.exp((-z * z) / 2) * 0.3989422804014327 * tail
}
