/** Means with intervals, and how far stated probabilities can be believed. */

export type Interval = [low: number, high: number]

export const percent = (share: number) => `${(100 * share).toFixed(1)} %`

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

/**
 * 1 - Brier score / that of always stating the base rate: above 0 the statements say more than the base rate. 0 where all
 * came true, or nothing did: no statement can say more.
 */
export function brierSkill(stated: readonly Stated[]): number {
  const rate = mean(stated.map(({ right }) => Number(right)))
  const score = mean(stated.map(({ confidence, right }) => (confidence - Number(right)) ** 2))
  return rate === 0 || rate === 1 ? 0 : 1 - score / (rate * (1 - rate))
}

/** Mean stated confidence and true share. */
export interface Bin {
  count: number
  confidence: number
  right: number
}

/** Bins of equal mass, by confidence. */
export function reliability(stated: readonly Stated[], bins = 10): Bin[] {
  const sorted = [...stated].sort((a, b) => a.confidence - b.confidence)
  const edges = Array.from({ length: bins + 1 }, (_, bin) => Math.round((bin * sorted.length) / bins))
  const parts = edges.slice(1).map((to, bin) => sorted.slice(edges[bin], to))
  return parts
    .filter((part) => part.length)
    .map((part) => ({
      count: part.length,
      confidence: mean(part.map(({ confidence }) => confidence)),
      right: mean(part.map(({ right }) => Number(right))),
    }))
}

/** Expected calibration error: mean distance between stated and true shares over bins of equal mass. */
export function calibrationError(bins: readonly Bin[]): number {
  const total = bins.reduce((sum, { count }) => sum + count, 0)
  return bins.reduce((sum, { count, confidence, right }) => sum + (count / total) * Math.abs(confidence - right), 0)
}
