/** Means with intervals, how far stated probabilities can be believed, and how many of recovered answers are sure. */

import { mean, NORMAL, wilson } from '../base/stats'

export type Interval = [low: number, high: number]

export const percent = (share: number) => `${(100 * share).toFixed(1)} %`

/** Where a figure comes from: queries are drawn again and again, and those of a group share what came of it. */
export interface Drawn {
  query: number
  group: number
}

/** A figure of one query in one group. */
export interface Figure extends Drawn {
  value: number
}

/**
 * Variance of a mean over distinct queries and groups, however often the same ones were drawn: both ways of Cameron, Gelbach
 * and Miller (J. Bus. Econ. Stat. 29, 2011), and neither less than one way alone. `clusters`: the fewer of the two.
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

/** 95 % confidence interval of a mean. Of paired differences: below 0 or above, one of the two is better. */
export function ci95(figures: readonly Figure[]): Interval {
  const centre = mean(figures.map(({ value }) => value))
  const { variance, clusters } = spreadOf(figures)
  const half = student(Math.max(1, clusters - 1)) * Math.sqrt(variance)
  return [centre - half, centre + half]
}

/** A share of answers that are right, with a 95 % interval that is honest of few answers, too. */
export interface Share {
  accuracy: number
  count: number
  ci95: Interval
}

/**
 * Wilson's interval, for as many answers as would be that uncertain were they independent (Korn and Graubard, Surv. Methodol.
 * 24, 1998): the same ones again do not make it narrower.
 */
export function shareOf(figures: readonly Figure[]): Share {
  const [accuracy, count] = [mean(figures.map(({ value }) => value)), figures.length]
  const { variance, clusters } = spreadOf(figures)
  const worth = variance > 0 ? Math.min(count, (accuracy * (1 - accuracy)) / variance) : clusters
  const certain = worth * (NORMAL / student(Math.max(1, clusters - 1))) ** 2
  return { accuracy, count, ci95: wilson(accuracy * certain, certain) }
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

/** Agreement is with the model's own answer. */
export interface Sureness {
  /** Recovered answers after the first `learn` groups. */
  tested: number
  agreement: number
  /** Those with at least `minConfidence`; how many of these agree, with its 95 % interval, where there are any. */
  sure: { share: number; agreement?: number; ci95?: Interval }
}

/** Of fewer sure answers, or of a smaller share of all, their number says more than what share of them is right. */
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

/** As cells of a table: how many are sure, and how many of these agree; the second is undefined where none is. */
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

/** What can be told before all is measured. */
export interface Figures {
  /** The model alone, on the inputs so far; only with labels. */
  alone?: Share
  /** What the code recovered of lost queries before the memory could say anything. */
  decoded?: Share
  /** What the memory, as far as it was filled, said of inputs that it did not know yet. */
  remembered?: Share
  /** Groups so far: all their queries under the policy, and only the lost ones. */
  groups: number
  all?: Share
  lost?: Share
}
