/** Means and quantiles with intervals, calibration of stated probabilities, and shares of recovered answers that are sure. */

import { seeded } from '../base/random'
import { mean, NORMAL, wilson } from '../base/stats'

export type Interval = [low: number, high: number]

export const percent = (share: number) => `${(100 * share).toFixed(1)} %`

/** The origin of a figure. Queries are drawn repeatedly, and those of a group are not independent. */
export interface Drawn {
  query: number
  group: number
}

/** A figure of one query in one group. */
export interface Figure extends Drawn {
  value: number
}

/**
 * Variance of a mean over distinct queries and groups, however often these were drawn: two-way clustering of Cameron, Gelbach and Miller
 * (J. Bus. Econ. Stat. 29, 2011), at least that of either way alone. `clusters`: the smaller number of clusters.
 */
function spreadOf(figures: readonly Figure[]): { variance: number; clusters: number } {
  const centre = mean(figures.map(({ value }) => value))
  const between = (of: (figure: Figure, i: number) => number) => {
    const sums = new Map<number, number>()
    for (const [i, figure] of figures.entries()) {
      sums.set(of(figure, i), (sums.get(of(figure, i)) ?? 0) + figure.value - centre)
    }
    const squares = [...sums.values()].reduce((all, sum) => all + sum * sum, 0)
    return { count: sums.size, variance: (squares * (sums.size / Math.max(1, sums.size - 1))) / figures.length ** 2 }
  }
  const [queries, groups, single] = [between(({ query }) => query), between(({ group }) => group), between((_, i) => i)]
  return {
    variance: Math.max(queries.variance, groups.variance, queries.variance + groups.variance - single.variance),
    clusters: Math.min(queries.count, groups.count),
  }
}

/** 97.5 % quantile of Student's t (Abramowitz and Stegun 26.7.5); within 3 % from 2 degrees of freedom on. */
function student(freedom: number): number {
  const z = NORMAL
  const terms = [
    (z ** 3 + z) / 4,
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
  ]
  return terms.reduce((sum, term, i) => sum + term / freedom ** (i + 1), z)
}

/** 95 % confidence interval of a mean. Of paired differences: if it excludes 0, one of the two is better. */
export function ci95(figures: readonly Figure[]): Interval {
  const centre = mean(figures.map(({ value }) => value))
  const { variance, clusters } = spreadOf(figures)
  const half = student(Math.max(1, clusters - 1)) * Math.sqrt(variance)
  return [centre - half, centre + half]
}

/** The mean of differences between two runs, query by query of the same groups, with its 95 % interval. */
export interface Difference {
  mean: number
  ci95: Interval
}

export function pairedDifference(figures: readonly Figure[], others: readonly Figure[]): Difference {
  const differences = figures.map((figure, i) => ({ ...figure, value: figure.value - others[i].value }))
  return { mean: mean(differences.map(({ value }) => value)), ci95: ci95(differences) }
}

/** A share of right answers, with a 95 % interval that also holds for few answers. */
export interface Share {
  accuracy: number
  count: number
  ci95: Interval
}

/**
 * Wilson's interval for the effective sample size: as many independent answers as would be equally uncertain (Korn and Graubard, Surv.
 * Methodol. 24, 1998). Repeated draws of the same answers do not narrow it.
 */
export function shareOf(figures: readonly Figure[]): Share {
  const [accuracy, count] = [mean(figures.map(({ value }) => value)), figures.length]
  const { variance, clusters } = spreadOf(figures)
  const worth = variance > 0 ? Math.min(count, (accuracy * (1 - accuracy)) / variance) : clusters
  const certain = worth * (NORMAL / student(Math.max(1, clusters - 1))) ** 2
  return { accuracy, count, ci95: wilson(accuracy * certain, certain) }
}

/**
 * What events gain or lose a share of answers, if some are right only with them and some only without: the difference of two paired shares, by
 * Newcombe's square-and-add of their intervals (Stat. Med. 17, 1998). It holds where no answer was lost.
 */
export function lossOf(lost: Share, gained: Share): Difference {
  const difference = lost.accuracy - gained.accuracy
  const up = Math.hypot(lost.ci95[1] - lost.accuracy, gained.accuracy - gained.ci95[0])
  const down = Math.hypot(lost.accuracy - lost.ci95[0], gained.ci95[1] - gained.accuracy)
  return { mean: difference, ci95: [difference - down, difference + up] }
}

/** Consecutive queries of a block: those that wait for the same straggler are almost always in one. */
export const BLOCK = 50
const RESAMPLES = 500

/** A quantile, and what it was in each resample of the queries. */
export interface Resampled {
  estimate: number
  resamples: Float64Array
}

/**
 * Bootstrap of a quantile over blocks of consecutive queries (Künsch, Ann. Stat. 17, 1989). Runs of equal length get the same resamples, so that what they
 * have in common, such as arrivals, cancels in their ratio.
 */
export function resampledQuantile(values: ArrayLike<number>, share: number): Resampled {
  const blocks = Math.ceil(values.length / BLOCK)
  const order = Array.from(values, (_, i) => i).sort((a, b) => values[b] - values[a])
  const times = new Uint32Array(blocks)
  const quantile = () => {
    let [above, total] = [0, 0]
    for (let i = 0; i < values.length; i++) total += times[(i / BLOCK) | 0]
    const most = total - Math.floor(share * (total - 1))
    for (const i of order) {
      above += times[(i / BLOCK) | 0]
      if (above >= most) return values[i]
    }
    return Number.NaN
  }
  times.fill(1)
  const estimate = quantile()
  const random = seeded(blocks)
  const resamples = Float64Array.from({ length: RESAMPLES }, () => {
    times.fill(0)
    for (let i = 0; i < blocks; i++) times[Math.floor(random.next() * blocks)]++
    return quantile()
  })
  return { estimate, resamples }
}

