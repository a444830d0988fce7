/** Means with intervals, and how far stated probabilities can be believed. */

export type Interval = [low: number, high: number]

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Normal 95 % confidence interval of a mean. Of paired differences: below 0 or above, one of the two is better. */
export function ci95(values: readonly number[]): Interval {
  const centre = mean(values)
  const variance = values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / Math.max(1, values.length - 1)
  const half = 1.96 * Math.sqrt(variance / values.length)
  return [centre - half, centre + half]
}

/** The interval of a share, which lies within 0..1. */
export function shareCi95(values: readonly number[]): Interval {
  const [low, high] = ci95(values)
  return [Math.max(0, low), Math.min(1, high)]
}

/** A stated probability and whether it came true. */
export interface Stated {
  confidence: number
  right: boolean
}

/** 1 - Brier score / that of always stating the base rate: above 0 the statements say more than the base rate. */
export function brierSkill(stated: readonly Stated[]): number {
  const rate = mean(stated.map(({ right }) => Number(right)))
  const score = mean(stated.map(({ confidence, right }) => (confidence - Number(right)) ** 2))
  return 1 - score / (rate * (1 - rate))
}

/** Expected calibration error: mean distance between stated and true shares over bins of equal mass. */
export function calibrationError(stated: readonly Stated[], bins = 10): number {
  const sorted = [...stated].sort((a, b) => a.confidence - b.confidence)
  let error = 0
  for (let bin = 0; bin < bins; bin++) {
    const from = Math.round((bin * sorted.length) / bins)
    const part = sorted.slice(from, Math.round(((bin + 1) * sorted.length) / bins))
    const gap = part.reduce((sum, { confidence, right }) => sum + confidence - Number(right), 0)
    error += Math.abs(gap) / sorted.length
  }
  return error
}