/** 95 % interval of a resampled figure, by its percentiles. */
export function percentiles(resamples: Float64Array): Interval {
  const sorted = resamples.toSorted()
  return [sorted[Math.floor(0.025 * sorted.length)], sorted[Math.ceil(0.975 * sorted.length) - 1]]
}

/** How many times as large one figure is as another of the same queries. */
export interface Ratio {
  ratio: number
  ci95: Interval
}

export function pairedRatio(one: Resampled, other: Resampled): Ratio {
  const ratios = one.resamples.map((value, i) => value / other.resamples[i])
  return { ratio: one.estimate / other.estimate, ci95: percentiles(ratios) }
}

/** 95 % interval of a median, by order statistics: no assumption about the distribution. */
export function medianInterval(values: readonly number[]): Interval {
  const sorted = [...values].sort((a, b) => a - b)
  const half = (NORMAL * Math.sqrt(sorted.length)) / 2
  const at = (rank: number) => sorted[Math.max(0, Math.min(sorted.length - 1, rank))]
  return [at(Math.floor(sorted.length / 2 - half) - 1), at(Math.ceil(sorted.length / 2 + half))]
}

/** How many observations would tell on which side of a limit a figure is; undefined if it is at the limit, and none would. */
export function enoughToTell(count: number, figure: number, [low, high]: Interval, limit: number): number | undefined {
  const distance = figure < limit ? limit - figure : figure - limit
  const half = figure < limit ? high - figure : figure - low
  const needed = count * (half / distance) ** 2
  const digit = 10 ** Math.floor(Math.log10(needed))
  return needed < MOST_TIMES * count ? Math.ceil(needed / digit) * digit : undefined
}
/** Further away than this many times the observations nothing is promised. */
const MOST_TIMES = 1000

/** A stated probability and whether the event came true. */
export interface Stated {
  confidence: number
  right: boolean
}

/**
 * 1 - Brier score / that of always stating the base rate: above 0, the statements say more than the base rate. 0 if all events came true,
 * or none did: no statement can then say more.
 */
export function brierSkill(stated: readonly Stated[]): number {
  const rate = mean(stated.map(({ right }) => Number(right)))
  const score = mean(stated.map(({ confidence, right }) => (confidence - Number(right)) ** 2))
  return rate === 0 || rate === 1 ? 0 : 1 - score / (rate * (1 - rate))
}

/** Mean stated confidence and true share of a bin. */
export interface Bin {
  count: number
  confidence: number
  right: number
}

/** Bins of equal count, ordered by confidence. */
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

/** Expected calibration error: mean distance between stated and true shares over bins of equal count. */
export function calibrationError(bins: readonly Bin[]): number {
  const total = bins.reduce((sum, { count }) => sum + count, 0)
  return bins.reduce((sum, { count, confidence, right }) => sum + (count / total) * Math.abs(confidence - right), 0)
}

/** How many recovered answers are sure, and how many agree with the model's own answer. */
export interface Sureness {
  /** Number of recovered answers after the first `learn` groups. */
  tested: number
  agreement: number
  /** Answers with at least `minConfidence`: their share and, if there are any, the share of them that agrees, with its 95 % interval. */
  sure: { share: number; agreement?: number; ci95?: Interval }
}

/** For fewer sure answers, or a smaller share, counts are more telling than percentages. */
const FEW = 20
const FEW_SHARE = 0.005

export function surenessOf(stated: readonly (Stated & Drawn)[], minConfidence: number): Sureness {
  const figures = stated.map(({ query, group, right }) => ({ query, group, value: Number(right) }))
  const sure = figures.filter((_, i) => stated[i].confidence >= minConfidence)
  const { accuracy: agreement, ci95 } = sure.length ? shareOf(sure) : {}
  return {
    tested: stated.length,
    agreement: mean(figures.map(({ value }) => value)),
    sure: { share: sure.length / stated.length, agreement, ci95 },
  }
}

/** Cells of a table: how many are sure, and how many of these agree; the second is undefined if none is sure. */
export function sureCells({ tested, sure: { share, agreement = 0 } }: Sureness): [sure: string, agree?: string] {
  const count = Math.round(share * tested)
  if (!count) return [`none of ${tested}`]
  if (count < FEW || share < FEW_SHARE) return [`${count} of ${tested}`, `${Math.round(agreement * count)} of ${count}`]
  return [percent(share), percent(agreement)]
}

export function sureSentence(recovered: Sureness): string {
  const [sure, agree] = sureCells(recovered)
  if (agree === undefined) return `${sure} recovered answers is sure`
  if (agree.endsWith(' of 1'))
    return `${sure} recovered answers is sure, and it is ${agree === '1 of 1' ? 'right' : 'wrong'}`
  if (agree.endsWith('%')) return `${sure} of recovered answers are sure, ${agree} of these right`
  return `${sure} recovered answers are sure, ${agree} right`
}

/** Figures that are known before all groups are measured. */
export interface Figures {
  /** The model alone, on the inputs so far; only with labels. */
  alone?: Share
  /** Answers of the partly filled memory to inputs that it had not learned. */
  remembered?: Share
  /** Groups so far: all their queries under the policy, and the lost ones. */
  groups: number
  all?: Share
  lost?: Share
}
